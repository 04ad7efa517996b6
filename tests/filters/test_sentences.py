from functools import cache
from importlib import metadata
from pathlib import Path

import nltk
import nltk.tokenize.punkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.c4 import C4
from filters.kernels.lines import find_lines
from filters.sentences import SentenceDefinition, count_sentences, sentences_version
from manifests.errors import ModelError, RecipeError
from tests.edge_cases import measure
from tests.words import buffers

LINES = (
    "The river rises. It is long!  Is it? Yes... no.",
    "Mr. Smith met Dr. J. Jones vs. Gen. Lee at 5 p.m. Then he left.",
    'He said "Go." Then (he left.) They stayed.',
    "no mark",
    "",
    "   ",
    "Costs rose 3.5 percent in Jan. 2004. See fig. 3, e.g. the U.S. map.",
)
PIECES = ("Dr", "U.S", "a", "The", "3", ".", "...", "!", "?", '"', ")", "'", " ", " ", "é", "語。")


@pytest.fixture(scope="session")
def punkt() -> str:
    """NLTK's punkt_tab.zip, as llama-index-core carries it."""
    name = "llama_index/core/_static/nltk_cache/tokenizers/punkt_tab.zip"
    return str(metadata.distribution("llama-index-core").locate_file(name))


def _counts(lines: list[str] | tuple[str, ...], definition: SentenceDefinition, path: str | None = None) -> list[int]:
    text = buffers(["\n".join(lines)])
    return count_sentences(text, find_lines(text), definition, path).tolist()


def test_native_sentences_end_at_marks_before_a_capital_but_for_titles() -> None:
    assert _counts(LINES, "native") == [4, 2, 3, 1, 0, 1, 3]


def test_punkt_knows_times_and_months(punkt: str) -> None:
    assert _counts(LINES, "punkt", punkt) == [4, 1, 3, 1, 0, 0, 4]


def test_spacy_counts_an_empty_line_too() -> None:
    assert _counts(LINES, "spacy") == [4, 1, 3, 1, 1, 1, 3]


def test_lines_of_all_documents_are_counted_apart() -> None:
    text = buffers(["One. Two.\nThree", "", "Four. Five. Six."])
    assert count_sentences(text, find_lines(text), "native").tolist() == [2, 1, 0, 3]


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES)))
def test_punkt_counts_as_nltk_does(punkt: str, pieces: list[str]) -> None:
    line = "".join(pieces)
    assert _counts([line], "punkt", punkt) == [len(_nltk_splitter(punkt).tokenize(line))]


@cache
def _nltk_splitter(punkt: str) -> nltk.tokenize.punkt.PunktTokenizer:
    """NLTK's own, with the parameters that NLTK itself reads."""
    nltk.data.path.append(str(Path(punkt).parent.parent))
    return nltk.tokenize.punkt.PunktTokenizer("english")


def test_what_punkt_needs_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="needs `punkt`, the path of punkt_tab.zip"):
        C4(sentences="punkt").check()
    path = tmp_path / "punkt_tab.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(ModelError, match=r"holds no punkt_tab/english/collocations.tab"):
        C4(sentences="punkt", punkt=str(path)).check()


def test_c4_counts_by_the_splitter_it_names(punkt: str) -> None:
    text = "We met Dr. J. Jones on Jan. 5 in the U.S. at 5 p.m. and left then."
    counts = [measure(rule, "num_sentences", [text]) for rule in (C4(), C4(sentences="punkt", punkt=punkt))]
    assert counts == [[2.0], [1.0]]
    assert sentences_version("native") is None
    assert C4().measuring() != C4(sentences="punkt", punkt=punkt).measuring()
