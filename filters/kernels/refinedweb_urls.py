r"""Removal of URLs and IP addresses from running text, as two regular expressions of DCLM would find them.

URL: \s{0,10}((https?|ftp)://)?HOST{1,256}\.TLD\bTAIL*, with HOST = [-a-zA-Z0-9@:%._+~#=] and
TAIL = [-a-zA-Z0-9()@:%_+.~#?&/=]. Address: \s{0,10}\b((https?|ftp)://)?(OCTET\.){3}OCTET TAIL*, with
OCTET = [0-2]?[0-9]{1,2}. Both are found from their dots on, so that each byte is looked at a bounded number of times
whatever the text.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.kernels.bits import hash_bytes, next_byte
from filters.kernels.buffers import TextBuffers, text_array, text_buffers
from filters.kernels.dclm import alphanumeric
from filters.kernels.jit import kernel
from filters.kernels.unicode import SPACE, code_point, code_point_classes, last_code_point_start
from filters.kernels.words import find_words

COUNTS = ("num_urls", "num_ip_addresses", "num_line_ends_removed")
_URLS, _ADDRESSES, _LINE_ENDS = range(len(COUNTS))

_LETTERS_AND_DIGITS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_DOT = np.uint64(ord("."))
_MAX_HOST = 256
_MAX_BLANKS = 10
_MAX_LINE_ENDS = 2
_SCHEMES = tuple(np.frombuffer(scheme, np.uint8) for scheme in (b"https://", b"http://", b"ftp://"))


def remove_urls(
    text: TextBuffers, domains: Iterable[str], looks_for_urls: npt.NDArray[np.bool_]
) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """The new texts, and int64 (len(COUNTS), num_documents): what was removed.

    First URLs are removed, in documents of looks_for_urls (bool (num_documents,)) only, then IP addresses, then all
    but two of the line feeds in a row. domains: the top-level domains, in lower case.
    """
    most = int(np.diff(text.offsets).max(initial=0))
    out = np.empty(int(text.offsets[-1] - text.offsets[0]), np.uint8)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    counts = np.zeros((len(COUNTS), text.num_documents), np.int64)
    tables = (
        _bytes_of(b"-@:%._+~#="),
        _bytes_of(b"-()@:%_+.~#?&/="),
        code_point_classes(),
        alphanumeric(),
        *_domain_tables(domains),
    )
    rooms = (np.empty(most, np.uint8), np.empty(most, np.uint8))
    _remove_urls((text.data, text.offsets, looks_for_urls), tables, rooms, (out, offsets, counts))
    return text_array(out[: offsets[-1]], offsets), counts


def _bytes_of(signs: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[np.frombuffer(signs + _LETTERS_AND_DIGITS, np.uint8)] = True
    return table


def _domain_tables(domains: Iterable[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The sorted hashes of the domains, and the lengths in bytes that they have, longest first."""
    names = sorted(set(domains))
    hashes = find_words(text_buffers(pa.array([" ".join(names)], pa.large_string()))).hashes
    lengths = sorted({len(name.encode()) for name in names}, reverse=True)
    return np.sort(hashes), np.array(lengths, np.int64)


@kernel
def _remove_urls(inputs: Any, tables: Any, rooms: Any, outputs: Any) -> None:
    data, text_offsets, looks_for_urls = inputs
    without_urls, without_addresses = rooms
    out, offsets, counts = outputs
    for document in range(len(offsets) - 1):
        start, limit = text_offsets[document], text_offsets[document + 1]
        if looks_for_urls[document]:
            num_bytes, counts[_URLS, document] = _without_urls(data, (start, limit), tables, without_urls)
        else:
            num_bytes = _copy(data, (start, limit), without_urls, 0)
        span = (0, num_bytes)
        num_bytes, counts[_ADDRESSES, document] = _without_addresses(without_urls, span, tables, without_addresses)
        end = _without_line_ends(without_addresses, num_bytes, out, offsets[document])
        counts[_LINE_ENDS, document] = num_bytes - (end - offsets[document])
        offsets[document + 1] = end


@kernel
def _copy(data: Any, span: Any, out: Any, size: int) -> Any:
    """Append data[span] to out[:size]; the new size."""
    for position in range(span[0], span[1]):
        out[size] = data[position]
        size += 1
    return size


@kernel
def _without_urls(data: Any, span: Any, tables: Any, out: Any) -> Any:
    """Write the text without its URLs to out; its size, and how many there were."""
    is_host, is_tail, classes, _, _, _ = tables
    first, limit = span
    position, dot = first, first
    size, num_urls = 0, 0
    while True:
        dot = next_byte(data, dot, limit, _DOT)
        if dot == limit:
            return _copy(data, (position, limit), out, size), num_urls
        host = dot
        if _domain_end(data, dot, limit, tables) > 0:
            while host > position and dot - host < _MAX_HOST and is_host[data[host - 1]]:
                host -= 1
        if host == dot:
            dot += 1
            continue
        end = _host_end(data, (host, dot), limit, tables)
        while end < limit and is_tail[data[end]]:
            end += 1
        start = _skip_blanks_back(data, (position, host - _scheme_size(data, position, host)), classes)
        size = _copy(data, (position, start), out, size)
        num_urls += 1
        position = dot = end


@kernel
def _host_end(data: Any, host: Any, limit: int, tables: Any) -> Any:
    """Where the top-level domain after the last dot that has one ends; host: its start, and the first such dot."""
    is_host = tables[0]
    start, dot = host
    end = dot
    position = dot
    while position < limit and position - start <= _MAX_HOST and is_host[data[position]]:
        if data[position] == ord("."):
            end = max(end, _domain_end(data, position, limit, tables))
        position += 1
    return end


