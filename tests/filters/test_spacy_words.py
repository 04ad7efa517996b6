import json
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import spacy
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import spacy_words
from filters.gopher_quality import GopherQuality
from filters.spacy_words import find_words
from filters.words import words_version
from manifests.errors import RecipeError
from tests.bench.measures import web_texts
from tests.reference import spacy_words as slow
from tests.shared import SHARED, shared_data
from tests.words import buffers, check_definition, found_words

# Pieces of which hard chunks are made: affixes, special cases and parts of them, units, addresses, odd white space.
PIECES = (
    *("a", "Ab", "ABC", "x.y", "word", "Dr.", "e.g.", "a.m.", "5p.m.", "don't", "can’t", "he's", "'s", "’S", "gonna"),
    *("it", "and/or", "w/o", "C++", "Ph.D.", "o.O", "8-D", "10", "3.14", "1,000", "٣", "5km", "km/h", "m²", "%", "°C."),
    *("°", "$", "US$", "C$", "€", "+", "-", "--", "---", "–", "—", "——", "~", "_", "=", "/", ":", ";", ",", ".", ".."),
    *("...", "…", "……", "!", "?", "(", ")", "[", "]", "{", "<", ">", '"', "'", "''", "“", "”", "‘", "’", "«", "#", "*"),
    *(":)", ":-)", ":'(", "^_^", "(o:", "<3", "(*_*)", "><(((*>", "(╯°□°）╯︵┻━┻", "ಠ"),
    *("http://", "www.", "a.com", "x@y.org", "://", "@"),
    *(
        "1.2.3.4",
        "127.0.0.1",
        ":80",
        "?q=1",
        "#f",
        "é",
        "ß",
        "Ж",
        "中文",
        "。",
        "、",
        "か",
        "ก",
        "א",
        "ع",
        "😀",
        "𐍈",
        "\u0301",
    ),
    *(" ", " ", " ", "  ", "\n", "\t", "\xa0", "\u3000", "\x1c", "\x85", "\x00", "\x07", "\u200b", "\ufeff", "\\"),
)
ADDRESS_PIECES = (
    *("http://", "ftp+x.y://", "a@", "@", "u:p@", "www.", "x.", "é.", "-", "_", "co", "com", "Uk", "中文", "1", "10"),
    *("127", "172.16", "223.", "255.", "0.1", "٣", ".", ":", ":80", ":123456", "/", "?", "#", "x" * 64),
)


@cache
def _tokenizer() -> spacy.tokenizer.Tokenizer:
    return spacy.blank("en").tokenizer


def _words(text: str) -> list[str]:
    return slow.words(_tokenizer(), text)


def _agrees(texts: list[str]) -> None:
    assert found_words(find_words, buffers(texts)) == [_words(text) for text in texts]


def test_contractions_marks_units_and_addresses_are_cut_as_spacy_does() -> None:
    text = "Don't (really) pay 5km/h US$3.50, e.g. at U.S.A. http://x.y/z?q=1 a.com/b?c=1. a-b, 10a.m. x:) end...of"
    expected = (
        "Do n't ( really ) pay 5 km/h US$ 3.50 , e.g. at U.S.A. http://x.y / z?q=1 a.com/b?c=1 . a - b , 10 a.m. x :) "
        "end ... of"
    )
    assert found_words(find_words, buffers([text])) == [expected.split()]


def test_a_special_case_that_goes_on_behind_a_blank_is_left_in_pieces() -> None:
    # ":))" is longer than ":)" and is looked for first, but it is no chunk; a second blank is a token between them.
    texts = ["x:) ) y", "x:)  ) y", "x:)\n) y", "x:", ") y"]
    assert found_words(find_words, buffers(texts)) == [
        ["x", ":", ")", ")", "y"],
        ["x", ":)", ")", "y"],
        ["x", ":)", ")", "y"],
        ["x", ":"],
        [")", "y"],
    ]
    _agrees(texts)


