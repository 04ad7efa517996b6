"""Thrift's compact protocol, in which Parquet writes its footer and its page headers, as far as these need it.

Needed because pyarrow's own view of a footer ends the process where the footer is damaged (26.0.1, a histogram of
another size than declared in the metadata of a column): its C++ exceptions are not caught there. They are where rows
are read.
"""

from typing import Any

_MAX_DEPTH = 16


class CompactReader:
    """Reads values from a position on; raises IndexError at the end of the data, ValueError for what is no Thrift."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Fields by number: int, bytes, list or again a struct; decimals are None."""
        if depth > _MAX_DEPTH:
            raise ValueError("it nests too deep")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            fields[number] = 2 - kind if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2, 3):  # in lists truth takes a byte like small numbers
            return self._byte()
        if kind in (4, 5, 6):
            return self._number()
        if kind == 7:
            self._bytes(8)
            return None
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            return self._list(depth + 1)
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError(f"a value of kind {kind}")

    def _list(self, depth: int) -> list[Any]:
        if depth > _MAX_DEPTH:
            raise ValueError("it nests too deep")
        head = self._byte()
        length = head >> 4 if head >> 4 < 15 else self._varint()
        return [self._value(head & 15, depth) for _ in range(length)]

    def _bytes(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self._data):
            raise IndexError("the data ends inside a value")
        data = self._data[self.position : end]
        self.position = end
        return data

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number of more than 64 bits")

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
