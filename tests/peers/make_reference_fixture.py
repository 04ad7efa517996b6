"""What the rules as published say of each document, by the slow twins in tests/reference: writes the fixture.

    python -m tests.peers.make_reference_fixture [FIXTURE]

One row for each document of tests/peers/documents.py, in its order: text, xxh3-64 of the text; gopher, c4, c4_punkt and
dclm, the reason for which the rules drop it (DCLM's by the name of its step), null where they keep it, c4 with our own
splitter of sentences and c4_punkt with NLTK's; c4_text and dclm_text, xxh3-64 of the text that is kept, else null;
urls_text and lines_text, xxh3-64 of what refinedweb_urls and refinedweb
with DCLM's semantics make of the document, each alone.
"""

import functools
import json
import sys
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from tests.peers.documents import documents
from tests.reference import c4, dclm, gopher, nltk_words, refinedweb
from tests.shared import SHARED

FIXTURE = Path(__file__).parent / "fixtures" / "reference.parquet"
SCHEMA = pa.schema(
    [
        ("text", pa.uint64()),
        *((name, pa.dictionary(pa.int8(), pa.string())) for name in ("gopher", "c4", "c4_punkt", "dclm")),
        *((name, pa.uint64()) for name in ("c4_text", "dclm_text", "urls_text", "lines_text")),
    ]
)


def bad_words(shared: Path = SHARED) -> list[str]:
    """The English list that belongs to C4's rules."""
    return list(json.loads((shared / "text" / "toxicity" / "ldnoobw_wordlists.json").read_text("utf-8"))["en"])


@functools.cache
def _bad_word_pattern() -> Any:
    return c4.bad_word_pattern(bad_words())


def punkt_sentences(line: str) -> int:
    """Sentences of a line as C4's reference code counts them."""
    return len(nltk_words.sentences(line))


@functools.lru_cache(maxsize=1_000_000)
def _chunk_words(chunk: str) -> list[str]:
    return dclm.uniseg_words(chunk)


def uniseg_words(text: str) -> list[str]:
    """dclm.uniseg_words, a line at a time, ASCII lines a word at a time: in both there is always a boundary between."""
    found: list[str] = []
    for line in text.split("\n"):
        for chunk in line.split(" ") if line.isascii() else [line]:
            found += _chunk_words(chunk) if len(chunk) < 100 else dclm.uniseg_words(chunk)
    return found


def dclm_answer(text: str) -> tuple[str | None, str]:
    """DCLM's pipeline after language: the step that drops the page, or None and its text."""
    text, _ = refinedweb.without_urls(text, as_dclm=True)
    step = "url_removal_modifier" if not text else dclm.first_step(text, uniseg_words)
    if step is not None:
        return step, ""
    text, measures = refinedweb.corrected(text)
    if not text:
        return "line modifiers", ""
    return ("word_removal_ratio_filter", "") if measures["removed_word_ratio"] > 0.05 else (None, text)


def gopher_answer(text: str) -> str | None:
    """The first reason of the two rules in the paper's order."""
    for rule, reason in (("gopher_quality", gopher.quality(text)), ("gopher_repetition", gopher.repetition(text))):
        if reason is not None:
            return f"{rule}.{reason}"
    return None


def answer(text: str) -> dict[str, Any]:
    """The fixture's row of one document."""
    row: dict[str, Any] = {"text": digest(text), "gopher": gopher_answer(text)}
    for name, (reason, edited) in (("c4", c4.reference_page(text, _bad_word_pattern())), ("dclm", dclm_answer(text))):
        row |= {name: reason, f"{name}_text": digest(edited) if reason is None else None}
    row["c4_punkt"] = c4.reference_page(text, _bad_word_pattern(), punkt_sentences)[0]
    row["urls_text"] = digest(refinedweb.without_urls(text, as_dclm=True)[0])
    row["lines_text"] = digest(refinedweb.corrected(text)[0])
    return row


def digest(text: str) -> int:
    """xxh3-64 of the UTF-8."""
    return xxhash.xxh3_64_intdigest(text.encode())


def main() -> None:
    texts = [text for _, shard in documents() for _, text in shard]
    with Pool(2) as pool:
        rows = pool.map(answer, texts, chunksize=16)
    fixture = Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURE
    fixture.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), fixture, compression="zstd", compression_level=19)
    print(f"{len(rows)} documents, {fixture.stat().st_size} bytes")


if __name__ == "__main__":
    main()
