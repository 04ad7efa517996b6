import io

import polars as pl
import pytest

from manifests import ledger, shards
from manifests.errors import InputError

OTHER = "f" * 32


NO_LANGUAGE = {"language.label": None}


def row(number, **values):
    made = {
        "doc_id": f"{number:032x}",
        "source": "crawl",
        "file": "a.warc.gz",
        "offset": number,
        "url": f"https://a.example/{number}",
        "fate": "kept",
        "stage": None,
        "reason": None,
        "language.label": "en",
        "duplicate_of": None,
        "duplicate_in": None,
        "duplicate_kind": None,
        "jaccard": None,
    }
    return made | values


KEEPER = f"{3:032x}"
ROWS = {
    "b": [row(4, fate="duplicate", stage="dedup", reason="dedup.near", duplicate_of=KEEPER, duplicate_kind="near")],
    "a": [
        row(1),
        row(2, fate="dropped", stage="language", reason="language.unwanted", **{"language.label": "de"}),
        row(3, source="text", **{"language.label": "fr"}),
        row(
            5, fate="failed", stage="read", reason="read.broken", url="https://a.example/1", **{"language.label": None}
        ),
    ],
}
SCHEMA = {name: pl.String for name in row(0)} | {"offset": pl.Int64, "jaccard": pl.Float64}


@pytest.fixture(params=["local", "memory"])
def corpus(request, tmp_path):
    """Where a ledger of two units lies: here, or on a file system of fsspec."""
    root = str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"
    for unit, rows in ROWS.items():
        buffer = io.BytesIO()
        pl.DataFrame(rows, schema=SCHEMA).write_parquet(buffer)
        shards.write_bytes(f"{root}/ledger/{unit}.parquet", buffer.getvalue())
    shards.write_bytes(f"{root}/ledger/notes.txt", b"not a part of it")
    return root


def test_the_order_is_that_of_units_and_records(corpus):
    assert ledger.ledger_files(corpus) == ["ledger/a.parquet", "ledger/b.parquet"]
    assert ledger.scan(corpus, ["offset"]).collect()["offset"].to_list() == [1, 2, 3, 5, 4]


def test_every_record_is_counted_once_for_each_column(corpus):
    assert ledger.counts(corpus) == {
        "fate": {"dropped": 1, "duplicate": 1, "failed": 1, "kept": 2},
        "stage": {"dedup": 1, "language": 1, "read": 1},
        "reason": {"dedup.near": 1, "language.unwanted": 1, "read.broken": 1},
        "language": {"de": 1, "en": 2, "fr": 1},
        "source": {"crawl": 4, "text": 1},
        "duplicate_in": {},
        "kept_language": {"en": 1, "fr": 1},
        "kept_source": {"crawl": 1, "text": 1},
    }


def test_records_are_found_by_id_and_by_url(corpus):
    assert [found["offset"] for found in ledger.find(corpus, KEEPER)] == [3]
    assert [found["offset"] for found in ledger.find(corpus, "https://a.example/1")] == [1, 5]


@pytest.mark.parametrize(
    ("document", "column"), [(OTHER, "doc_id"), ("https://a.example/9", "url"), (OTHER.upper(), "url")]
)
def test_an_unknown_document_is_named_with_the_column_searched(corpus, document, column):
    with pytest.raises(InputError, match=f"no record has {column} '{document}'.*32 hex characters"):
        ledger.find(corpus, document)


def test_a_component_begins_with_its_keeper(corpus):
    members = ledger.component(corpus, KEEPER)
    assert [member["doc_id"] for member in members] == [KEEPER, f"{4:032x}"]
    assert [member["duplicate_kind"] for member in members] == [None, "near"]


def test_many_documents_are_looked_up_at_once(corpus):
    found = ledger.lookup(corpus, [KEEPER, f"{1:032x}", OTHER], ["doc_id", "source"])
    assert found == {
        KEEPER: {"doc_id": KEEPER, "source": "text"},
        f"{1:032x}": {"doc_id": f"{1:032x}", "source": "crawl"},
    }
    assert ledger.lookup(corpus, [], ["doc_id"]) == {}


def test_a_folder_without_a_ledger_is_named(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}: there is no ledger"):
        ledger.scan(str(tmp_path))
