from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import refinedweb_urls
from filters.refinedweb_urls import RefinedWebUrls
from tests.edge_cases import EDGE_TEXTS, batch, check_filter, check_twin, columns_of, edited, measure
from tests.reference.refinedweb import top_level_domains, without_urls

RULE = RefinedWebUrls()
DCLM = RefinedWebUrls(semantics="dclm")
PIECES = st.sampled_from(
    [
        *("https://", "http://", "ftp://", "http:", "//", "www.", "a", "x1", "example", "_", "@", "~", "#", "="),
        *(".com", ".co.uk", ".org", ".рф", ".भारतम्", ".vermögensberater", ".ca", ".Com", ".", "..", "é", "م", "\u0301"),
        *(" ", "\n", "\n\n\n", "\u3000", " " * 9, "/path?q=1", "(", ")", "/", "!", "The", "We", "ſ"),
        *("1", "12.", "255.", "256.", "192.168.0.1", "1.2.3.4", "3", "٣", "." * 3, "a" * 250, "b." * 20),
    ]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)


def _same(texts: list[str]) -> None:
    check_twin(RULE, texts, partial(without_urls, as_dclm=False))
    check_twin(DCLM, texts, partial(without_urls, as_dclm=True))


def test_the_edge_cases_hold() -> None:
    check_filter(RULE)
    check_filter(DCLM)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_texts_and_counts_equal_those_of_the_regular_expressions(texts: list[str]) -> None:
    _same(texts)


def test_edge_cases_equal_the_regular_expressions() -> None:
    texts = [text[:3000] for text in EDGE_TEXTS]
    _same(texts)


def test_urls_go_with_the_blank_before_them() -> None:
    text = "Read more at https://example.org/a?b=1 now, or at www.example.co.uk.\nWrite to jo@example.org today."
    assert edited(RULE, text) == "Read more at now, or at\nWrite to today."
    assert measure(RULE, "num_urls", [text]) == [3.0]


def test_a_dot_needs_a_top_level_domain_in_lower_case_that_ends_there() -> None:
    text = "Example.Org and end.The next, file.txt, a.comx, b.com_, c.com1, d.comé stay."
    assert edited(RULE, text) == text
    assert edited(RULE, "the end.so it was") == "the it was"


def test_domains_in_any_script_are_known() -> None:
    assert edited(RULE, "see пример.рф here and xxx.рф/a") == "see пример.рф here and"
    assert edited(RULE, "see a-b.vermögensberater now") == "see now"


def test_four_numbers_are_an_address_and_three_or_five_hundred_are_not() -> None:
    text = "Hosts 10.0.0.1 and http://127.0.0.1:80/x or 500.1.2.3 or v1.2.3.4 or 1.2.3"
    assert edited(RULE, text) == "Hosts and or 500.1.2.3 or v1.2.3.4 or 1.2.3"
    assert measure(RULE, "num_ip_addresses", [text]) == [2.0]


def test_line_feeds_in_a_row_are_two_at_most() -> None:
    assert edited(RULE, "a\n\n\n\nb\n\nc\n") == "a\n\nb\n\nc\n"
    assert measure(RULE, "num_line_ends_removed", ["a\n\n\n\nb\n\nc\n"]) == [2.0]


def test_dclm_looks_for_urls_only_in_texts_that_start_with_a_domain() -> None:
    texts = ["The page a.com is down.", "We saw a.com today.", "COMmon: a.com"]
    assert columns_of(DCLM, batch(texts))[1] == ["The page is down.", texts[1], "COMmon:"]
    assert columns_of(RULE, batch(texts))[1] == ["The page is down.", "We saw today.", "COMmon:"]


def test_the_domains_are_those_of_the_root_zone() -> None:
    domains = refinedweb_urls.top_level_domains()
    assert {"com", "uk", "museum", "рф", "ck"} <= set(domains)
    assert {"co.uk", "blogspot", "*", ""}.isdisjoint(domains)
    assert len(domains) > 1400
    assert set(domains) == top_level_domains()


@pytest.mark.parametrize("part", ["a.", ".", "http://", "1.", "a", "#.b", "255.255.", "https://a.b-", "\n"])
def test_hostile_text_of_a_megabyte_is_read_in_linear_time(part: str) -> None:
    text = part * (1_000_000 // len(part))
    expected = {"1.": "", "255.255.": "", "\n": "\n\n"}
    assert edited(RULE, text) == expected.get(part, text)
