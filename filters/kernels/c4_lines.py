"""C4's line rules as one pass: a new text of the lines that stay, and counts of what was seen."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.kernels.bits import HIGH_BITS, LOW_BITS, load_up_to_8, low_bytes, next_byte, trailing_zeros
from filters.kernels.buffers import TextBuffers, text_array, text_buffers
from filters.kernels.jit import kernel
from filters.kernels.lines import skip_space_back
from filters.kernels.split_lines import next_line_end
from filters.kernels.unicode import SPACE, all_characters, code_point, code_point_classes, width
from filters.kernels.words import skip_space

COUNTS = (
    "num_lines_removed",
    "num_citations_removed",
    "num_sentences",
    "num_lorem_ipsum_lines",
    "num_curly_brace_lines",
    "num_lines_kept",
)
_REMOVED, _CITATIONS, _SENTENCES, _LOREM_IPSUM, _CURLY_BRACE, _KEPT = range(len(COUNTS))

# Each phrase with the place of two letters that are rarely neighbours, "k" not among them (see _KELVIN): only where
# they are is the whole phrase compared.
_PHRASES = (
    ("lorem ipsum", 7),
    ("javascript", 0),
    ("terms of use", 3),
    ("privacy policy", 3),
    ("cookie policy", 1),
    ("uses cookies", 6),
    ("use of cookies", 8),
    ("use cookies", 5),
)
_HAS_LOREM_IPSUM, _HAS_JAVASCRIPT, _HAS_POLICY, _HAS_CURLY_BRACE = 1, 2, 0b11111100, 256
_MARK = 512
_CITATION_WORDS = tuple(np.frombuffer(word, np.uint8) for word in (b"[edit]", b"[citation needed]"))
# Words of at most 4 letters whose dot ends no sentence; any single capital letter is one too.
_TITLES = ("mr", "mrs", "ms", "dr", "prof", "st", "vs", "jr", "sr", "gen", "rev", "fig", "no", "e.g", "i.e")
_NO_LIMIT = 1 << 62
_LOWER_CASE_BIT = LOW_BITS * np.uint64(0x20)  # in all marks and the brace already
_MEANINGFUL = tuple(LOW_BITS * np.uint64(ord(sign)) for sign in ".!?{")
_MEANINGFUL_PAIRS = tuple(
    (LOW_BITS * np.uint64(ord(first)), LOW_BITS * np.uint64(ord(second)))
    for first, second in sorted({(phrase[anchor], phrase[anchor + 1]) for phrase, anchor in _PHRASES})
)
_BRACKET = np.uint64(ord("["))
_KELVIN = (0xE2, 0x84, 0xAA)  # U+212A, a "k" in lower case, the only one beyond ASCII


@dataclass(frozen=True)
class LineRules:
    """What a line needs to stay; None is off.

    end_marks: ASCII marks, one of which must end a line; empty if a line needs none.
    citations_are_words: whether words are counted before citations are taken out; a line that was nothing else stays.
    """

    end_marks: str
    min_words_per_line: int | None
    max_word_chars: int | None
    citations_are_words: bool = False


def clean_lines(text: TextBuffers, rules: LineRules) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """The new texts, lines joined by a line feed, and int64 (len(COUNTS), num_documents).

    Lines are cut where str.splitlines cuts. Those that say "lorem ipsum" or have a "{" stay in the text and are
    counted: such documents are for dropping. Of one that has lines of both kinds only the kind that comes first is
    counted. White space that a citation leaves at the ends of a text stays; see `strip_texts`.
    """
    out = np.empty(int(text.offsets[-1] - text.offsets[0]), np.uint8)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    counts = np.zeros((len(COUNTS), text.num_documents), np.int64)
    is_end_mark = np.zeros(256, np.bool_)
    is_end_mark[np.frombuffer(rules.end_marks.encode("ascii"), np.uint8)] = True
    limits = (
        bool(rules.end_marks),
        is_end_mark,
        rules.min_words_per_line or 0,
        _NO_LIMIT if rules.max_word_chars is None else rules.max_word_chars,
        rules.citations_are_words,
    )
    tables = (code_point_classes(), *_phrase_tables(), title_table(), _decimal_digits())
    _clean_lines((text.data, text.offsets), tables, limits, (out, offsets, counts))
    return text_array(out[: offsets[-1]], offsets), counts


def strip_texts(text: pa.Array) -> pa.Array:
    """The texts (large_string) without white space at their ends, as str.strip gives them."""
    buffers = text_buffers(text)
    out = np.empty(int(buffers.offsets[-1] - buffers.offsets[0]), np.uint8)
    offsets = np.zeros(buffers.num_documents + 1, np.int64)
    _strip(buffers.data, buffers.offsets, code_point_classes(), (out, offsets))
    return text_array(out[: offsets[-1]], offsets)


@cache
def _decimal_digits() -> npt.NDArray[np.bool_]:
    """Code points that a regular expression takes for digits (str.isdecimal): bool (0x110000,), read-only."""
    table = np.strings.isdecimal(all_characters())
    table.setflags(write=False)
    return table


def _phrase_tables() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """What a byte may mean (bits: phrases it anchors, brace, mark); the phrases' bytes; their lengths and anchors."""
    meanings = np.zeros(256, np.uint16)
    letters = np.zeros((len(_PHRASES), 16), np.uint8)
    places = np.zeros((len(_PHRASES), 2), np.int64)
    for row, (phrase, anchor) in enumerate(_PHRASES):
        letters[row, : len(phrase)] = np.frombuffer(phrase.encode(), np.uint8)
        places[row] = len(phrase), anchor
        meanings[[ord(phrase[anchor]), ord(phrase[anchor].upper())]] |= np.uint16(1 << row)
    meanings[ord("{")] = _HAS_CURLY_BRACE
    meanings[[ord(mark) for mark in ".!?"]] = _MARK
    return meanings, letters, places


