from typing import Any

import pyarrow as pa
import pytest

from corpus.read.value_bytes import row_bytes


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.string(), ["", "\u00fc", None, "abc"], [0, 2, 0, 3]),
        (pa.large_string(), ["", "\u00fc", None, "abc"], [0, 2, 0, 3]),
        (pa.string_view(), ["", "\u00fc", None, "abc"], [0, 2, 0, 3]),
        (pa.binary_view(), [b"", b"12", None], [0, 2, 0]),
        (pa.large_binary(), [b"", b"12", None], [0, 2, 0]),
        (pa.binary(3), [b"123", None], [3, 3]),
        (pa.int8(), [1, None], [8, 8]),
        (pa.dictionary(pa.int8(), pa.string()), ["abc", None, "abc", "d"], [3, 0, 3, 1]),
        (pa.list_(pa.string()), [["a", "bc"], [], None, [""]], [19, 0, 0, 8]),
        (pa.large_list(pa.list_(pa.int32())), [[[1, 2], []], None], [48, 0]),
        (pa.list_(pa.string(), 2), [["a", "b"], ["c", "def"]], [18, 20]),
        (pa.struct({"a": pa.string(), "b": pa.int64()}), [{"a": "xy", "b": 1}, {"a": "z", "b": 2}], [10, 9]),
        (pa.struct([]), [{}, {}], [0, 0]),
        (pa.map_(pa.string(), pa.string()), [[("k", "vv")], [], None], [11, 0, 0]),
    ],
    ids=str,
)
def test_values_count_as_they_would_be_written_out(kind: pa.DataType, values: list[Any], expected: list[int]) -> None:
    batch = pa.record_batch({"column": pa.array(values, kind)})
    assert row_bytes(batch).tolist() == expected
    assert row_bytes(batch.slice(1)).tolist() == expected[1:]
    assert row_bytes(batch.slice(0, 0)).tolist() == []


def test_columns_of_a_row_are_added_up() -> None:
    assert row_bytes(pa.record_batch({"a": ["x", "yy"], "b": [1, 2]})).tolist() == [9, 10]


def test_a_value_outside_of_its_dictionary_is_an_error() -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int32()), pa.array(["a"]), safe=False)
    with pytest.raises(pa.ArrowInvalid, match="dictionary has none"):
        row_bytes(pa.record_batch({"a": values}))


def test_batches_that_are_small_enough_are_not_looked_into() -> None:
    assert row_bytes(pa.record_batch({"a": ["x" * 9, "y"]}), 1000).tolist() == [0, 0]
    assert row_bytes(pa.record_batch({"a": ["x" * 9, "y"]}), 10).tolist() == [9, 1]
    shared = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["x" * 9]))
    assert row_bytes(pa.record_batch({"a": pa.ListArray.from_arrays([0, 2], shared)}), 1000).tolist() == [34]
