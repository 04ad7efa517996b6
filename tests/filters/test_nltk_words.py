import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import punkt
from filters.gopher_quality import GopherQuality
from filters.madlad import Madlad
from filters.nltk_words import find_words
from filters.words import words_version
from manifests.errors import ModelError, RecipeError
from tests.reference import nltk_words as slow
from tests.shared import nltk_data
from tests.words import buffers, check_definition, found_words

pytestmark = pytest.mark.usefixtures("punkt_data")

# Everything that some expression of NLTK's looks for, and what is like it.
PIECES = (
    *("a", "The", "word", "Mr", "b", "t", "s", "5", "3.14", "1,000", "é", "İ", "ı", "ſ", "\u212a", "٣", "語", "_", "/"),
    *(".", ".", "..", "...", "?", "!", '"', '"', "'", "'", "''", "`", "``", "```", ")", "(", "]", "}", "{", "[", "<"),
    *(">", ";", ":", ",", ",", "*", "@", "#", "$", "%", "&", "-", "--", "---", "“", "”", "’", "‘", "„", "«", "»", "—"),
    *(
        "’",
        "…",
        "😀",
        "'s",
        "'S",
        "'m",
        "'d",
        "'ll",
        "'LL",
        "'Ll",
        "'re",
        "'RE",
        "'ve",
        "n't",
        "N'T",
        "n'T",
        "'n'",
        "'x",
    ),
    *(
        "cannot",
        "CANNOT",
        "d'ye",
        "gimme",
        "gımme",
        "gonna",
        "gotta",
        "lemme",
        "more'n",
        "wanna",
        "'tis",
        "'tiſ",
        "'twas",
    ),
    *(" ", " ", " ", " ", " ", "  ", "\n", "\n\n", "\t", "\x0b", "\x1c", "\x85", "\xa0", "\u3000"),
)


def _agrees(texts: list[str]) -> None:
    assert found_words(find_words, buffers(texts)) == [slow.words(text) for text in texts]


def test_quotes_contractions_and_marks_are_cut_as_nltk_does() -> None:
    text = "\"Don't,\" she said, \"can't we've (really) cannot pay $3.50--or 5%?\" He'd: 'Go!' ..."
    expected = (
        "`` Do n't , '' she said , `` ca n't we 've ( really ) can not pay $ 3.50 -- or 5 % ? '' He 'd : 'Go ! ' ..."
    )
    assert found_words(find_words, buffers([text])) == [expected.split()]


def test_only_the_last_period_of_a_sentence_is_a_word() -> None:
    texts = ["We met Mr. Lee. (He left.) ' )", "See p. 5. e.g. this", "x,y 1,2 a: 1:2"]
    assert found_words(find_words, buffers(texts)) == [
        ["We", "met", "Mr.", "Lee", ".", "(", "He", "left", ".", ")", "'", ")"],
        ["See", "p.", "5.", "e.g", ".", "this"],
        ["x", ",", "y", "1,2", "a", ":", "1:2"],
    ]


def test_an_ending_is_cut_before_a_blank_and_not_before_a_line_feed() -> None:
    texts = ["it's isn't\nisn't\tdon't", "'tis\n'tis 'twas"]
    assert found_words(find_words, buffers(texts)) == [
        ["it", "'s", "isn't", "isn't", "do", "n't"],
        ["'t", "is", "'tis", "'t", "was"],
    ]


def test_quotation_marks_that_nltk_puts_in_stand_behind_the_text() -> None:
    text = buffers(["before", '"a" ``b``'])
    words = find_words(text)
    assert words.data.tobytes() == b"before" + b'"a" ``b``' + b"``''"
    assert words.starts.tolist() == [0, 15, 7, 17, 10, 12, 13]
    # The same words have the same hash wherever they stand.
    assert words.hashes[1] == words.hashes[4] == words.hashes[6]
    assert words.hashes[1] != words.hashes[3]
    assert words.num_chars.tolist() == [6, 2, 1, 2, 2, 1, 2]
    assert words.has_letter.tolist() == [True, False, True, False, False, True, False]


