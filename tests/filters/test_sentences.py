import pytest

from filters.base import Documents
from filters.c4 import C4
from filters.sentences import SentenceDefinition, count_sentences, sentences_version
from tests.edge_cases import batch, measure

LINES = (
    "The river rises. It is long!  Is it? Yes... no.",
    "Mr. Smith met Dr. J. Jones vs. Gen. Lee at 5 p.m. Then he left.",
    'He said "Go." Then (he left.) They stayed.',
    "no mark",
    "",
    "   ",
    "Costs rose 3.5 percent in Jan. 2004. See fig. 3, e.g. the U.S. map.",
)


def _counts(lines: list[str] | tuple[str, ...], definition: SentenceDefinition) -> list[int]:
    return count_sentences(Documents(batch(["\n".join(lines)])), definition).tolist()


def test_native_sentences_end_at_marks_before_a_capital_but_for_titles() -> None:
    assert _counts(LINES, "native") == [4, 2, 3, 1, 0, 1, 3]


@pytest.mark.usefixtures("punkt_data")
def test_punkt_knows_times_and_months() -> None:
    assert _counts(LINES, "punkt") == [4, 1, 3, 1, 0, 0, 4]


def test_spacy_counts_an_empty_line_too() -> None:
    assert _counts(LINES, "spacy") == [4, 1, 3, 1, 1, 1, 3]


def test_lines_of_all_documents_are_counted_apart() -> None:
    documents = Documents(batch(["One. Two.\nThree", "", "Four. Five. Six."]))
    assert count_sentences(documents, "native").tolist() == [2, 1, 0, 3]


@pytest.mark.usefixtures("punkt_data")
def test_c4_counts_by_the_splitter_it_names() -> None:
    text = "We met Dr. J. Jones on Jan. 5 in the U.S. at 5 p.m. and left then."
    counts = [measure(rule, "num_sentences", [text]) for rule in (C4(), C4(sentences="punkt"))]
    assert counts == [[2.0], [1.0]]
    assert sentences_version("native") is None
    assert C4().measuring() != C4(sentences="punkt").measuring()
