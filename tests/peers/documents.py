"""Every document of the shared web and prose data, as the peers and we judge it: read as ours, changed by nothing.

`python -m tests.peers.documents FILE` writes them as lines of JSON (id, text) for a peer in its own environment.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import zstandard

from corpus.extract import extract
from corpus.read import UnitReader
from corpus.recipe import Source
from corpus.units import unit_of
from tests.shared import SHARED


def documents(shared: Path = SHARED) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Name and (id, text) of the documents of each shard: WET texts, extracted pages, gold texts, prose."""
    for path in sorted((shared / "web" / "wet").glob("*.warc.wet.gz")):
        yield f"wet/{path.name}", _records("wet", path)
    for path in sorted((shared / "web" / "warc").glob("*.warc.gz")):
        yield f"warc/{path.name}", _records("warc", path)
    gold = _lines(shared / "web" / "gold.jsonl.zst")
    yield "gold", [(f"gold/{number}", row["text"]) for number, row in enumerate(gold)]
    prose = shared / "text" / "prose"
    yield "prose", [(f"prose/{row['id']}", row["text"]) for row in _lines(prose / "documents.jsonl.zst")]
    names = ("tinyshakespeare", "wikitext2_valid")
    yield "books", [(f"prose/{name}", _text(prose / f"{name}.txt.zst")) for name in names]


def _records(kind: str, path: Path) -> list[tuple[str, str]]:
    source = Source(name=kind, format=kind, paths=[str(path)])
    found = []
    for table in UnitReader(unit_of(source, str(path)), source):
        table = extract(table, "resiliparse") if kind == "warc" else table
        rows = table.filter(pc.is_null(table["reason"])).select(["offset", "text"]).to_pylist()
        found += [(f"{kind}/{path.name.split('.')[0]}/{row['offset']}", row["text"]) for row in rows]
    return found


def _text(path: Path) -> str:
    with zstandard.open(path, "rt", encoding="utf-8", newline="") as file:
        return str(file.read())


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in _text(path).split("\n") if line]


def main() -> None:
    num_documents = 0
    with Path(sys.argv[1]).open("w", encoding="utf-8") as file:
        for _, shard in documents():
            file.writelines(json.dumps({"id": id, "text": text}) + "\n" for id, text in shard)
            num_documents += len(shard)
    print(f"{num_documents} documents")


if __name__ == "__main__":
    main()
