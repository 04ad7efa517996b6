import json

import pytest
import zstandard

from filters.repeated_substrings import RepeatedSubstrings
from tests.edge_cases import check_filter, measure, reasons
from tests.shared import shared_data


def test_edge_cases_pass() -> None:
    check_filter(RepeatedSubstrings())
    check_filter(RepeatedSubstrings(min_chars=10, max_repeated_ratio=0.0))


def test_the_share_counts_all_copies_and_all_characters() -> None:
    rule = RepeatedSubstrings(min_chars=10)
    texts = ["0123456789 and 0123456789", "0123456789 and 012345678", "", "0123456789" * 2]
    assert measure(rule, "repeated_ratio", texts) == [0.8, 0.0, 0.0, 1.0]
    assert measure(rule, "longest_chars", texts) == [10.0, 0.0, 0.0, 20.0]


def test_a_repeat_may_span_lines_and_needs_no_spaces() -> None:
    rule = RepeatedSubstrings(min_chars=10)
    assert measure(rule, "longest_chars", ["x\n一二三四五\n六七八九十y一二三四五\n六七八九十"]) == [11.0]


def test_case_and_white_space_count() -> None:
    rule = RepeatedSubstrings(min_chars=10)
    assert measure(rule, "repeated_ratio", ["abcde fghij / Abcde fghij", "abcde fghij / abcde  fghij"]) == [0.8, 0.0]


def test_the_limit_itself_is_kept_and_zero_is_not_off() -> None:
    text = "0123456789 and 0123456789"  # 20 of 25 characters
    dropped = "repeated_substrings.repeated"
    assert reasons(RepeatedSubstrings(min_chars=10, max_repeated_ratio=0.8), [text, "x"]) == [None, None]
    assert reasons(RepeatedSubstrings(min_chars=10, max_repeated_ratio=0.79), [text, "x"]) == [dropped, None]
    assert reasons(RepeatedSubstrings(min_chars=10, max_repeated_ratio=0.0), [text, "x"]) == [dropped, None]
    assert reasons(RepeatedSubstrings(min_chars=10, max_repeated_ratio=None), [text, "x"]) == [None, None]


def test_the_limit_is_a_threshold_and_the_length_is_not() -> None:
    assert RepeatedSubstrings(max_repeated_ratio=0.1).measuring() == RepeatedSubstrings().measuring()
    assert RepeatedSubstrings(min_chars=50).measuring() != RepeatedSubstrings().measuring()


@pytest.mark.shared
def test_known_harm_is_as_the_page_says() -> None:
    num_dropped = {}
    for name in ("prose/documents", "code/source_files", "quality/human_quality_labels"):
        data = zstandard.decompress(shared_data("text", *f"{name}.jsonl.zst".split("/")).read_bytes())
        texts = [json.loads(line)["text"] for line in data.decode().split("\n") if line]
        num_dropped[name] = (sum(reason is not None for reason in reasons(RepeatedSubstrings(), texts)), len(texts))
    assert num_dropped == {
        "prose/documents": (1, 2798),
        "code/source_files": (32, 669),
        "quality/human_quality_labels": (0, 275),
    }
