"""How fast decontaminate and repeated_substrings are on web text, against the same rule as Python would have it.

Run with `python -m tests.bench.decontaminate`; needs ../shared/data. The peers: n-grams of folded words as tuples
looked up in a set, which is what GPT-3's rule comes to in plain Python (the first files only: it is slow); and runs of
100 characters as strings in a dict. Then pages that quote a line which NUM_SHARING items begin with: what each costs.
Times are of this thread's processor time, ours and the peer's in turn; the
rounds are those after a first one that compiles.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import zstandard

from filters.base import Documents
from filters.decontaminate import Decontaminate
from filters.repeated_substrings import RepeatedSubstrings
from tests.bench.measures import web_texts
from tests.edge_cases import batch
from tests.shared import SHARED

NUM_ROUNDS = 5
NUM_PEER_TEXTS = 100
NUM_SHARING, NUM_QUOTING = 20_000, 500
INSTRUCTION = "Read the passage below with care and then choose the one answer that agrees best with what it says:"
BENCHMARKS = SHARED / "text" / "decontamination" / "benchmarks.jsonl.zst"


def _folded(text: str) -> list[str]:
    words = ("".join(filter(str.isalnum, word)) for word in text.casefold().split())
    return [word for word in words if word]


def _ngrams(text: str, n: int = 13) -> set[tuple[str, ...]]:
    words = _folded(text)
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}


def _item_ngrams() -> set[tuple[str, ...]]:
    lines = zstandard.decompress(BENCHMARKS.read_bytes()).decode().split("\n")
    return set().union(*(_ngrams(json.loads(line)["text"]) for line in lines if line))


def _repeated(text: str, size: int = 100) -> float:
    runs: dict[str, list[int]] = {}
    for start in range(len(text) - size + 1):
        runs.setdefault(text[start : start + size], []).append(start)
    covered = bytearray(len(text))
    for starts in runs.values():
        for start in starts if len(starts) > 1 else ():
            covered[start : start + size] = b"x" * size
    return covered.count(b"x") / max(1, len(text))


def _seconds(step: Callable[[], object]) -> float:
    start = time.thread_time()
    step()
    return time.thread_time() - start


def _rate(table: pa.Table, seconds: list[float]) -> float:
    """MB of UTF-8 for each second, by the median."""
    return sum(len(text.encode()) for text in table["text"].to_pylist()) / 1e6 / statistics.median(seconds)


def _milliseconds_of_a_quotation() -> float:
    """What a page that quotes the instruction costs, the median of NUM_ROUNDS."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.jsonl"
        items = ({"id": number, "text": f"{INSTRUCTION} number {number}"} for number in range(NUM_SHARING))
        path.write_text("\n".join(map(json.dumps, items)))
        rule = Decontaminate(files=[str(path)])
        rule.check()
        table = batch([f"{number} {INSTRUCTION}" for number in range(NUM_QUOTING)])
        seconds = [_seconds(lambda: rule.edit(Documents(table))) for _ in range(NUM_ROUNDS + 1)]
    return 1e3 * statistics.median(seconds[1:]) / NUM_QUOTING


def main() -> None:
    texts = web_texts()
    if not texts or not BENCHMARKS.exists():
        print(f"{SHARED}: no WET files or benchmarks here; nothing was measured")
        return
    table, few = batch(texts), batch(texts[:NUM_PEER_TEXTS])
    decontaminate, substrings = Decontaminate(files=[str(BENCHMARKS)]), RepeatedSubstrings()
    print(f"index of {BENCHMARKS.name}: {_seconds(decontaminate.check):.2f} s once in a process")
    known = _item_ngrams()
    peers: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "decontaminate": (
            lambda: decontaminate.edit(Documents(table)),
            lambda: [not known.isdisjoint(_ngrams(text)) for text in few["text"].to_pylist()],
        ),
        "repeated_substrings": (
            lambda: substrings.score(Documents(table)),
            lambda: [_repeated(text) for text in few["text"].to_pylist()],
        ),
    }
    for name, (ours, peer) in peers.items():
        rounds = [(_seconds(ours), _seconds(peer)) for _ in range(NUM_ROUNDS + 1)][1:]
        rates = _rate(table, [own for own, _ in rounds]), _rate(few, [other for _, other in rounds])
        print(f"{name:20} {rates[0]:8.1f} MB/s, in Python {rates[1]:6.2f}: {rates[0] / rates[1]:.0f} times")
    print(f"a quotation of a line of {NUM_SHARING} items: {_milliseconds_of_a_quotation():.4f} ms a document")


if __name__ == "__main__":
    main()
