from typing import Any

import pytest

from corpus.read.thrift import CompactReader


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ("00", {}),
        ("15 0e 00", {1: 7}),
        ("16 0d 15 ac 02 00", {1: -7, 2: 150}),
        ("11 22 00", {1: 1, 3: 0}),
        ("05 c8 01 03 00", {100: -2}),
        ("18 03 61 62 63 15 02 00", {1: b"abc", 2: 1}),
        ("17 00 00 00 00 00 00 e0 3f 15 02 00", {1: None, 2: 1}),
        ("19 25 02 04 29 11 01 00", {1: [1, 2], 3: [1]}),
        ("19 f5 10 " + "02 " * 16 + "00", {1: [1] * 16}),
        ("1c 15 02 00 19 1c 15 04 00 00", {1: {1: 1}, 2: [{1: 2}]}),
    ],
)
def test_values_are_read_by_field(data: str, fields: dict[int, Any]) -> None:
    given = bytes.fromhex(data)
    reader = CompactReader(given + b"more")
    assert reader.struct() == fields
    assert reader.position == len(given)


@pytest.mark.parametrize("data", ["", "15", "15 80", "18 05 61", "19 f5 ff ff ff ff 0f 02", "17 00", "1c 15 02 00"])
def test_data_that_ends_early_is_an_index_error(data: str) -> None:
    with pytest.raises(IndexError):
        CompactReader(bytes.fromhex(data)).struct()


@pytest.mark.parametrize(
    ("data", "message"),
    [("1c" * 30, "nests too deep"), ("19" * 30, "nests too deep"), ("1d", "kind 13"), ("15" + "ff" * 11, "64 bits")],
)
def test_what_is_no_thrift_is_a_value_error(data: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompactReader(bytes.fromhex(data)).struct()
