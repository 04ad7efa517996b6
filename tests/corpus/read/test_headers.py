import pytest

from corpus.read.headers import header_fields


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        ([], {}),
        ([b"A: 1\r\n", b"b:2\n", b"C :  3 "], {"a": "1", "b": "2", "c": "3"}),
        ([b"A: x\r\n", b"  y\r\n", b"\tz"], {"a": "x y z"}),
        ([b"A:", b" x", b" "], {"a": "x"}),
        ([b"A: 1", b"a: 2", b"no field", b": no name"], {"a": "1"}),
        ([b"A: 1", b"A: 2", b" Content-Length: 5", b"B: 3"], {"a": "1", "b": "3"}),
        ([b" A: 1", b"B: 2"], {"b": "2"}),
        ([b"A: \xc3\xbc\xff:"], {"a": "\u00fc\ufffd:"}),
    ],
)
def test_the_first_field_of_a_name_counts_with_its_folded_lines(lines: list[bytes], fields: dict[str, str]) -> None:
    assert header_fields(lines) == fields
