"""Reading the sample back with fastwarc, and asking the filters about texts."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastwarc.warc import ArchiveIterator, WarcRecordType

from corpus.read.charset import decode_page
from corpus.read.http import decoded_body, parse_message
from filters.base import Documents, Filter
from filters.language import Language


def read_truth(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "truth.jsonl").read_text("utf-8").split("\n") if line]


def read_records(path: Path, kinds: int) -> Iterator[tuple[str, bytes]]:
    """(url, block) of the records of a file up to where it breaks."""
    with path.open("rb") as file:
        try:
            for record in ArchiveIterator(file, record_types=kinds, parse_http=False):
                yield record.headers["WARC-Target-URI"], record.reader.read()
        except OSError:
            return


def read_responses(folder: Path) -> dict[str, bytes]:
    """HTTP messages by address, of all WARC files."""
    kinds = WarcRecordType.response | WarcRecordType.revisit
    return {url: block for path in sorted(folder.glob("warc/*")) for url, block in read_records(path, kinds)}


def page_text(block: bytes) -> str:
    """The HTML of a response."""
    message = parse_message(block)
    return decode_page(decoded_body(message, 1 << 30), message.headers.get("content-type"))


def documents(texts: Sequence[str]) -> Documents:
    ids = [str(number) for number in range(len(texts))]
    return Documents(pa.table({"doc_id": ids, "url": ids, "text": pa.array(texts, pa.large_string())}))


def labels(language: Language, texts: Sequence[str]) -> list[str]:
    found: list[str] = pa.array(language.score(documents(texts))["label"]).to_pylist()
    return found


def reasons(rule: Filter, texts: Sequence[str]) -> list[str | None]:
    scores = pa.table({f"{rule.rule}.{name}": values for name, values in rule.score(documents(texts)).items()})
    found: list[str | None] = rule.reject(scores).to_pylist()
    return found
