"""Mentions of identity groups: what counts, what does not, and that the kernel agrees with its twin."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.base import Documents
from filters.kernels.buffers import text_buffers
from filters.kernels.mentions import count_terms, fold_table
from filters.mentions import GROUPS, Mentions, build_table, read_lexicon
from manifests.errors import ModelError
from tests.edge_cases import EDGE_TEXTS, check_filter, measure
from tests.reference import mentions as twin

BUILT_IN = Path(__file__).resolve().parents[2] / "filters" / "lexicons" / "identity_en.toml"

# Small alphabet, so that random texts hit terms, their beginnings, and every kind of separator.
TERMS = {
    "a": {"gender"},
    "a b": {"ethnicity"},
    "a b c": {"age", "religion"},
    "b c": {"disability"},
    "é-ö": {"orientation"},
    "𐐀 a": {"nationality"},
}
PIECES = [
    "a",
    "A",
    "b",
    "B",
    "c",
    "é",
    "É",
    "ö",
    "𐐀",
    "𐐨",
    "😀",
    "漢",
    "𠀀",
    "\u0301",
    "İ",
    " ",
    "\n",
    "-",
    "’",
    ".",
    ",",
    "_",
    "\0",
]


def counts(text: str) -> dict[str, float]:
    table = pa.table({"text": pa.array([text], pa.large_string())})
    return {group: float(values[0]) for group, values in Mentions().score(Documents(table)).items() if values[0]}


def kernel_counts(column: pa.Array | pa.ChunkedArray) -> list[list[int]]:
    masks = {term: sum(1 << GROUPS.index(group) for group in groups) for term, groups in TERMS.items()}
    text, table = text_buffers(column), build_table(masks)
    found = count_terms(text.data, text.offsets, fold_table(), table.keys, table.masks, len(GROUPS))
    return [[int(value) for value in row] for row in found.T]


def twin_counts(texts: list[str]) -> list[list[int]]:
    return [twin.count_terms(text, TERMS, GROUPS) for text in texts]


def test_mentions_are_counted_by_group():
    assert counts("Deaf women and African-American men met.") == {"disability": 1.0, "gender": 2.0, "ethnicity": 1.0}


def test_ambiguous_words_count_only_in_phrases():
    assert counts("A black car, a straight line, a blind test, an old native build.") == {}
    assert counts("Black people, straight couples, blind people, old people.") == {
        "ethnicity": 1.0,
        "orientation": 1.0,
        "disability": 1.0,
        "age": 1.0,
    }


def test_a_sentence_end_separates_the_words_of_a_phrase():
    assert counts("We painted it black. People came.") == {}


def test_the_longest_term_wins_so_native_americans_are_no_nationality():
    assert counts("Native  Americans\nand Americans") == {"ethnicity": 1.0, "nationality": 1.0}


def test_a_term_may_count_in_several_groups():
    assert counts("black women") == {"gender": 1.0, "ethnicity": 1.0}
    assert counts("Jews") == {"ethnicity": 1.0, "religion": 1.0}


def test_possessives_and_typographic_apostrophes_do_not_hide_a_term():
    assert counts("Women’s rights; Jehovah’s Witnesses; girls' school") == {"gender": 2.0, "religion": 1.0}


def test_case_is_folded_beyond_ascii():
    assert counts("MÉTIS and Māori and MĀORI") == {"ethnicity": 3.0}


def test_words_that_only_contain_a_term_do_not_count():
    assert counts("management, germane, boycott, sonata, chinesey") == {}


def test_every_filter_edge_case_holds():
    check_filter(Mentions())


def test_kernel_equals_its_twin_on_edge_texts():
    texts = [
        "",
        "a",
        "𐐀 a",
        "a b c",
        "a-b’c",
        "a. b c",
        "a b",
        "b c a b",
        "x a b x",
        *(text[:2000] for text in EDGE_TEXTS),
    ]
    assert kernel_counts(pa.array(texts, pa.large_string())) == twin_counts(texts)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), max_size=4))
def test_kernel_equals_its_twin_on_random_texts(texts):
    assert kernel_counts(pa.array(texts, pa.large_string())) == twin_counts(texts)


def test_kernel_equals_its_twin_on_slices_chunks_and_read_only_buffers():
    texts = ["a b", "É-Ö a", "", "b c. a"]
    padded = pa.array(["a a a", *texts, "a"], pa.large_string()).slice(1, 4)
    chunked = pa.chunked_array([pa.array(texts[:2], pa.large_string()), pa.array(texts[2:], pa.large_string())])
    writable = pa.array(texts, pa.large_string())
    buffers = [None, *(pa.py_buffer(buffer.to_pybytes()) for buffer in writable.buffers()[1:])]
    read_only = pa.Array.from_buffers(pa.large_string(), 4, buffers)
    assert not text_buffers(read_only).data.flags.writeable
    for column in (padded, chunked, read_only):
        assert kernel_counts(column) == twin_counts(texts)
    assert kernel_counts(pa.array([], pa.large_string())) == []


def test_no_term_is_listed_twice_in_a_group_and_every_group_has_several_dozen():
    lexicon = read_lexicon(BUILT_IN.read_bytes(), "identity_en.toml")
    assert tuple(lexicon) == GROUPS
    for terms in lexicon.values():
        assert len(terms) == len(set(terms)) >= 36


def test_every_built_in_term_is_counted_in_each_of_its_groups():
    lexicon = read_lexicon(BUILT_IN.read_bytes(), "identity_en.toml")
    for group, terms in lexicon.items():
        assert measure(Mentions(), group, terms) == [1.0] * len(terms)


def test_a_lexicon_for_another_language_is_added_and_en_is_replaced(tmp_path):
    german, english = tmp_path / "de.toml", tmp_path / "en.toml"
    german.write_text('gender = ["Frauen", "Mädchen"]\n', encoding="utf-8")
    english.write_text('gender = ["folk"]\n', encoding="utf-8")
    added = Mentions(lexicons={"de": str(german)})
    replaced = Mentions(lexicons={"en": str(english)})
    texts = ["Frauen, MÄDCHEN", "women", "folk"]
    assert measure(added, "gender", texts) == [2.0, 1.0, 0.0]
    assert measure(replaced, "gender", texts) == [0.0, 0.0, 1.0]


def test_the_stage_digest_follows_the_content_of_a_lexicon_not_its_path(tmp_path):
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text('age = ["teens"]\n')
    second.write_text('age = ["teens"]\n')
    before = Mentions(lexicons={"en": str(first)}).measuring()
    assert Mentions(lexicons={"en": str(second)}).measuring() == before
    second.write_text('age = ["elders"]\n')
    assert Mentions(lexicons={"en": str(second)}).measuring() != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('race = ["x"]', "unknown group 'race'; the groups are gender, ethnicity"),
        ('age = "teens"', "'age' must be a list of strings"),
        ('age = ["..."]', "the term '...' in 'age' has no letter or digit"),
        ("age = [", "is not TOML in UTF-8"),
    ],
)
def test_a_lexicon_that_cannot_be_used_is_named_with_its_fault(tmp_path, content, message):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(ModelError, match=message) as caught:
        Mentions(lexicons={"en": str(path)}).check()
    assert str(path) in str(caught.value)


def test_a_missing_lexicon_is_named(tmp_path):
    with pytest.raises(ModelError, match="identity lexicon for 'fr' cannot be read: No such file"):
        Mentions(lexicons={"fr": str(tmp_path / "none.toml")}).check()


def test_counts_are_whole_float64_numbers():
    table = pa.table({"text": pa.array(["women, men", ""], pa.large_string())})
    values = Mentions().score(Documents(table))["gender"]
    assert values.dtype == np.float64
    assert values.tolist() == [2.0, 0.0]
