import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.pack import Settings, pack_bucket, place_pieces
from corpus.slices import Slices
from manifests.errors import IntegrityError
from manifests.schemas import packed_schema, token_rows, tokens_schema
from manifests.shards import write_table

END = 0
SOURCES = ["web", "books"]


def write_tokens(out, documents, token_type=None, *, languages=(), scores=()):
    """documents: (doc_id, tokens, split, source) for bucket 3; a token stands for as many bytes as its id.

    languages, scores: (doc_id, value) of the documents that have one.
    """
    languages, scores = dict(languages), dict(scores)
    schema = tokens_schema(token_type or pa.uint16())
    rows = [
        {
            "doc_id": doc_id,
            "tokens": tokens,
            "num_tokens": len(tokens),
            "num_bytes": sum(tokens),
            "source": source,
            "language": languages.get(doc_id),
            "quality": scores.get(doc_id),
            "split": split,
        }
        for doc_id, tokens, split, source in documents
    ]
    write_table(f"{out}/tokens/part-00003.parquet", pa.Table.from_pylist(rows, schema))


def pack(out, documents, length=4, token_bytes=True, token_type=None):
    write_tokens(out, documents, token_type)
    return pack_written(out, length, token_bytes=token_bytes)


def pack_written(out, length=4, slices=None, *, token_bytes=True):
    table = np.arange(100, dtype=np.int32) if token_bytes else None
    return pack_bucket(str(out), 3, Settings(length, END, SOURCES, slices or Slices(), table))


def rows_of(out, file, token_type="uint16"):
    table = pq.read_table(f"{out}/{file.entry.path}")
    ids = token_rows(table["tokens"], token_type).tolist()
    return [{**row, "tokens": tokens} for row, tokens in zip(table.to_pylist(), ids, strict=True)]


def train(*documents):
    return [(doc_id, tokens, "train", "web") for doc_id, tokens in documents]


def unpacked(rows, capacity):
    """{doc_id: tokens with the end of text}, put together from segments; what no segment covers must be padding."""
    pieces = []
    for row in rows:
        place = 0
        columns = (row["segment_doc"], row["segment_start"], row["segment_length"])
        for doc_id, start, length in zip(*columns, strict=True):
            pieces.append((doc_id, start, row["tokens"][place : place + length]))
            place += length
        assert row["tokens"][place:] == [END] * (capacity - place)
        assert len(row["tokens"]) == capacity
    documents = {}
    for doc_id, start, tokens in sorted(pieces):
        assert start == len(documents.setdefault(doc_id, []))
        documents[doc_id] += tokens
    return documents


def test_documents_that_fill_a_row_lie_side_by_side(tmp_path):
    [file] = pack(tmp_path, train(("a", [5, 6]), ("b", [7])))
    assert (file.split, file.num_documents, file.num_tokens) == ("train", 2, 5)
    assert (file.entry.path, file.entry.rows, file.source) == ("packed/4/train-0000-00003.parquet", 1, "web")
    assert rows_of(tmp_path, file) == [
        {
            "tokens": [5, 6, END, 7, END],
            "segment_doc": ["a", "b"],
            "segment_start": [0, 0],
            "segment_length": [3, 2],
            "segment_source": [0, 0],
            "segment_language": [-1, -1],
            "segment_quality": [-1, -1],
            "segment_bytes": [11, 7],
        }
    ]


def test_a_long_document_is_cut_into_full_rows_and_a_rest(tmp_path):
    [file] = pack(tmp_path, train(("long", [1, 2, 3, 4, 5, 6, 7]), ("s", [9])))
    rows = sorted(rows_of(tmp_path, file), key=lambda row: row["segment_start"])
    assert [row["tokens"] for row in rows] == [[1, 2, 3, 4, 5], [6, 7, END, 9, END]]
    assert [row["segment_start"] for row in rows] == [[0], [5, 0]]
    assert [row["segment_bytes"] for row in rows] == [[15], [13, 9]]


def test_a_document_whose_end_of_text_is_alone_in_the_last_piece_keeps_it(tmp_path):
    [file] = pack(tmp_path, train(("a", [1, 2, 3, 4, 5])))
    assert unpacked(rows_of(tmp_path, file), 5) == {"a": [1, 2, 3, 4, 5, END]}
    assert sorted(sum((row["segment_bytes"] for row in rows_of(tmp_path, file)), [])) == [0, 15]  # noqa: RUF017


def test_a_document_that_fills_rows_exactly_has_no_rest(tmp_path):
    [file] = pack(tmp_path, train(("a", [1, 2, 3, 4, 5, 6, 7, 8, 9])))
    assert (file.entry.rows, file.num_tokens) == (2, 10)


def test_a_document_without_tokens_is_its_end_of_text(tmp_path):
    [file] = pack(tmp_path, train(("empty", [])))
    assert unpacked(rows_of(tmp_path, file), 5) == {"empty": [END]}