def title_table() -> npt.NDArray[np.int64]:
    """The titles, for ends_sentence: int64 (num_titles,), ASCII bytes, little-endian."""
    return np.array([int.from_bytes(title.encode(), "little") for title in _TITLES], np.int64)


@kernel
def _clean_lines(text: Any, tables: Any, limits: Any, outputs: Any) -> None:
    data, text_offsets = text
    out, offsets, all_counts = outputs
    for document in range(len(offsets) - 1):
        first = offsets[document]
        position = first
        counts = all_counts[:, document]
        next_line, limit = text_offsets[document], text_offsets[document + 1]
        while next_line < limit:
            line_end, end_size = next_line_end(data, next_line, limit)
            start = skip_space(data, next_line, line_end, tables[0])
            span = (start, skip_space_back(data, start, line_end, tables[0]))
            next_line = line_end + end_size
            if span[0] == span[1]:
                continue
            gap = 1 if position > first else 0
            end = _add_line(data, span, (out, position + gap), tables, limits, counts)
            if end < 0:
                counts[_REMOVED] += 1
                continue
            if gap:
                out[position] = ord("\n")
            counts[_KEPT] += 1
            position = end
        offsets[document + 1] = position


@kernel
def _add_line(data: Any, span: Any, target: Any, tables: Any, limits: Any, counts: Any) -> Any:
    """Write one line to `out` from `start`, without citations; its end, or -1 if it may not stay."""
    out, start = target
    require_mark, is_end_mark, min_words, max_word_chars, citations_are_words = limits
    last = data[span[1] - 1]
    if require_mark and last != ord("]") and not is_end_mark[last]:
        return -1
    if span[1] - span[0] > max_word_chars and _has_long_word(data, span[0], span[1], max_word_chars, tables[0]):
        return -1
    end, num_citations = _copy_without_citations(data, span, out, start, tables[5])
    if require_mark and not _is_ended(out, start, end, is_end_mark):
        return -1
    if citations_are_words:
        if not _has_words(data, span[0], span[1], min_words, tables[0]):
            return -1
    elif end == start or not _has_words(out, start, end, min_words, tables[0]):
        return -1
    found, num_sentences = _read_line(out, start, end, tables)
    # The order is the reference code's: a page falls for "lorem ipsum" in any line that is otherwise whole, but not
    # for a "{" in a line that names javascript.
    counts[_LOREM_IPSUM] += (found & _HAS_LOREM_IPSUM) != 0 and counts[_CURLY_BRACE] == 0
    if found & _HAS_JAVASCRIPT:
        return -1
    counts[_CURLY_BRACE] += (found & _HAS_CURLY_BRACE) != 0 and counts[_LOREM_IPSUM] == 0
    if found & _HAS_POLICY:
        return -1
    counts[_CITATIONS] += num_citations
    counts[_SENTENCES] += num_sentences
    return end


