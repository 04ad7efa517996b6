import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.kernels import normalize as kernels
from filters.kernels.buffers import text_array, text_buffers
from tests.reference import normalize as reference

# A small table: what corpus.normalize builds, for a few characters of each class.
CLASSES = {
    "\x00": kernels.REMOVE,
    "\u200b": kernels.REMOVE,
    "\n": kernels.NEWLINE,
    "\u2028": kernels.NEWLINE,
    "\r": kernels.CARRIAGE_RETURN,
    " ": kernels.BLANK,
    "\t": kernels.BLANK,
    "\u3000": kernels.BLANK,
    "\u200d": kernels.JOINER,
    "ل": kernels.JOINABLE,
    "\U0001f469": kernels.JOINABLE,
    "\u0301": kernels.MARK | kernels.UNSTABLE,
    "\u212b": kernels.KEEP | kernels.UNSTABLE,
}
WITHOUT_BLANKS = {character: kind for character, kind in CLASSES.items() if kind != kernels.BLANK}
TEXTS = st.lists(
    st.text(st.sampled_from([*CLASSES, "a", "é", "中", "\U0001f680", "\U000e0001"]), max_size=14), max_size=4
)


def _table(classes: dict[str, int]) -> np.ndarray:  # type: ignore[type-arg]
    table = np.zeros(0x20000, np.uint8)
    for character, entry in classes.items():
        table[ord(character)] = entry
    return table


def _rewritten(column: pa.Array | pa.ChunkedArray, squeeze: bool) -> tuple[list[str], list[bool]]:
    buffers = text_buffers(column)
    table = _table(CLASSES if squeeze else WITHOUT_BLANKS)
    data, offsets, unstable = kernels.rewrite(buffers.data, buffers.offsets, table, squeeze)
    array = text_array(data, offsets)
    array.validate(full=True)
    return array.to_pylist(), [bool(flag) for flag in unstable]


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.booleans())
def test_kernel_equals_its_twin(texts: list[str], squeeze: bool) -> None:
    classes = CLASSES if squeeze else WITHOUT_BLANKS
    assert _rewritten(pa.array(texts, pa.large_string()), squeeze) == reference.rewrite(texts, classes, squeeze)


def test_edge_batches_equal_the_twin() -> None:
    texts = ["", "a", " ", "\U0001f469\u200d\U0001f469", "a\r\n\r\n\r\nb", "e\u0301"]
    array = pa.array(texts, pa.large_string())
    expected = reference.rewrite(texts, CLASSES, True)
    assert expected[0] == ["", "a", "", "\U0001f469\u200d\U0001f469", "a\n\nb", "e\u0301"]
    assert _rewritten(array, True) == expected
    assert _rewritten(pa.chunked_array([texts[:3], texts[3:]], pa.large_string()), True) == expected
    assert _rewritten(array.slice(2, 3), True) == (expected[0][2:5], expected[1][2:5])
    assert _rewritten(array.slice(0, 0), True) == ([], [])


def test_writable_and_read_only_buffers_give_the_same() -> None:
    data, offsets = np.frombuffer(b"a  b", np.uint8), np.array([0, 4], np.int64)
    read_only = kernels.rewrite(data, offsets, _table(CLASSES), True)
    writable = kernels.rewrite(data.copy(), offsets.copy(), _table(CLASSES), True)
    assert not data.flags.writeable
    assert bytes(read_only[0]) == bytes(writable[0]) == b"a b"
