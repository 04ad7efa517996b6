import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.encode import EncodeWriter, gather_bucket, num_buckets, take_documents
from corpus.tokenizers import load_tokenizer
from manifests.digest import hash_fraction
from manifests.errors import IntegrityError
from manifests.schemas import tokens_schema
from tests.corpus.tokenizer_files import write_trained

SEED = 17


def documents(*ids, source="web"):
    return pa.table(
        {
            "doc_id": pa.array(ids, pa.string()),
            "text": pa.array([f"text of {doc_id} é" for doc_id in ids], pa.large_string()),
            "source": pa.array([source] * len(ids), pa.string()),
            "language": pa.array(["en"] * len(ids), pa.string()),
            "quality": pa.array([None if doc_id == "bb" else len(doc_id) / 2 for doc_id in ids], pa.float64()),
        }
    )


def write_unit(out, unit_id, *batches, buckets=4, validation_ratio=0.25):
    tokenizer = load_tokenizer(write_trained(out))
    writer = EncodeWriter(f"{out}/units/{unit_id}", tokenizer, buckets, SEED, validation_ratio)
    counts = [writer.add(batch).tolist() for batch in batches]
    [entry] = writer.finish()
    return entry, counts


def unit_file(out, unit_id):
    return pq.ParquetFile(out / "units" / unit_id / "tokens.parquet")


def test_one_bucket_is_256_mib_of_text_unless_the_recipe_says_how_many():
    sizes = [0, 1, 1 << 28, (1 << 28) + 1, 10 << 28]
    assert [num_buckets(size, None) for size in sizes] == [1, 1, 1, 2, 10]
    assert num_buckets(10 << 28, 3) == 3


def test_row_group_b_holds_bucket_b_also_when_it_is_empty(tmp_path):
    ids = [f"doc-{number}" for number in range(6)]
    entry, _ = write_unit(tmp_path, "u", documents(*ids), buckets=16)
    assert (entry.path, entry.rows) == ("tokens.parquet", 6)
    file = unit_file(tmp_path, "u")
    found = [file.read_row_group(bucket)["doc_id"].to_pylist() for bucket in range(file.num_row_groups)]
    expected = [[doc for doc in ids if int(hash_fraction(doc, "bucket", SEED) * 16) == b] for b in range(16)]
    assert found == expected
    assert [] in found


def test_counts_are_those_of_the_batch_in_its_order(tmp_path):
    batch = documents("a", "bb", "ccc")
    _, [counts] = write_unit(tmp_path, "u", batch)
    tokenizer = load_tokenizer(write_trained(tmp_path))
    tokens, offsets = tokenizer.encode(batch["text"])
    assert counts == [stop - start for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    table = unit_file(tmp_path, "u").read()
    assert table.schema.equals(tokens_schema(pa.uint16()))
    by_id = {row["doc_id"]: row for row in table.to_pylist()}
    assert by_id["bb"]["tokens"] == tokens[offsets[1] : offsets[2]].tolist()
    assert by_id["bb"]["num_tokens"] == counts[1]
    assert (by_id["bb"]["num_bytes"], by_id["bb"]["source"], by_id["bb"]["language"]) == (13, "web", "en")
    assert [by_id[doc_id]["quality"] for doc_id in ("a", "bb", "ccc")] == [0.5, None, 1.5]


def test_batches_do_not_change_the_bytes(tmp_path):
    ids = [f"doc-{number}" for number in range(9)]
    whole, _ = write_unit(tmp_path, "u", documents(*ids))
    cut, _ = write_unit(tmp_path, "u", documents(*ids[:2]), documents(), documents(*ids[2:]))
    assert cut == whole


def test_a_unit_without_documents_has_its_row_groups(tmp_path):
    entry, _ = write_unit(tmp_path, "u")
    assert entry.rows == 0
    assert [unit_file(tmp_path, "u").read_row_group(b).num_rows for b in range(4)] == [0, 0, 0, 0]


def test_the_share_for_validation_is_reserved_by_hash_of_the_id(tmp_path):
    ids = [f"doc-{number}" for number in range(200)]
    write_unit(tmp_path, "u", documents(*ids))
    split = {row["doc_id"]: row["split"] for row in unit_file(tmp_path, "u").read().to_pylist()}
    reserved = {doc for doc in ids if hash_fraction(doc, "validation", SEED) < 0.25}
    assert split == {doc: "validation" if doc in reserved else "train" for doc in ids}
    assert 30 < len(reserved) < 70


def test_a_ratio_of_zero_reserves_nothing(tmp_path):
    write_unit(tmp_path, "u", documents(*"abcdefgh"), validation_ratio=0.0)
    assert set(unit_file(tmp_path, "u").read()["split"].to_pylist()) == {"train"}


def test_gathering_shuffles_by_hash_whatever_the_order_of_units(tmp_path):
    ids = [f"doc-{number}" for number in range(40)]
    write_unit(tmp_path, "u", documents(*ids[:25]))
    write_unit(tmp_path, "v", documents(*ids[25:], source="books"))
    entries = [gather_bucket(str(tmp_path), ["u", "v"], bucket, SEED, "uint16") for bucket in range(4)]
    again = [gather_bucket(str(tmp_path), ["v", "u"], bucket, SEED, "uint16") for bucket in range(4)]
    assert again == entries
    assert [entry.path for entry in entries] == [f"tokens/part-0000{bucket}.parquet" for bucket in range(4)]
    tables = [pq.read_table(tmp_path / entry.path) for entry in entries]
    gathered = [table["doc_id"].to_pylist() for table in tables]
    assert sorted(sum(gathered, [])) == sorted(ids)  # noqa: RUF017
    assert gathered == [sorted(bucket, key=lambda doc: hash_fraction(doc, "shuffle", SEED)) for bucket in gathered]
    before = {row["doc_id"]: row for unit in "uv" for row in unit_file(tmp_path, unit).read().to_pylist()}
    assert {row["doc_id"]: row for table in tables for row in table.to_pylist()} == before


def test_a_bucket_without_documents_gives_a_file_without_rows(tmp_path):
    write_unit(tmp_path, "u", buckets=1)
    assert gather_bucket(str(tmp_path), ["u"], 0, SEED, "uint16").rows == 0
    assert pq.read_table(tmp_path / "tokens" / "part-00000.parquet").schema.equals(tokens_schema(pa.uint16()))


def test_a_unit_written_for_fewer_buckets_is_named(tmp_path):
    write_unit(tmp_path, "u", documents("a"), buckets=2)
    with pytest.raises(IntegrityError, match=r"u/tokens\.parquet: has 2 buckets, bucket 2 is asked for"):
        gather_bucket(str(tmp_path), ["u"], 2, SEED, "uint16")


@pytest.mark.parametrize("rows", [[], [2], [3, 0, 0, 1]])
def test_taking_documents_is_the_take_of_arrow(tmp_path, rows):
    write_unit(tmp_path, "u", documents(*"abcdef"), buckets=1)
    table = unit_file(tmp_path, "u").read()
    taken = take_documents(table, np.array(rows, np.int64))
    assert taken.equals(table.take(pa.array(rows, pa.int64())))
    assert take_documents(table.slice(1, 5), np.array(rows, np.int64)).equals(
        table.slice(1, 5).take(pa.array(rows, pa.int64()))
    )
    chunks = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert take_documents(chunks, np.array(rows, np.int64)).equals(taken)
