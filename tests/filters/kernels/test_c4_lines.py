import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.c4_lines import COUNTS, LineRules, clean_lines, strip_texts
from tests.edge_cases import EDGE_TEXTS
from tests.reference.c4 import clean

PIECES = (
    "a", "Dr.", "B.", "Hello", "is", "it.", "No!", 'said."', "...", "[12]", "[]", "[edit]", "[citation needed]", "[x]",
    "{", "JavaScript", "lorem ipsum", "Lorem", "Terms of Use", "use of cookies", "Uses Cookies", "privacy  policy",
    "privacy policy", "cookie policy", "use cookies", "語。", "é", "\u00a0", "\t", "\n", "\n", "?", "w" * 12,
    "[१٢]", "\r", "\u2028", "use coo\u212aies", "COO\u212aIE POLICY", "\u212a", "\u2018", "n'", "javascript {",
)  # fmt: skip

MARKS = '.?!"'


def _cleaned(texts: list[str], rules: LineRules) -> list[tuple[str, dict[str, int]]]:
    buffers = text_buffers(pa.array(texts, pa.large_string()))
    cleaned, counts = clean_lines(buffers, rules)
    cleaned.validate(full=True)
    return [
        (text, dict(zip(COUNTS, counts[:, row].tolist(), strict=True))) for row, text in enumerate(cleaned.to_pylist())
    ]


def _expected(text: str, rules: LineRules) -> tuple[str, dict[str, int]]:
    cleaned, counts = clean(
        text,
        rules.end_marks,
        rules.min_words_per_line or 0,
        rules.max_word_chars or 1 << 40,
        rules.citations_are_words,
    )
    return cleaned, {name: int(counts[name]) for name in COUNTS}


def test_sentences_are_counted_past_titles_and_initials() -> None:
    text = 'Mr. J. Smith met Dr. Jones in May. They spoke ("long enough!") Then they left, e.g. by train.'
    assert _cleaned([text], LineRules(MARKS, 5, 1000))[0][1]["num_sentences"] == 3


def test_a_line_is_read_no_further_than_its_end() -> None:
    # The first line is written and taken back; the second ends where the first had its brace.
    removed, kept = "javascript is here{ and more words.", "a b c d e f g h i!"
    assert removed[len(kept)] == "{"
    assert _cleaned([f"{removed}\n{kept}"], LineRules(MARKS, 5, 1000))[0][1]["num_curly_brace_lines"] == 0


def test_a_phrase_is_found_wherever_it_lies_in_the_line_and_in_any_letter_case() -> None:
    phrases = ("javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
               "use cookies", "use coo\u212aies", "lorem ipsum")  # fmt: skip
    lines = ["x" * shift + write(phrase) for phrase in phrases for shift in range(17) for write in (str, str.upper)]
    counts = [counts for _, counts in _cleaned(lines, LineRules("", None, None))]
    assert [row["num_lines_removed"] for row in counts] == [1] * (8 * 34) + [0] * 34
    assert [row["num_lorem_ipsum_lines"] for row in counts] == [0] * (8 * 34) + [1] * 34


def test_a_slice_two_chunks_and_writable_buffers_give_the_same_text() -> None:
    column = pa.array(["before\r", "one [1] two.\x85no", "", "😀 three!\u2028 é?\n", "\nafter."], pa.large_string())
    text = text_buffers(column.slice(1, 3))
    chunks = text_buffers(pa.chunked_array([column.slice(1, 2), column.slice(3, 1)]))
    for buffers in (text, chunks, TextBuffers(text.data.copy(), text.offsets.copy())):
        cleaned, counts = clean_lines(buffers, LineRules(MARKS, 1, 1000))
        assert cleaned.to_pylist() == ["one  two.", "", "😀 three!\né?"]
        assert counts[COUNTS.index("num_lines_removed")].tolist() == [1, 0, 0]
    assert clean_lines(text_buffers(column.slice(0, 0)), LineRules(MARKS, 1, 1000))[0].to_pylist() == []


def test_edge_texts_agree_with_the_slow_twin() -> None:
    rules = LineRules(MARKS, 5, 1000)
    assert _cleaned(list(EDGE_TEXTS), rules) == [_expected(text, rules) for text in EDGE_TEXTS]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=40), max_size=4),
    st.sampled_from([" ", ""]),
    st.builds(
        LineRules,
        st.sampled_from(["", MARKS, MARKS + "'"]),
        st.sampled_from([None, 1, 3]),
        st.sampled_from([None, 10]),
        st.booleans(),
    ),
)
def test_lines_agree_with_the_slow_twin(documents: list[list[str]], space: str, rules: LineRules) -> None:
    texts = [space.join(pieces) for pieces in documents]
    assert _cleaned(texts, rules) == [_expected(text, rules) for text in texts]


def test_texts_are_stripped_as_python_strips_them() -> None:
    texts = ["", " ", "a", "\u3000 a b \x1f\n", "\nété\t", "x\u2029"]
    column = pa.array(["before ", *texts, " after"], pa.large_string())
    for cut in (column.slice(1, len(texts)), pa.array(texts, pa.large_string())):
        stripped = strip_texts(cut)
        stripped.validate(full=True)
        assert stripped.to_pylist() == [text.strip() for text in texts]
    assert strip_texts(column.slice(0, 0)).to_pylist() == []
