import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import text_buffers
from filters.kernels.minhash import Scheme, Signatures, band_keys, minhash_signatures, permutations
from filters.kernels.words import find_words
from tests.reference import minhash as reference

NUM_PERMUTATIONS = 12


SCHEMES: tuple[Scheme, ...] = ("affine32", "affine64")


def sign(column: pa.Array | pa.ChunkedArray, ngram: int = 2, seed: int = 1, scheme: Scheme = "affine32") -> Signatures:
    text = text_buffers(column)
    return minhash_signatures(text, find_words(text), ngram, permutations(NUM_PERMUTATIONS, seed, scheme))


def assert_as_reference(column: pa.Array | pa.ChunkedArray, ngram: int = 2) -> None:
    shingles = [reference.shingle_hashes(text, ngram) for text in column.to_pylist()]
    for scheme in SCHEMES:
        found = sign(column, ngram, scheme=scheme)
        factors, summands = (drawn.tolist() for drawn in permutations(NUM_PERMUTATIONS, 1, scheme))
        assert found.values.tolist() == [reference.signature(each, factors, summands, scheme) for each in shingles]
        assert found.num_shingles.tolist() == [len(each) for each in shingles]


TEXTS = [
    "",
    "a",
    "!",
    "The quick brown fox, he said, jumps over the “lazy” dog.",
    "don't Don’t DONT internationalization antidisestablishmentarianism's",
    "ÀÉÎ Straße ΣΊΣΥΦΟΣ Привет ПРИВЕТ ẠẬ İstanbul ÿ",
    "漢字かな交じり文、です。 mixed漢字word ภาษาไทย 𠀀𠀁x",
    "\U0001f600 \U0001f600\U0001f601 𝔘nicode",
    "tab\tnew\nline nul\0in word \x7f\x01",
    "12345678 123456789 1234567é8 1234567漢 -- ... 1,000.50",
]


def test_zero_rows_give_zero_signatures() -> None:
    found = sign(pa.array([], pa.large_string()))
    assert found.values.shape == (0, NUM_PERMUTATIONS)
    assert found.num_shingles.tolist() == []


@pytest.mark.parametrize("ngram", [1, 2, 5, 32])
def test_signatures_equal_the_reference(ngram: int) -> None:
    assert_as_reference(pa.array(TEXTS, pa.large_string()), ngram)


def test_slices_chunks_and_read_only_buffers_give_the_same() -> None:
    whole = pa.array(TEXTS, pa.large_string())
    chunked = pa.chunked_array([whole.slice(0, 4), whole.slice(4)])
    assert_as_reference(whole.slice(3, 4))
    assert_as_reference(chunked)
    copied = pa.ipc.open_stream(pa.py_buffer(_stream(whole))).read_all()["text"]
    assert not text_buffers(copied).data.flags.writeable
    assert_as_reference(copied)


def _stream(column: pa.Array) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"text": column})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


ALPHABET = "aZ09 .,'\n\0éÉßİδΔя漢カก“”—\U0001f600\U00020000\u3000\xa0"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(ALPHABET, max_size=40), max_size=4), st.integers(1, 6))
def test_random_texts_equal_the_reference(texts: list[str], ngram: int) -> None:
    assert_as_reference(pa.array(texts, pa.large_string()), ngram)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_unicode_equals_the_reference(text: str) -> None:
    assert_as_reference(pa.array([text], pa.large_string()))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_permutations_are_those_of_datasketch(scheme: Scheme) -> None:
    ours = permutations(112, 7, scheme)
    theirs = datasketch.MinHash(112, seed=7, scheme=scheme).permutations
    assert np.array_equal(ours[0], theirs[0])
    assert np.array_equal(ours[1], theirs[1])


@pytest.mark.parametrize(("scheme", "shift"), [("affine32", 32), ("affine64", 0)])
def test_signature_is_that_of_datasketch_for_the_same_shingle_hashes(scheme: Scheme, shift: int) -> None:
    text = " ".join(f"word{number % 37}" for number in range(200))
    theirs = datasketch.MinHash(NUM_PERMUTATIONS, seed=3, scheme=scheme, hashfunc=int)
    for shingle in reference.shingle_hashes(text, 5):
        theirs.update(shingle >> shift)
    found = sign(pa.array([text], pa.large_string()), ngram=5, seed=3, scheme=scheme)
    assert found.values.dtype == theirs.hashvalues.dtype
    assert found.values[0].tolist() == theirs.hashvalues.tolist()


def test_case_punctuation_and_blanks_do_not_count() -> None:
    found = sign(pa.array(["Hello, world! ÉTÉ", "hello\n\nWORLD — (été)"], pa.large_string()))
    assert found.values[0].tolist() == found.values[1].tolist()
    assert found.num_shingles.tolist() == [2, 2]


def test_order_of_words_counts_within_a_shingle() -> None:
    found = sign(pa.array(["one two", "two one"], pa.large_string()))
    assert found.values[0].tolist() != found.values[1].tolist()


def test_a_document_shorter_than_a_shingle_is_one_shingle() -> None:
    assert sign(pa.array(["one", "one two three"], pa.large_string()), ngram=5).num_shingles.tolist() == [1, 1]


def test_a_document_of_punctuation_has_no_shingle() -> None:
    found = sign(pa.array(["--- !!! …", ""], pa.large_string()))
    assert found.num_shingles.tolist() == [0, 0]
    assert set(found.values.ravel().tolist()) == {0xFFFFFFFF}


def test_each_character_is_a_word_where_a_script_has_no_blanks() -> None:
    assert sign(pa.array(["漢字文書", "한국어 문장"], pa.large_string()), ngram=1).num_shingles.tolist() == [4, 2]


def test_share_of_equal_positions_estimates_the_jaccard_of_shingle_sets() -> None:
    first = [f"w{number}" for number in range(400)]
    second = first[:300] + [f"x{number}" for number in range(100)]
    text = text_buffers(pa.array([" ".join(first), " ".join(second)], pa.large_string()))
    values = minhash_signatures(text, find_words(text), 1, permutations(4096, 1)).values
    # 300 shared of 500; 4096 draws have a standard error of 0.008.
    assert abs(np.count_nonzero(values[0] == values[1]) / 4096 - 0.6) < 0.03


def test_band_keys_equal_the_reference() -> None:
    values = np.arange(24, dtype=np.uint32).reshape(2, 12) * np.uint32(0x9E3779B9)
    assert band_keys(values, 4, 3).tolist() == [reference.band_keys(row.tolist(), 4, 3) for row in values]


def test_equal_values_in_different_bands_have_different_keys() -> None:
    assert len(set(band_keys(np.full((1, 12), 5, np.uint32), 4, 3)[0].tolist())) == 4


def test_band_keys_of_zero_rows() -> None:
    assert band_keys(np.zeros((0, 12), np.uint32), 4, 3).shape == (0, 4)
