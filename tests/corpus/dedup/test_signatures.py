from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.dedup.signatures import BAND_RUN, EQUAL_RUN, FACTS, RunWriter, signature_values, take_rows
from corpus.recipe import Dedup, MinHash
from filters.kernels.minhash import permutations
from tests.corpus.dedup.corpora import tables, write_unit_runs
from tests.reference import minhash as reference
from tests.reference.dedup import Document

CONFIG = Dedup(minhash=MinHash(ngram=2, bands=3, rows=2))
TEXTS = ["one two three", "...", "", "one two three", "漢字 é"]
DOCUMENTS = [Document(f"d{number}", text, None, number / 4) for number, text in enumerate(TEXTS)]


def test_signatures_have_a_row_for_each_document_with_text(tmp_path: Path) -> None:
    write_unit_runs(str(tmp_path), "u", DOCUMENTS, CONFIG, batch=2)
    table = pq.read_table(tmp_path / "units" / "u" / "signatures.parquet")
    assert table.drop(["signature", "exact_high", "exact_low"]).to_pylist() == [
        {"row": 1, "doc_id": "d0", "num_bytes": 13, "date": None, "quality": 0.0},
        {"row": 3, "doc_id": "d1", "num_bytes": 3, "date": None, "quality": 0.25},
        {"row": 7, "doc_id": "d3", "num_bytes": 13, "date": None, "quality": 0.75},
        {"row": 9, "doc_id": "d4", "num_bytes": 9, "date": None, "quality": 1.0},
    ]
    factors, summands = (drawn.tolist() for drawn in permutations(6, 1))
    assert signature_values(table)[0].tolist() == [
        reference.signature(reference.shingle_hashes(TEXTS[number], 2), factors, summands) for number in (0, 3, 4)
    ]
    assert signature_values(table)[1].tolist() == [0, -1, 1, 2]  # the second has no word


def test_signatures_of_64_bits_are_read_back_as_such(tmp_path: Path) -> None:
    config = Dedup(minhash=MinHash(ngram=2, bands=3, rows=2, scheme="affine64"))
    write_unit_runs(str(tmp_path), "u", DOCUMENTS, config)
    table = pq.read_table(tmp_path / "units" / "u" / "signatures.parquet")
    factors, summands = (drawn.tolist() for drawn in permutations(6, 1, "affine64"))
    shingles = [reference.shingle_hashes(TEXTS[number], 2) for number in (0, 3, 4)]
    assert signature_values(table)[0].tolist() == [
        reference.signature(each, factors, summands, "affine64") for each in shingles
    ]


def test_bands_are_sorted_runs_without_documents_that_have_no_word(tmp_path: Path) -> None:
    write_unit_runs(str(tmp_path), "u", DOCUMENTS, CONFIG)
    file = pq.ParquetFile(tmp_path / "units" / "u" / "bands.parquet")
    factors, summands = (drawn.tolist() for drawn in permutations(6, 1))
    expected = []
    for number in (0, 3, 4):
        values = reference.signature(reference.shingle_hashes(TEXTS[number], 2), factors, summands)
        expected += [(key, 2 * number + 1) for key in reference.band_keys(values, 3, 2)]
    assert [(row["key"], row["row"]) for row in file.read().to_pylist()] == sorted(expected)
    assert file.schema_arrow == BAND_RUN


def test_exact_keys_are_sorted_runs(tmp_path: Path) -> None:
    entries = write_unit_runs(str(tmp_path), "u", DOCUMENTS, CONFIG)
    assert [(entry.path, entry.rows) for entry in entries] == [
        ("signatures.parquet", 4),
        ("exact.parquet", 4),
        ("bands.parquet", 9),
    ]
    file = pq.ParquetFile(tmp_path / "units" / "u" / "exact.parquet")
    keys = [(row["high"], row["low"], row["row"]) for row in file.read().to_pylist()]
    assert keys == sorted(keys)
    assert file.schema_arrow == EQUAL_RUN


def test_files_do_not_depend_on_batches(tmp_path: Path) -> None:
    entries = [write_unit_runs(str(tmp_path / str(batch)), "u", DOCUMENTS, CONFIG, batch) for batch in (1, 2, 100)]
    assert entries[0] == entries[1] == entries[2]


def test_without_minhash_there_are_no_signatures_and_no_bands(tmp_path: Path) -> None:
    entries = write_unit_runs(str(tmp_path), "u", DOCUMENTS, Dedup())
    assert [entry.path for entry in entries] == ["signatures.parquet", "exact.parquet"]
    names = pq.read_schema(tmp_path / "units" / "u" / "signatures.parquet").names
    assert names == [*FACTS.names, "exact_high", "exact_low"]


def test_without_exact_there_is_no_exact_run(tmp_path: Path) -> None:
    entries = write_unit_runs(str(tmp_path), "u", DOCUMENTS, CONFIG.model_copy(update={"exact": False}))
    assert [entry.path for entry in entries] == ["signatures.parquet", "bands.parquet"]


def test_a_unit_without_documents_has_files_without_rows(tmp_path: Path) -> None:
    entries = write_unit_runs(str(tmp_path), "u", [], CONFIG)
    assert [entry.rows for entry in entries] == [0, 0, 0]


def test_a_batch_without_documents_changes_nothing(tmp_path: Path) -> None:
    writer = RunWriter(str(tmp_path), CONFIG)
    batch, facts = tables([])
    writer.add(batch, np.zeros(0, np.uint32), facts)
    assert [entry.rows for entry in writer.finish()] == [0, 0, 0]


def test_rows_are_taken_by_their_number() -> None:
    table = pa.table({"row": pa.array([2, 5, 9], pa.uint32()), "doc_id": ["a", "b", "c"]})
    assert take_rows(table, np.array([9, 2], np.uint32))["doc_id"].to_pylist() == ["c", "a"]