def test_hard_batches_agree_with_nltk() -> None:
    check_definition(find_words, slow.words)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=16).map("".join), max_size=4))
def test_hard_pieces_in_any_order_are_cut_as_nltk_does(texts: list[str]) -> None:
    _agrees(texts)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=3))
def test_any_text_is_cut_as_nltk_does(texts: list[str]) -> None:
    _agrees([text.encode("utf-8", "replace").decode() for text in texts])


def test_every_pair_of_pieces_is_cut_as_nltk_does_at_the_start_the_end_and_within() -> None:
    pieces = sorted(set(PIECES))
    texts = [f"{one}{other} x {one}{other} x{one}{other}" for one in pieces for other in pieces]
    assert len(texts) > 5_000
    _agrees(texts)


def test_long_hostile_chunks_take_time_in_proportion() -> None:
    texts = ["`" * 100_000, '"' * 100_000, ". )" * 100_000, "x" * 1_000_000, "n't" * 100_000, "語、" * 100_000]
    assert [len(words) for words in found_words(find_words, buffers(texts))] == [
        50_000,
        100_000,
        200_000,
        1,
        2,
        1,
    ]
    _agrees([text[:3000] for text in texts])


def test_the_folder_and_the_archive_of_nltk_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english = Path(nltk_data(), "tokenizers", "punkt_tab", "english")
    (tmp_path / "tokenizers").mkdir()
    with zipfile.ZipFile(tmp_path / "tokenizers" / "punkt_tab.zip", "w") as archive:
        for file in english.iterdir():
            archive.write(file, f"punkt_tab/english/{file.name}")
    version = words_version("nltk")
    _reload(monkeypatch, tmp_path)
    assert words_version("nltk") == version


def _reload(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the data be looked for in this folder and no other; what is loaded now is loaded again after the test."""
    monkeypatch.setattr(punkt, "load_english", punkt.load_english.__wrapped__)
    monkeypatch.setattr(punkt, "_data_folders", lambda: [folder])


def test_missing_or_broken_data_are_named_before_documents_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reload(monkeypatch, tmp_path)
    with pytest.raises(RecipeError, match=r"in none of its folders .*python -m nltk.downloader punkt_tab"):
        GopherQuality(words="nltk").check()
    archive = tmp_path / "tokenizers" / "punkt_tab.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"no archive")
    with pytest.raises(ModelError, match=r"punkt_tab.zip: is no archive"):
        GopherQuality(words="nltk").check()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("punkt_tab/english/collocations.tab", "a\tb\n")
    with pytest.raises(ModelError, match="is not punkt_tab's English"):
        GopherQuality(words="nltk").check()


def test_data_of_another_kind_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english = tmp_path / "tokenizers" / "punkt_tab" / "english"
    english.mkdir(parents=True)
    for name in ("abbrev_types.txt", "collocations.tab", "sent_starters.txt"):
        (english / name).write_text("a\tb\n", "utf-8")
    _reload(monkeypatch, tmp_path)
    for context, error in (("the\tmany\n", "invalid literal"), ("größe\t4\n", "ASCII in lower case; got .'größe'.")):
        (english / "ortho_context.tab").write_text(context, "utf-8")
        with pytest.raises(ModelError, match=error):
            GopherQuality(words="nltk").check()


def test_what_is_measured_names_the_data_of_the_definition() -> None:
    assert GopherQuality(words="nltk").measuring()["words_version"] == words_version("nltk")
    assert str(words_version("nltk")).startswith("NLTK 3.8.1, punkt sha256:")


def test_a_rule_that_needs_words_inside_sentences_takes_no_nltk_words() -> None:
    with pytest.raises(ValueError, match="'whitespace', 'uax29', 'fasttext' or 'spacy_en'"):
        Madlad.model_validate({"words": "nltk"})
