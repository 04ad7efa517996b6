import pytest

from corpus.read.http import looks_like_html, parse_message


def test_status_headers_and_body_are_split() -> None:
    message = parse_message(b"HTTP/1.1 200 OK\r\nA: 1\r\nB: x\r\n  y\r\nA: 2\r\nbad line\r\n\r\nbody\r\n\r\n")
    assert (message.status, message.headers, message.body) == (200, {"a": "1", "b": "x y"}, b"body\r\n\r\n")


@pytest.mark.parametrize(
    ("block", "status", "body"),
    [
        (b"HTTP/1.0 404\n\nx", 404, b"x"),
        (b"HTTP/2 200\r\n\r\n", 200, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Type: a", 200, b""),
        (b"ICY 200 OK\r\n\r\nx", None, b"ICY 200 OK\r\n\r\nx"),
        (b"", None, b""),
    ],
)
def test_odd_messages_have_a_status_or_none(block: bytes, status: int | None, body: bytes) -> None:
    message = parse_message(block)
    assert (message.status, message.body) == (status, body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xef\xbb\xbf \n<!DOCTYPE html>", True),
        (b"<!-- a --><!-- b --><HTML>", True),
        (b"<?xml version='1.0'?><html>", True),
        (b"<htmlx>", False),
        (b"%PDF-1.4", False),
        (b"", False),
    ],
)
def test_html_is_recognised_by_its_first_tag(body: bytes, expected: bool) -> None:
    assert looks_like_html(body) is expected


def test_hostile_starts_are_judged_without_backtracking() -> None:
    # With backtracking these two would not end.
    assert not looks_like_html(b" " * 2000)
    assert not looks_like_html(b"<!---->" * 290)
