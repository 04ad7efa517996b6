"""MADLAD-400's questions about sentences in one pass over the bytes: list case, length, numbers, cursed strings.

Whether a sentence has its document's language is asked elsewhere, of the sentences found here.
"""

from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from filters.kernels.bare import bare_kernel
from filters.kernels.buffers import TextBuffers
from filters.kernels.lines import skip_space_back
from filters.kernels.unicode import SPACE, all_characters, code_point, code_point_classes, width
from filters.kernels.words import Words, skip_space

Kind = Literal["list_case", "length", "number", "cursed", "language"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# The authors' list; what they write as a regular expression with an end is cursed at the text's end only, since white
# space behind a dot ends the sentence before it. "|" at a sentence's end is in `_ends_with_bar`.
_CURSED = (
    *(" №", "\ufffd\ufffd\ufffd", "aute irure dolor ", " sunt in culpa qui ", "orem ipsum ", " quis nostrud "),
    *(" adipisicing ", " dolore eu ", " cupidatat ", "autem vel eum", "wisi enim ad", " sex ", " porn ", "黄色电影"),
    *("mp3", "ownload", "Vol.", " Ep.", "Episode", " шт.", "Develop", "Facebook", " crusher ", " xxx "),
)
_CURSED_AT_END = (" nr.", " г.", " кг.")
_NEVER, _ANYWHERE, _AT_END = range(3)
# Their last four entries as strings of one length each: "." is any sign but a line feed, "^" any but a blank.
_SHAPES = (
    *(" ..." * 9, " ...." * 9, " ^" * 9),
    *(f", ..,{a} ..,{b} ..,{c} ..," for a, b, c in product(("", ","), repeat=3)),
)
_NUM_SHAPES_WITHOUT_COMMA = 3
# For each shape, bits of the places (the last sign is bit 0) that must be blanks, commas, no line feeds, no blanks.
_PLACES = np.array(
    [[sum(1 << at for at, sign in enumerate(shape[::-1]) if sign == kind) for kind in " ,.^"] for shape in _SHAPES],
    np.uint64,
)
_SPACE, _MARK, _TECHNICAL = 1, 2, 4
_BYTE_KINDS = np.zeros(256, np.uint8)
_BYTE_KINDS[[byte for byte in range(0x80) if chr(byte).isspace()]] = _SPACE
_BYTE_KINDS[list(b".!?")] = _MARK
_BYTE_KINDS[list(b"0123456789{}+/()>")] = _TECHNICAL


@dataclass(frozen=True)
class SentenceRules:
    """Limits, inclusive, of what is not questionable."""

    min_list_words: int
    max_capital_ratio: float
    min_chars: int
    max_chars: int
    max_technical_ratio: float


@dataclass(frozen=True)
class Sentences:
    """The sentences of a batch in order; document i has sentences offsets[i] to offsets[i + 1].

    starts, ends: int64 (num_sentences,), byte positions in the text's data, marks at the end left out; offsets: int64
    (num_documents + 1,). kinds: uint8 (num_sentences,), bit k is set where the sentence is of KINDS[k]; never that of
    "language". has_letter: bool (num_sentences,), whether any of its words has a letter.
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.uint8]
    has_letter: npt.NDArray[np.bool_]


def find_sentences(text: TextBuffers, words: Words, rules: SentenceRules) -> Sentences:
    """The sentences of each text; words: those of the same text. Linear in the bytes, whatever they are."""
    # A sentence but the last has a sign, a mark and white space behind it. Unused pages are never touched.
    capacity = int(text.offsets[-1] - text.offsets[0]) // 3 + text.num_documents
    starts, ends = np.empty((2, capacity), np.int64)
    kinds, has_letter = np.empty(capacity, np.uint8), np.empty(capacity, np.bool_)
    offsets = np.zeros(text.num_documents + 1, np.int64)
    of_words, of_chars = (rules.min_list_words, rules.max_capital_ratio), (rules.min_chars, rules.max_chars)
    limits = (of_words, of_chars, rules.max_technical_ratio)
    tables = (code_point_classes(), _capitals(), *_automaton())
    found = (words.starts, words.ends, words.offsets, words.has_letter)
    _judge(text.data, text.offsets, found, tables, limits, (starts, ends, offsets, kinds, has_letter))
    used = slice(0, int(offsets[-1]))
    return Sentences(starts[used], ends[used], offsets, kinds[used], has_letter[used])


def count_questionable(
    offsets: npt.NDArray[np.int64], kinds: npt.NDArray[np.uint8], asked: Container[Kind]
) -> npt.NDArray[np.int64]:
    """Sentences, questionable ones, and those of each of KINDS: int64 (2 + len(KINDS), num_documents).

    offsets, kinds: of Sentences, the bit of "language" added; asked: the kinds that make a sentence questionable.
    """
    bits = [1 << place for place in range(len(KINDS))]
    questionable = sum(bit for bit, kind in zip(bits, KINDS, strict=True) if kind in asked)
    sums = np.zeros(len(kinds) + 1, np.int64)
    counts = [np.diff(offsets)]
    for bit in (questionable, *bits):
        np.cumsum(kinds & np.uint8(bit) != 0, out=sums[1:])
        counts.append(np.diff(sums[offsets]))
    return np.stack(counts)


@cache
def _capitals() -> npt.NDArray[np.bool_]:
    """Upper-case code points (str.isupper): bool (0x110000,), read-only."""
    table = np.strings.isupper(all_characters())
    table.setflags(write=False)
    return table


@cache
def _automaton() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """Aho and Corasick's automaton over the bytes of the cursed strings, read-only; state 0 is the start.

    The state after a state and a byte, uint16 (num_states, 256); what each state has found, uint8 (num_states,).
    """
    strings = {text.encode(): _ANYWHERE for text in _CURSED} | {text.encode(): _AT_END for text in _CURSED_AT_END}
    # Shorter beginnings first, so the longest proper ending of a state is complete before the state is.
    states = sorted(sorted({text[:size] for text in strings for size in range(len(text) + 1)}), key=len)
    number = {state: index for index, state in enumerate(states)}
    steps = np.zeros((len(states), 256), np.uint16)
    found = np.zeros(len(states), np.uint8)
    for state in states:
        endings = [state[cut:] for cut in range(1, len(state) + 1) if state[cut:] in number]
        if endings:
            steps[number[state]] = steps[number[endings[0]]]
            found[number[state]] = found[number[endings[0]]]
        found[number[state]] = strings.get(state, found[number[state]])
        for byte in range(256):
            following = state + bytes([byte])
            if following in number:
                steps[number[state], byte] = number[following]
    for table in (steps, found):
        table.setflags(write=False)
    return steps, found


@bare_kernel
def _judge(data: Any, offsets: Any, words: Any, tables: Any, limits: Any, out: Any) -> None:
    word_starts, word_ends, word_offsets, word_letters = words
    classes, capitals, steps, found = tables
    starts, ends, sentence_offsets, kinds, has_letter = out
    sentence = 0
    for document in range(len(offsets) - 1):
        position, limit = offsets[document], offsets[document + 1]
        word, last_word = word_offsets[document], word_offsets[document + 1]
        while position < limit:
            end, after, num_chars, num_technical, cursed = _sentence(data, position, limit, (classes, steps, found))
            while word < last_word and word_ends[word] <= position:  # marks between sentences
                word += 1
            num_words = num_capitals = 0
            letter = False
            while word < last_word and word_starts[word] < end:
                num_capitals += capitals[code_point(data, word_starts[word], limit)]
                num_words += 1
                letter |= word_letters[word]
                word += 1
            if skip_space(data, position, end, classes) < end:
                cursed |= _ends_with_bar(data, position, end, classes)
                starts[sentence], ends[sentence], has_letter[sentence] = position, end, letter
                kinds[sentence] = _kinds((num_words, num_capitals), (num_chars, num_technical), cursed, limits)
                sentence += 1
            position = skip_space(data, after, limit, classes)
        sentence_offsets[document + 1] = sentence


@bare_kernel
def _kinds(words: Any, chars: Any, cursed: Any, limits: Any) -> Any:
    """A bit for each of KINDS that the sentence is."""
    num_words, num_capitals = words
    num_chars, num_technical = chars
    (min_words, max_capital_ratio), (min_chars, max_chars), max_technical_ratio = limits
    list_case = num_words >= min_words and num_capitals / num_words > max_capital_ratio
    odd_length = num_chars < min_chars or num_chars > max_chars
    numbers = num_technical / num_chars > max_technical_ratio
    return list_case | odd_length << 1 | numbers << 2 | cursed << 3


@bare_kernel
def _sentence(data: Any, start: int, limit: int, tables: Any) -> Any:
    """Where the sentence from start ends, where the white space behind its marks begins, its signs, its technical signs
    and whether it is cursed. A run of marks belongs to the sentence unless white space follows.
    """
    classes, steps, found = tables
    position, end, state = start, limit, np.int64(0)
    num_chars = num_technical = chars_before = 0
    cursed = cursed_before = in_marks = False
    blanks = commas = line_feeds = np.uint64(0)  # of the last 64 signs
    while position < limit:
        byte = data[position]
        size, kind = 1, _BYTE_KINDS[byte]
        if byte >= 0x80:
            size = min(width(byte), limit - position)
            kind = _SPACE * (classes[code_point(data, position, limit)] & SPACE != 0)
        if kind == _SPACE and in_marks:
            return end, position, chars_before, num_technical, cursed_before
        if kind == _MARK and not in_marks:
            end, chars_before, cursed_before = position, num_chars, cursed
        in_marks = kind == _MARK
        num_chars += 1
        num_technical += kind == _TECHNICAL
        for place in range(position, position + size):
            state = np.int64(steps[state, data[place]])
        blanks = blanks << np.uint64(1) | np.uint64(byte == ord(" "))
        commas = commas << np.uint64(1) | np.uint64(byte == ord(","))
        line_feeds = line_feeds << np.uint64(1) | np.uint64(byte == ord("\n"))
        cursed |= found[state] == _ANYWHERE or _has_shape(blanks, commas, line_feeds)
        position += size
    return limit, limit, num_chars, num_technical, cursed or found[state] == _AT_END


@bare_kernel
def _ends_with_bar(data: Any, start: int, end: int, classes: Any) -> Any:
    last = skip_space_back(data, start, end, classes)
    return last > start and data[last - 1] == ord("|")


@bare_kernel
def _has_shape(blanks: Any, commas: Any, line_feeds: Any) -> Any:
    """Whether the signs so far end with one of the shapes."""
    for shape in range(len(_PLACES) if commas & np.uint64(1) else _NUM_SHAPES_WITHOUT_COMMA):
        places = _PLACES[shape]
        if (
            blanks & places[0] == places[0]
            and commas & places[1] == places[1]
            and line_feeds & places[2] == np.uint64(0)
            and blanks & places[3] == np.uint64(0)
        ):
            return True
    return False
