from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.normalize import check, normalize
from corpus.recipe import Normalize
from manifests.errors import RecipeError
from manifests.shards import write_bytes

OFF: dict[str, Any] = {
    "unicode": "none",
    "line_ends": False,
    "control_characters": False,
    "zero_width": False,
    "blank_runs": False,
}
# Characters for which the options differ, and some for which they do not.
ALPHABET = (
    "aEé\u0301\u030c\u0327 \t\u00a0\u3000\n\r\x0b\x0c\u0085\u2028\u2029\x00\x07\x9f\u00ad\u200b\u200c\u200d\u2060\ufeff"
    "कि\u093c\u094dل\u064e\u0592\u2764\ufe0f\U0001f469ﬁ½¨①İΣ가\u1161\u11a8.!'\u2019-\U0001f130"
)
TEXTS = st.text(st.one_of(st.sampled_from(ALPHABET), st.characters(codec="utf-8")), max_size=12)
CONFIGS = st.builds(
    Normalize,
    unicode=st.sampled_from(["NFC", "NFKC", "none"]),
    line_ends=st.booleans(),
    control_characters=st.booleans(),
    zero_width=st.booleans(),
    blank_runs=st.booleans(),
    lowercase=st.booleans(),
    strip_punctuation=st.booleans(),
)


def _normalized(texts: list[str], config: Normalize) -> list[str]:
    table = pa.table({"id": range(len(texts)), "text": pa.array(texts, pa.large_string())})
    result = normalize(table, config)
    assert result["id"].to_pylist() == list(range(len(texts)))
    assert result.schema == table.schema
    column: list[str] = result["text"].to_pylist()
    return column


def _only(**option: Any) -> Normalize:
    return Normalize(**{**OFF, **option})


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ({"unicode": "NFC"}, "e\u0301 ﬁ ½ a", "é ﬁ ½ a"),
        ({"unicode": "NFKC"}, "e\u0301 ﬁ ½ a", "é fi 1\u20442 a"),
        ({"line_ends": True}, "a\r\nb\rc\x0bd\x0ce\u0085f\u2028g\u2029h\n\r\ni", "a\nb\nc\nd\ne\nf\ng\nh\n\ni"),
        ({"control_characters": True}, "a\x00\x07\t\n\r\x7f\x80\x9f\ufff9b", "a\t\n\rb"),
        ({"zero_width": True}, "a\u00ad\u200b\u2060\ufeff\u180eb\u200e", "ab\u200e"),
        ({"blank_runs": True}, " \n a \t\u00a0b \u3000\n\n \n\nc  \n", "a b\n\nc"),
        ({"lowercase": True}, "ÀB ΑΣ", "àb ας"),
        ({"strip_punctuation": True}, "Don\u2019t, (stop) a+b…c", "Dont   stop  a b c"),
    ],
)
def test_each_option_does_its_part_and_nothing_without_it(option: dict[str, Any], text: str, expected: str) -> None:
    assert _normalized([text], _only(**option)) == [expected]
    assert _normalized([text], Normalize(**OFF)) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u200db\u200cc", "abc"),
        ("\u200da", "a"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("\u2764\ufe0f\u200d\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
        ("क्\u200d\u200dष", "क्\u200dष"),
        ("क् \u200dष", "क् ष"),
    ],
)
def test_joiners_stay_where_scripts_and_emoji_use_them(text: str, expected: str) -> None:
    assert _normalized([text], Normalize()) == [expected]


def test_removing_a_character_lets_the_next_compose(tmp_path: Path) -> None:
    assert _normalized(["e\u200b\u0301", "plain"], Normalize()) == ["é", "plain"]


def test_stop_words_are_removed_without_their_punctuation(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("The\nund\n", "utf-8")
    config = Normalize(stop_words=str(path))
    assert _normalized(["The cat, the, Und other them"], config) == ["cat, , other them"]
    assert _normalized(["The cat"], Normalize()) == ["The cat"]


def test_stop_words_are_those_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    config = Normalize(stop_words=str(path))
    path.write_text("cat\n", "utf-8")
    assert _normalized(["cat and dog"], config) == ["and dog"]
    path.write_text("dog\nor\n", "utf-8")
    assert _normalized(["cat and dog"], config) == ["cat and"]


def test_stop_words_may_lie_on_any_file_system_and_start_with_a_byte_order_mark() -> None:
    write_bytes("memory://normalize-test/words.txt", b"\xef\xbb\xbfcat\n")
    assert _normalized(["cat dog"], Normalize(stop_words="memory://normalize-test/words.txt")) == ["dog"]


@pytest.mark.parametrize("content", [None, b"", b"\xff"])
def test_a_stop_word_file_that_cannot_be_used_is_a_recipe_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"\[normalize\] stop_words = .*words\.txt"):
        check(Normalize(stop_words=str(path)))


@settings(max_examples=300, deadline=None)
@given(TEXTS, CONFIGS)
def test_normalizing_again_changes_nothing(text: str, config: Normalize) -> None:
    once = _normalized([text], config)
    assert _normalized(once, config) == once


def test_chunks_and_slices_give_the_same_texts() -> None:
    texts = ["", "a  b", "\u00a0e\u0301 ", "\U0001f469\u200d\U0001f680\r\n", "x\x00y"]
    expected = ["", "a b", "é", "\U0001f469\u200d\U0001f680", "xy"]
    column = pa.chunked_array([texts[:2], texts[2:]], pa.large_string())
    table = pa.table({"text": column})
    assert normalize(table, Normalize())["text"].to_pylist() == expected
    assert normalize(table.slice(1, 3), Normalize())["text"].to_pylist() == expected[1:4]
    assert normalize(table.slice(0, 0), Normalize())["text"].to_pylist() == []
    assert table["text"].to_pylist() == texts
