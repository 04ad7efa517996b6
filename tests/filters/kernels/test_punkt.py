import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers
from filters.kernels.punkt import find_sentences
from filters.kernels.punkt_tokens import nltk_classes
from filters.punkt import load_english
from tests.edge_cases import EDGE_TEXTS
from tests.reference import nltk_words as slow
from tests.words import buffers

pytestmark = pytest.mark.usefixtures("punkt_data")

# Words that punkt knows in all its ways, marks, closing and other brackets, white space of many kinds.
PIECES = (
    *(
        "a",
        "The",
        "the",
        "he",
        "It",
        "According",
        "However",
        "Kan",
        "\u212aan",
        "U.S",
        "e.g",
        "p.m",
        "Mr",
        "Inc",
        "Jan",
    ),
    *("b", "B", "J", "S", "É", "ǅ", "levine", "Levine", "Magnin", "5", "3.14", "1,000", "-5", "٣", "_", "語", "é", "ß"),
    *(".", ".", ".", ". ", ". ", "..", "...", ". . .", "?", "!", '"', "'", ")", "]", "}", "(", "[", "{", "<", "`", "-"),
    *("--", ",", ";", ":", "*", "@", "#", "&", "“", "”", "’", "»", "。", "😀"),
    *(" ", " ", " ", "  ", "\n", "\n\n", "\t", "\x0b", "\x1c", "\x85", "\xa0", "\u3000"),
)


def _sentences(texts: list[str]) -> list[list[str]]:
    text = buffers(texts)
    found = find_sentences(text, text.offsets[:-1], text.offsets[1:], load_english().table)
    cut = [
        text.data[start:end].tobytes().decode()
        for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True)
    ]
    return [cut[first:last] for first, last in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


def test_what_is_known_of_words_says_where_sentences_end() -> None:
    text = (
        'Mr. Lee left at 5 p.m. on Jan. 3. He (as ever) said: "Go!" Then J. Levine of B. Levine went. It\'s 3. the end'
    )
    assert _sentences([text, " ", "", "One.  \n"]) == [
        [
            "Mr. Lee left at 5 p.m. on Jan. 3.",
            'He (as ever) said: "Go!"',
            "Then J. Levine of B. Levine went.",
            "It's 3. the end",
        ],
        [],
        [],
        ["One."],
    ]


def test_closing_marks_go_to_the_sentence_before_them() -> None:
    assert _sentences(['(He left.) She stayed. \') No."--Yes. "No." --Oh.', 'He left." ) She']) == [
        ["(He left.)", "She stayed. ')", 'No."--Yes.', '"No."', "--Oh."],
        ['He left."', ") She"],
    ]


def test_edge_texts_are_split_as_nltk_does() -> None:
    texts = [text[:5_000] for text in EDGE_TEXTS]
    assert _sentences(texts) == [slow.sentences(text) for text in texts]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), max_size=4))
def test_hard_pieces_in_any_order_are_split_as_nltk_does(texts: list[str]) -> None:
    assert _sentences(texts) == [slow.sentences(text) for text in texts]


def test_every_word_that_punkt_knows_is_known_here() -> None:
    known = slow.parameters()
    words = sorted({*known.abbrev_types, *known.sent_starters, *known.ortho_context})
    assert len(words) > 20_000
    starts = [f"a b. {word.capitalize()} c. {word} d etc. {word.title()} J. {word.capitalize()}" for word in words]
    ends = [f"x {word}. The {word.upper()}. the {word}. 5" for word in words]
    pairs = [f"{one}. {other} 5. {other} {one.upper()}. {other.title()}" for one, other in sorted(known.collocations)]
    for texts in (starts[::5], ends[::5], pairs):
        assert _sentences(texts) == [slow.sentences(text) for text in texts]


def test_spans_are_split_on_their_own() -> None:
    text = buffers(["He left. She stayed."])
    spans = np.array([0, 3, 9]), np.array([8, 3, 20])
    found = find_sentences(text, *spans, load_english().table)
    assert (found.starts.tolist(), found.ends.tolist(), found.offsets.tolist()) == ([0, 9], [8, 20], [0, 1, 1, 2])


def test_slices_and_writable_buffers_give_the_same() -> None:
    text = buffers(["Not this.", "Dr. No came. He left."])
    copied = TextBuffers(text.data.copy(), text.offsets[1:].copy())
    assert copied.data.flags.writeable
    found = find_sentences(copied, copied.offsets[:-1], copied.offsets[1:], load_english().table)
    assert (found.starts - 9).tolist() == [0, 13]


def test_long_hostile_runs_take_time_in_proportion() -> None:
    texts = [
        "." * 300_000,
        ". " * 200_000,
        "a.)" * 100_000,
        "x. " + "y!" * 200_000,
        "a." + " " * 300_000,
        "-." * 100_000,
    ]
    assert [len(found) for found in _sentences(texts)] == [1, 200_000, 1, 1, 1, 1]


def test_classes_of_code_points_are_pythons() -> None:
    assert len(nltk_classes()) == 0x110000 + 2
    assert nltk_classes()[[ord("a"), ord("_"), ord("5"), 0x1C, ord("É"), 0x110000]].tolist() == [37, 4, 8, 2, 21, 0]