@kernel
def _is_ended(out: Any, start: int, end: int, is_end_mark: Any) -> Any:
    """Ends with one of the marks, and not with three dots."""
    if end == start or not is_end_mark[out[end - 1]]:
        return False
    return not (end - start >= 3 and out[end - 1] == ord(".") and out[end - 2] == ord(".") and out[end - 3] == ord("."))


@kernel
def _copy_without_citations(data: Any, span: Any, out: Any, start: int, digits: Any) -> Any:
    """Copy the line without "[12]", "[]", "[edit]" and "[citation needed]"; where it ends, how many were left out."""
    position, line_end = span
    end = start
    num_citations = 0
    while position < line_end:
        bracket = next_byte(data, position, line_end, _BRACKET)
        size = _citation_size(data, bracket, line_end, digits) if bracket < line_end else 0
        # A bracket that starts no citation is copied with what is before it.
        stop = bracket if size > 0 or bracket == line_end else bracket + 1
        _copy(data, (position, stop), out, end)
        end += stop - position
        position = stop + size
        num_citations += size > 0
    return end, num_citations


@kernel
def _copy(data: Any, span: Any, out: Any, start: int) -> None:
    """Unsigned positions cannot be negative, so numba need not ask, and LLVM copies many bytes at a time."""
    first, target = np.uint64(span[0]), np.uint64(start)
    for offset in range(np.uint64(span[1]) - first):
        out[target + offset] = data[first + offset]


@kernel
def _citation_size(data: Any, position: int, limit: int, digits: Any) -> Any:
    """Bytes of the citation mark that starts at position; 0 if none does."""
    end = position + 1
    while end < limit and digits[code_point(data, end, limit)]:
        end += width(data[end])
    if end < limit and data[end] == ord("]"):
        return end + 1 - position
    for word in _CITATION_WORDS:
        size = len(word)
        if position + size <= limit and np.all(data[position : position + size] == word):
            return size
    return 0


@kernel
def _word_end(data: Any, position: int, limit: int, classes: Any) -> Any:
    """Where the word at position ends, and its code points."""
    num_chars = 0
    while position < limit:
        byte = data[position]
        visible = 0x20 < byte < 0x80
        if not visible and classes[code_point(data, position, limit)] & SPACE:
            break
        position += 1 if visible else width(byte)
        num_chars += 1
    return min(position, limit), num_chars


@kernel
def _has_words(out: Any, start: int, end: int, num_words: int, classes: Any) -> Any:
    """Whether the line has at least so many words."""
    position = skip_space(out, start, end, classes)
    for _ in range(num_words):
        if position >= end:
            return False
        position, _ = _word_end(out, position, end, classes)
        position = skip_space(out, position, end, classes)
    return True


@kernel
def _has_long_word(data: Any, start: int, end: int, max_chars: int, classes: Any) -> Any:
    position = start
    while position < end:
        position, num_chars = _word_end(data, position, end, classes)
        if num_chars > max_chars:
            return True
        position = skip_space(data, position, end, classes)
    return False


