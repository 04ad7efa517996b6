import fasttext
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.words_fasttext import find_words
from tests.words import buffers, check_definition, found_words


def _fasttext_words(text: str) -> list[str]:
    return [word for word in fasttext.tokenize(text) if word != "</s>"]


def test_only_ascii_blanks_and_nul_separate() -> None:
    text = "a b\u00a0c\nd\te\x0bf\x0cg\x00h\ri\x1cj\u2028k"
    assert found_words(find_words, buffers([text])) == [["a", "b\u00a0c", *"defgh", "i\x1cj\u2028k"]]


def test_hard_batches_agree_with_fasttext() -> None:
    check_definition(find_words, _fasttext_words)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab.9 \n\t\r\x0b\x0c\x00\x1c\xa0\u3000é語😀"), max_size=40), max_size=4))
def test_words_agree_with_fasttext(texts: list[str]) -> None:
    assert found_words(find_words, buffers(texts)) == [_fasttext_words(text) for text in texts]