@kernel
def _domain_end(data: Any, dot: int, limit: int, tables: Any) -> Any:
    """Where the top-level domain after the dot ends, if one is there and ends at a word boundary; else 0."""
    _, _, _, is_alphanumeric, hashes, lengths = tables
    end = dot + 1
    while end < limit and ord("a") <= data[end] <= ord("z"):
        end += 1
    if end == limit or data[end] < 0x80:
        # ASCII domains are letters only: the whole run is one or none is.
        if end < limit and (is_alphanumeric[data[end]] or data[end] == ord("_")):
            return 0
        return end if end - dot - 1 <= lengths[0] and _is_listed(data, dot + 1, end, hashes) else 0
    for length in lengths:
        end = dot + 1 + length
        if (
            end <= limit
            and _is_listed(data, dot + 1, end, hashes)
            and _is_boundary(data, (dot, limit), end, is_alphanumeric)
        ):
            return end
    return 0


@kernel
def _is_listed(data: Any, start: int, end: int, hashes: Any) -> Any:
    found = hash_bytes(data, start, end)
    slot = np.searchsorted(hashes, found)
    return start < end and slot < len(hashes) and hashes[slot] == found


@kernel
def _is_boundary(data: Any, span: Any, position: int, is_alphanumeric: Any) -> Any:
    r"""Whether \b holds at the position, between code points of data[span]."""
    return _is_word_before(data, span[0], position, is_alphanumeric) != (
        position < span[1] and _is_word(code_point(data, position, span[1]), is_alphanumeric)
    )


@kernel
def _is_word_before(data: Any, first: int, position: int, is_alphanumeric: Any) -> Any:
    r"""Whether the code point before the position, from `first` on, is of \w."""
    if position == first:
        return False
    return _is_word(code_point(data, last_code_point_start(data, first, position), position), is_alphanumeric)


@kernel
def _is_word(number: int, is_alphanumeric: Any) -> Any:
    return is_alphanumeric[number] or number == ord("_")


@kernel
def _scheme_size(data: Any, position: int, end: int) -> Any:
    """Bytes of the scheme that ends at `end` and starts at `position` or later; 0 if none does."""
    for scheme in _SCHEMES:
        start = end - len(scheme)
        equal = start >= position
        if equal:
            for index in range(len(scheme)):
                equal &= data[start + index] == scheme[index]
        if equal:
            return len(scheme)
    return 0


@kernel
def _skip_blanks_back(data: Any, span: Any, classes: Any) -> Any:
    """The end of data[span] without up to ten blanks before it."""
    position, end = span
    for _ in range(_MAX_BLANKS):
        last = last_code_point_start(data, position, end)
        if last == end or not classes[code_point(data, last, end)] & SPACE:
            break
        end = last
    return end


@kernel
def _without_addresses(data: Any, span: Any, tables: Any, out: Any) -> Any:
    """Write the text without its IP addresses to out; its size, and how many there were."""
    _, is_tail, classes, is_alphanumeric, _, _ = tables
    first, limit = span
    position, dot = first, first
    size, num_addresses = 0, 0
    while True:
        dot = next_byte(data, dot, limit, _DOT)
        if dot == limit:
            return _copy(data, (position, limit), out, size), num_addresses
        start = _address_start(data, (position, dot), is_alphanumeric)
        end = _address_end(data, start, limit)
        if end == 0:
            dot += 1
            continue
        while end < limit and is_tail[data[end]]:
            end += 1
        scheme = start - _scheme_size(data, position, start)
        if not _is_word_before(data, first, scheme, is_alphanumeric):
            start = scheme
        start = _skip_blanks_back(data, (position, start), classes)
        size = _copy(data, (position, start), out, size)
        num_addresses += 1
        position = dot = end


@kernel
def _address_start(data: Any, span: Any, is_alphanumeric: Any) -> Any:
    """Where the number before the dot starts, if it is one of up to three digits and no word goes on before it.

    span: from where, and the dot, which is returned where there is no such number.
    """
    position, dot = span
    start = dot
    while start > position and dot - start < 4 and ord("0") <= data[start - 1] <= ord("9"):
        start -= 1
    if dot - start > 3 or _is_word_before(data, 0, start, is_alphanumeric):
        return dot
    return start


@kernel
def _address_end(data: Any, start: int, limit: int) -> Any:
    """The end of the fourth number's first digit, where an address starts at `start`; else 0."""
    position = start
    for _ in range(3):
        begin = position
        while position < limit and position - begin < 4 and ord("0") <= data[position] <= ord("9"):
            position += 1
        num_digits = position - begin
        if num_digits == 0 or num_digits > 3 or (num_digits == 3 and data[begin] > ord("2")):
            return 0
        if position == limit or data[position] != ord("."):
            return 0
        position += 1
    if position == limit or not ord("0") <= data[position] <= ord("9"):
        return 0
    return position + 1


@kernel
def _without_line_ends(data: Any, num_bytes: int, out: Any, size: int) -> Any:
    """Append data[:num_bytes] to out[:size] with at most two line feeds in a row; the new size."""
    run = 0
    for position in range(num_bytes):
        run = run + 1 if data[position] == ord("\n") else 0
        if run <= _MAX_LINE_ENDS:
            out[size] = data[position]
            size += 1
    return size