@kernel
def _read_line(out: Any, start: int, end: int, tables: Any) -> Any:
    """Bits of the phrases and braces in the line, and its number of sentences."""
    _, meanings, letters, places, titles, _ = tables
    found: Any = 0
    num_sentences = 1
    for position in range(start, end, 8):
        size = min(8, end - position)
        # What is behind the end of the line is left over from lines that were taken back.
        following = load_up_to_8(out, position + 1, min(8, end - position - 1))
        worth_a_look = _maybe_meaningful(load_up_to_8(out, position, size), following) & low_bytes(size)
        while worth_a_look:
            place = position + (trailing_zeros(worth_a_look) >> 3)
            worth_a_look &= worth_a_look - np.uint64(1)
            meaning = np.int64(meanings[out[place]])
            if meaning == _MARK:
                num_sentences += ends_sentence(out, place, (start, end), titles)
            elif meaning != 0:
                found |= _found_at(out, place, (start, end), (letters, places), meaning)
    return found, num_sentences


@kernel
def _maybe_meaningful(word: Any, following: Any) -> Any:
    """High bits of the bytes that may have a meaning, by the byte after each: all that have one, and a few others."""
    folded, folded_following = word | _LOWER_CASE_BIT, following | _LOWER_CASE_BIT
    maybe = np.uint64(0)
    for byte in _MEANINGFUL:
        difference = folded ^ byte
        maybe |= (difference - LOW_BITS) & ~difference
    for first, second in _MEANINGFUL_PAIRS:
        difference = (folded ^ first) | (folded_following ^ second)
        maybe |= (difference - LOW_BITS) & ~difference
    return maybe & HIGH_BITS


@kernel
def _found_at(out: Any, place: int, span: Any, phrases: Any, meaning: Any) -> Any:
    """Bits of the phrases that are anchored at this byte, or of the brace that it is."""
    letters, places = phrases
    if meaning == _HAS_CURLY_BRACE:
        return meaning
    found: Any = 0
    for row in range(len(places)):
        if (meaning >> row) & 1 and _is_phrase(out, place - places[row, 1], span, letters, row):
            found |= 1 << row
    return found


@kernel
def _is_phrase(out: Any, first: int, span: Any, letters: Any, row: int) -> Any:
    """Whether the phrase letters[row] (zero-padded) lies at `first`, in any letter case of ASCII."""
    start, end = span
    if first < start:
        return False
    position = first
    for index in range(letters.shape[1]):
        letter = letters[row, index]
        if letter == 0:
            return True
        if position >= end:
            return False
        if _lower(out[position]) == letter:
            position += 1
        elif letter == ord("k") and _is_kelvin(out, position, end):
            position += 3
        else:
            return False
    return True


@kernel
def _is_kelvin(out: Any, position: int, end: int) -> Any:
    first, second, third = _KELVIN
    if position + 3 > end or out[position] != first:
        return False
    return out[position + 1] == second and out[position + 2] == third


@kernel
def _lower(byte: int) -> Any:
    return byte + 32 if ord("A") <= byte <= ord("Z") else byte


@kernel
def ends_sentence(out: Any, position: int, span: Any, titles: Any) -> Any:
    """Whether the mark at position ends a sentence that another one follows in the line."""
    start, end = span
    after = position + 1
    while after < end and (out[after] == ord('"') or out[after] == ord("'") or out[after] == ord(")")):
        after += 1
    if after >= end or out[after] != ord(" "):
        return False
    while after < end and out[after] == ord(" "):
        after += 1
    if after == end or ord("a") <= out[after] <= ord("z"):
        return False
    return out[position] != ord(".") or not _is_abbreviated(out, start, position, titles)


@kernel
def _is_abbreviated(out: Any, start: int, dot: int, titles: Any) -> Any:
    """Whether the word before the dot is a single capital letter or one of the titles."""
    first = dot
    packed = np.int64(0)
    while first > start and out[first - 1] != ord(" ") and dot - first < 5:
        first -= 1
        packed = (packed << 8) | np.int64(_lower(out[first]))
    if dot - first == 1 and ord("A") <= out[first] <= ord("Z"):
        return True
    return np.any(titles == packed)


@kernel
def _strip(data: Any, offsets: Any, classes: Any, target: Any) -> None:
    out, out_offsets = target
    position = 0
    for document in range(len(offsets) - 1):
        start = skip_space(data, offsets[document], offsets[document + 1], classes)
        end = skip_space_back(data, start, offsets[document + 1], classes)
        out[position : position + end - start] = data[start:end]
        position += end - start
        out_offsets[document + 1] = position