def test_hard_batches_agree_with_spacy() -> None:
    check_definition(find_words, _words)


def test_every_special_case_is_cut_as_spacy_does_alone_and_between_affixes() -> None:
    specials = sorted(_tokenizer().rules)
    assert len(specials) > 1000
    for before, after in (("", ""), ("(", "."), ("'", "'s"), ("x", ","), ("5", ":)"), ("“", "…")):
        _agrees([" ".join(before + special + after for special in specials)])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=4))
def test_hard_pieces_in_any_order_are_cut_as_spacy_does(texts: list[str]) -> None:
    _agrees(texts)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(ADDRESS_PIECES),
        max_size=9,
    ).map("".join)
)
def test_addresses_are_kept_whole_as_spacy_does(chunk: str) -> None:
    _agrees([chunk, f"({chunk})."])


def test_long_hostile_chunks_take_time_in_proportion() -> None:
    # spaCy's own expression for addresses takes cubic time on the first.
    num_words = [len(words) for words in found_words(find_words, buffers(["a.bb" + ":@" * 100_000, ")" * 300_000]))]
    assert num_words == [1, 300_000]
    _agrees([":)" * 2000, "x:) " * 2000, "a@" * 50 + "b.com"])


def test_a_missing_or_unknown_spacy_is_refused_before_data_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    spacy_words.load_english.cache_clear()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(spacy_words, "_KNOWN_EXPRESSIONS", "0" * 64)
            with pytest.raises(RecipeError, match=r"cuts English by other expressions than 3.8 does"):
                GopherQuality(words="spacy_en").check()
            patch.setattr(spacy_words.importlib.util, "find_spec", lambda name: None)
            with pytest.raises(RecipeError, match=r'is not installed here: pip install "spacy>=3.8,<3.9"'):
                GopherQuality(words="spacy_en").check()
    finally:
        spacy_words.load_english.cache_clear()
    GopherQuality(words="spacy_en").check()


def test_what_is_measured_names_the_tables_of_the_definition() -> None:
    plain, english = GopherQuality().measuring(), GopherQuality(words="spacy_en").measuring()
    assert "words_version" not in plain
    assert english["words_version"] == words_version("spacy_en") == f"sha256:{spacy_words.load_english().digest}"


def _shared_texts() -> Iterator[str]:
    """Every text of the labelled data that has one: web pages, gold texts, prose, passages in 468 languages, ..."""
    yield from web_texts(100)
    for path in sorted([*(SHARED / "web").glob("gold*.zst"), *(SHARED / "text").glob("*/*.jsonl.zst")]):
        with path.open("rb") as stream:
            for line in zstandard.ZstdDecompressor().stream_reader(stream).read().splitlines():
                row = json.loads(line)
                yield from (value for value in row.values() if isinstance(value, str))


@pytest.mark.shared
@pytest.mark.slow
def test_all_shared_text_is_cut_as_spacy_does() -> None:
    """Every different chunk of the shared text, and every 60th text as a whole."""
    shared_data("web", "wet")
    texts = [text.encode("utf-8", "replace").decode() for text in _shared_texts()]
    chunks = sorted({chunk for text in texts for chunk in text.split()})
    assert len(chunks) > 500_000
    _agrees_in_parts(["\n".join(chunks[start : start + 1000]) for start in range(0, len(chunks), 1000)])
    _agrees_in_parts(texts[::60])


def _agrees_in_parts(texts: list[str]) -> None:
    """As _agrees; spaCy keeps every string that it has seen, so a new one takes over now and then."""
    sizes = np.cumsum([len(text) for text in texts])
    for part in np.split(np.arange(len(texts)), np.searchsorted(sizes, np.arange(3_000_000, sizes[-1], 3_000_000))):
        tokenizer = spacy.blank("en").tokenizer
        here = [texts[number] for number in part]
        assert found_words(find_words, buffers(here)) == [slow.words(tokenizer, text) for text in here]
