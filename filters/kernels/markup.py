"""How deep the elements of HTML nest, counted on the bytes before a parser sees them."""

import numpy as np
import numpy.typing as npt

from filters.kernels.jit import kernel

# Elements without content, and those whose end tag may be left out: a second one ends the first, so they do not nest.
_FLAT = (
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"),
    *("p", "li", "dt", "dd", "option", "optgroup", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", "caption"),
    *("rb", "rt", "rtc", "rp", "html", "head", "body"),
)


def _name_code(name: str) -> int:
    code = 0
    for byte in name.encode():
        code = code << 8 | byte
    return code


_OTHER, _OPEN, _CLOSE, _BLANK = 0, 1, 2, 3
_OUTSIDE = -2  # of a tag
_KINDS = np.zeros(256, np.uint8)
_KINDS[ord("<")] = _OPEN
_KINDS[ord(">")] = _CLOSE
_KINDS[list(b" \t\n\f\r/")] = _BLANK
# Names of at most eight letters as one number each.
_FLAT_CODES = np.array(sorted(_name_code(name) for name in _FLAT), np.uint64)


def nesting(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Estimates from above of what HTML costs a parser, each int64 (num_documents,).

    data: uint8, UTF-8; offsets: int64 (num_documents + 1,). Returns the deepest nesting, the sum of the depths of all
    tags, and the most attributes of a tag. Tags inside scripts and comments are counted too; elements that cannot nest
    in themselves add no depth; each run of blanks up to the next ">" counts as an attribute.
    """
    return _nesting(data, offsets, _FLAT_CODES, _KINDS)


@kernel
def _name_at(data: npt.NDArray[np.uint8], position: int, end: int) -> np.uint64:
    """The letters and digits from a position, in lower case, as one number; longer names keep their last eight."""
    code = np.uint64(0)
    while position < end:
        byte = np.uint64(data[position])
        if np.uint64(0x41) <= byte <= np.uint64(0x5A):
            byte += np.uint64(0x20)
        is_letter = np.uint64(0x61) <= byte <= np.uint64(0x7A)
        if not is_letter and not (np.uint64(0x30) <= byte <= np.uint64(0x39)):
            break
        code = (code << np.uint64(8)) | byte
        position += 1
    return code


@kernel
def _is_flat(name: np.uint64, flat: npt.NDArray[np.uint64]) -> bool:
    low, high = 0, len(flat)
    while low < high:
        middle = (low + high) >> 1
        if flat[middle] < name:
            low = middle + 1
        else:
            high = middle
    return low < len(flat) and flat[low] == name


@kernel
def _measure(
    data: npt.NDArray[np.uint8], window: tuple[int, int], flat: npt.NDArray[np.uint64], kinds: npt.NDArray[np.uint8]
) -> tuple[int, int, int]:
    """(deepest, sum of depths, most attributes) of one document."""
    deepest = total = depth = most = 0
    attributes = _OUTSIDE
    before = np.uint8(_OTHER)
    for position in range(window[0], window[1]):
        kind = kinds[data[position]]
        if kind == _OPEN:
            closing = position + 1 < window[1] and data[position + 1] == 0x2F
            name = _name_at(data, position + (2 if closing else 1), window[1])
            if name != np.uint64(0):
                # The slash of an end tag counts as a blank; that one is not an attribute.
                attributes = max(attributes, -1 if closing else 0)
                if not _is_flat(name, flat):
                    depth = max(depth - 1, 0) if closing else depth + 1
                deepest = max(deepest, depth)
                total += depth
        elif kind == _CLOSE:
            attributes = _OUTSIDE
        elif kind == _OTHER and before == _BLANK and attributes > _OUTSIDE:
            attributes += 1
            most = max(most, attributes)
        before = kind
    return deepest, total, most


@kernel
def _nesting(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    flat: npt.NDArray[np.uint64],
    kinds: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    num_documents = len(offsets) - 1
    deepest = np.zeros(num_documents, np.int64)
    total = np.zeros(num_documents, np.int64)
    attributes = np.zeros(num_documents, np.int64)
    for document in range(num_documents):
        window = (offsets[document], offsets[document + 1])
        deepest[document], total[document], attributes[document] = _measure(data, window, flat, kinds)
    return deepest, total, attributes