def test_documents_share_rows_with_those_of_their_split_and_source_alone(tmp_path):
    documents = [
        ("a", [5], "train", "books"),
        ("b", [6], "validation", "books"),
        ("c", [7], "train", "web"),
        ("d", [8], "train", "books"),
    ]
    files = pack(tmp_path, documents)
    assert [(file.split, file.source, file.num_documents, file.entry.path) for file in files] == [
        ("train", "web", 1, "packed/4/train-0000-00003.parquet"),
        ("train", "books", 2, "packed/4/train-0001-00003.parquet"),
        ("validation", "books", 1, "packed/4/validation-0001-00003.parquet"),
    ]
    found = [(row["segment_doc"], row["segment_source"]) for file in files for row in rows_of(tmp_path, file)]
    assert found == [(["c"], [0]), (["a", "d"], [1, 1]), (["b"], [1])]


def test_each_segment_has_the_language_and_decile_of_its_document(tmp_path):
    documents = train(("a", [1, 2, 3, 4, 5]), ("b", [7]), ("c", [8]))
    write_tokens(tmp_path, documents, languages=[("a", "sw"), ("b", "en")], scores=[("a", 0.5), ("c", 0.5000001)])
    slices = Slices(["de", "en", "sw"], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    [file] = pack_written(tmp_path, slices=slices)
    found = {
        (doc, start): (language, quality)
        for row in rows_of(tmp_path, file)
        for doc, start, language, quality in zip(
            *(row[f"segment_{name}"] for name in ("doc", "start", "language", "quality")), strict=True
        )
    }
    assert found == {("a", 0): (2, 4), ("a", 5): (2, 4), ("b", 0): (1, -1), ("c", 0): (-1, 5)}


def test_a_split_without_documents_gives_no_file(tmp_path):
    assert [file.split for file in pack(tmp_path, [("b", [6], "validation", "web")])] == ["validation"]
    assert pack(tmp_path, []) == []


def test_bytes_are_shared_out_by_tokens_where_tokens_have_no_size(tmp_path):
    # 10 tokens stand for 55 bytes: 27 (27.5 rounded down) for the first five, the rest for the others.
    [file] = pack(tmp_path, train(("a", list(range(1, 11))), ("empty", [])), token_bytes=False)
    found = {
        (doc, start): size
        for row in rows_of(tmp_path, file)
        for doc, start, size in zip(row["segment_doc"], row["segment_start"], row["segment_bytes"], strict=True)
    }
    assert found == {("a", 0): 27, ("a", 5): 28, ("a", 10): 0, ("empty", 0): 0}


def test_the_schema_is_the_declared_one(tmp_path):
    for token_type in (pa.uint16(), pa.uint32()):
        [file] = pack(tmp_path, train(("a", [5])), token_type=token_type)
        assert pq.read_schema(f"{tmp_path}/{file.entry.path}").equals(packed_schema(token_type, 4))


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.lists(st.integers(1, 99), max_size=40), st.booleans()), min_size=1, max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_every_token_appears_once_and_in_order(tmp_path_factory, length, drawn):
    out = tmp_path_factory.mktemp("packed")
    documents = [
        (f"{number:02d}", tokens, "validation" if reserved else "train", SOURCES[number % 2])
        for number, (tokens, reserved) in enumerate(drawn)
    ]
    files = pack(out, documents, length)
    for file in files:
        mine = [document for document in documents if document[2:] == (file.split, file.source)]
        rows = rows_of(out, file)
        assert unpacked(rows, length + 1) == {doc_id: [*tokens, END] for doc_id, tokens, _, _ in mine}
        assert sum(sum(row["segment_bytes"]) for row in rows) == sum(sum(tokens) for _, tokens, _, _ in mine)
        assert file.num_tokens == sum(len(tokens) + 1 for _, tokens, _, _ in mine)
    assert sum(file.num_documents for file in files) == len(documents)


def test_packing_twice_gives_the_same_bytes(tmp_path):
    documents = train(*((f"{number}", list(range(number % 17))) for number in range(300)))
    assert pack(tmp_path, documents) == pack(tmp_path, documents)


def test_rows_are_not_ordered_by_length():
    num_tokens = np.arange(2000, dtype=np.int64) % 63
    pieces = place_pieces(num_tokens, [str(number) for number in range(2000)], 64)
    longest = np.maximum.reduceat(pieces.length, np.flatnonzero(np.diff(pieces.row, prepend=-1)))
    half = len(longest) // 2
    assert abs(longest[:half].mean() - longest[half:].mean()) < 3
    assert pieces.length.sum() / (len(longest) * 64) > 0.99


def test_a_source_language_or_split_that_is_not_of_this_build_is_named(tmp_path):
    with pytest.raises(IntegrityError, match=r"part-00003\.parquet: column 'source' holds 'mail', expected one of"):
        pack(tmp_path, [("a", [1], "train", "mail")])
    with pytest.raises(IntegrityError, match="column 'split' holds 'test'"):
        pack(tmp_path, [("a", [1], "test", "web")])
    write_tokens(tmp_path, train(("a", [1])), languages=[("a", "sw")])
    with pytest.raises(IntegrityError, match="column 'language' holds 'sw'"):
        pack_written(tmp_path, slices=Slices(["en"]))
