"""What datatrove answers about each document: run in its own environment, see `make peers`.

    python make_datatrove_fixture.py DOCUMENTS MODEL FIXTURE

DOCUMENTS: lines of JSON (id, text); MODEL: lid.176.ftz, since the larger lid.176.bin that datatrove would fetch is not
to be had here; FIXTURE: the Parquet file to write, one row for each document:

id; text: xxh3-64 of the text; language, gopher_repetition, gopher_quality, c4, fineweb: the reason for which each
filter alone drops the document, null where it keeps it ("language" where it gives none); edited: xxh3-64 of C4's text,
null where C4 drops it; cascade: the first reason when the filters run one after the other as in datatrove's example
for FineWeb, each on what the one before has left, FineWeb's on C4's text.
"""

import json
import sys
from multiprocessing import Pool
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from fasttext.FastText import _FastText

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.uint64()),
        *(
            (name, pa.dictionary(pa.int8(), pa.string()))
            for name in ("language", "gopher_repetition", "gopher_quality", "c4", "fineweb", "cascade")
        ),
        ("edited", pa.uint64()),
    ]
)
NUM_PROCESSES = 2
FILTERS: dict[str, Any] = {}


def start(model: str) -> None:
    """The filters of the example, in each process once."""
    language = LanguageFilter(languages=["en"], language_threshold=0.65)
    # datatrove 0.2.0 keeps the model itself, later ones an object that holds it.
    holder = language if hasattr(language, "_model") else language.model
    holder._model = _FastText(model)
    FILTERS.update(
        language=language,
        gopher_repetition=GopherRepetitionFilter(),
        gopher_quality=GopherQualityFilter(),
        c4=C4QualityFilter(filter_no_terminal_punct=False),
        fineweb=FineWebQualityFilter(exclusion_writer=None),
    )


def reason(name: str, document: Document) -> str | None:
    """Why a filter drops the document; C4 changes its text."""
    found = FILTERS[name].filter(document)
    kept, why = found if isinstance(found, tuple) else (found, None)
    return None if kept else why or name


def answer(line: str) -> dict[str, Any]:
    """The fixture's row of one document."""
    given = json.loads(line)
    document = Document(text=given["text"], id=given["id"])
    row: dict[str, Any] = {"id": given["id"], "text": digest(given["text"])}
    for name in ("language", "gopher_repetition", "gopher_quality", "fineweb", "c4"):
        row[name] = reason(name, document)
    row["edited"] = digest(document.text) if row["c4"] is None else None
    before = (row[name] for name in ("language", "gopher_repetition", "gopher_quality", "c4"))
    row["cascade"] = next((why for why in before if why), None) or reason("fineweb", document)
    return row


def digest(text: str) -> int:
    """xxh3-64 of the UTF-8."""
    return xxhash.xxh3_64_intdigest(text.encode())


def main() -> None:
    documents, model, fixture = sys.argv[1:]
    with open(documents, encoding="utf-8") as lines, Pool(NUM_PROCESSES, start, (model,)) as pool:
        rows = list(pool.imap(answer, lines, chunksize=16))
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(table, fixture, compression="zstd", compression_level=19)
    dropped = len(table) - table["cascade"].null_count
    print(f"{len(table)} documents, {dropped} dropped")


if __name__ == "__main__":
    main()
