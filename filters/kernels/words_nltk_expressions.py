"""NLTK's expressions for words, on one piece of a sentence: where it is cut. See filters.kernels.words_nltk."""

from typing import Any

import numpy as np

from filters.kernels.bare import bare_kernel
from filters.kernels.punkt_tokens import DECIMAL, NAME
from filters.kernels.unicode import NUM_CODE_POINTS, SPACE

# What stands in the place of a quotation mark.
OPENING, CLOSING = NUM_CODE_POINTS, NUM_CODE_POINTS + 1
_QUOTE, BLANK = ord("'"), ord(" ")
# What is beside a chunk: the end of the sentence, the blank, or other white space.
NOTHING, A_BLANK, OTHER_SPACE = range(3)

# Code points below U+2040 by the expressions that look for them.
_PAD_FIRST, _PAD_NEXT, _PAD_LAST, _COLON, _BRACKET, TAIL, _BACKTICK, _SINGLE, _DOUBLE, _PERIOD, _HYPHEN = (
    1 << bit for bit in range(11)
)
_OF_KIND = {
    _BACKTICK: "`",
    _SINGLE: "'",
    _DOUBLE: '"',
    _PERIOD: ".",
    _HYPHEN: "-",
    _PAD_FIRST: "«“‘„",
    _PAD_NEXT: ";@#$%&?!",
    _PAD_LAST: "*][(){}<>»”’",
    _COLON: ":,",
    _BRACKET: " ([{<",
    TAIL: "])}>\"'»”’ ",
}
_KINDS = np.zeros(0x2040, np.uint16)
for _bit, _chars in _OF_KIND.items():
    _KINDS[list(map(ord, _chars))] |= _bit

# Words that are cut in two: their letters, how many, and how many of them are in the first part.
_TWO = (("cannot", 3), ("d'ye", 1), ("gimme", 3), ("gonna", 3), ("gotta", 3), ("lemme", 3), ("more'n", 4), ("wanna", 3))
_BEFORE_BLANK = len(_TWO) - 1  # the last, only before white space
_LETTERS = np.array([list(map(ord, name.ljust(6))) for name, _ in _TWO], np.int32)
_SIZES = np.array([(len(name), first) for name, first in _TWO])
_FIRST_LETTERS = sum(1 << (ord(letter) - ord("a")) for letter in {name[0] for name, _ in _TWO})
_TIS, _TWAS = np.array(list(b"'tis")), np.array(list(b"'twas"))
# The least and greatest number of letters in a word that is cut in two without marks.
_MIN_LETTERS, _MAX_LETTERS = 5, 6


@bare_kernel
def cut_piece(piece: Any, kinds: int, beside: Any, classes: Any) -> None:
    """Set the cuts of a piece and the marks for its quotation marks, in the order of NLTK's expressions."""
    before, after = beside
    if kinds & (_PAD_FIRST | _BACKTICK | _DOUBLE):
        _pad_first(piece, before)
    if kinds & (_SINGLE | _DOUBLE):
        _open_quotes(piece, before)
    if kinds & _SINGLE:
        _cut_behind_quotes(piece, classes)
    if after == NOTHING and kinds & _PERIOD and _cut_last_period(piece, before):
        after = A_BLANK
    if kinds & _COLON:
        _pad_colons(piece, classes)
    if kinds & (_PAD_NEXT | _PERIOD):
        _pad_next(piece)
    if kinds & _SINGLE:
        _cut_before_quotes(piece, after)
    if kinds & (_PAD_LAST | _SINGLE | _DOUBLE | _HYPHEN):
        _pad_last(piece)
    # Now the sentence itself has a blank at both ends.
    before = A_BLANK if before == NOTHING else before
    after = A_BLANK if after == NOTHING else after
    if kinds & _SINGLE:
        _cut_short_endings(piece, after)
        _cut_long_endings(piece, after)
    _cut_words_in_two(piece, classes)
    if kinds & _SINGLE:
        _cut_behind_blank(piece, _TIS, before, classes)
        _cut_behind_blank(piece, _TWAS, before, classes)


@bare_kernel
def kind_of(char: Any) -> Any:
    """The kinds of a code point, or of a mark in the place of a quotation mark: bits."""
    return np.int64(_KINDS[char]) if char < len(_KINDS) else np.int64(0)


@bare_kernel
def _is_word(char: Any, classes: Any) -> Any:
    r"""Whether \w finds the code point."""
    return classes[char] & (NAME | DECIMAL) != 0


@bare_kernel
def _pad(cuts: Any, start: int, end: int) -> None:
    cuts[start] = True
    cuts[end] = True


@bare_kernel
def _blank_after(piece: Any, index: int, after: int) -> Any:
    """Whether a blank, no other white space, is before the code point of this index, which may be the end."""
    chars, cuts, num = piece
    return cuts[index] or (after == A_BLANK if index == num else chars[index] == BLANK)


@bare_kernel
def _pad_first(piece: Any, before: int) -> None:
    """Opening marks, runs of backticks and each two of them; a quotation mark at the start of a sentence opens."""
    chars, cuts, num = piece
    index = 0
    while index < num:
        start = index
        index += 1
        if kind_of(chars[start]) & _BACKTICK:
            while index < num and kind_of(chars[index]) & _BACKTICK:
                index += 1
            for pair in range(start, index + 1, 2):
                cuts[pair] = True
            cuts[index] = True
        elif kind_of(chars[start]) & _PAD_FIRST:
            _pad(cuts, start, index)
    if before == NOTHING and kind_of(chars[0]) & _DOUBLE:
        chars[0] = OPENING
        _pad(cuts, 0, 1)


@bare_kernel
def _open_quotes(piece: Any, before: int) -> None:
    """A quotation mark, or two single ones, behind a blank or an opening bracket opens."""
    chars, cuts, num = piece
    index = 0
    fresh = -1  # a cut that this very expression has made, which it does not see
    while index < num:
        end = index
        if kind_of(chars[index]) & _DOUBLE:
            end = index + 1
        elif _is_pair(piece, index, _QUOTE):
            end = index + 2
        is_behind = (cuts[index] and index != fresh) or (
            before == A_BLANK if index == 0 else kind_of(chars[index - 1]) & _BRACKET != 0
        )
        if end == index or not is_behind:
            index += 1
            continue
        fresh = -1 if cuts[end] else end
        _pad(cuts, index, end)
        while index < end:
            chars[index] = OPENING
            index += 1


@bare_kernel
def _is_pair(piece: Any, index: int, char: int) -> Any:
    chars, cuts, num = piece
    return index + 1 < num and chars[index] == char and chars[index + 1] == char and not cuts[index + 1]


@bare_kernel
def _cut_behind_quotes(piece: Any, classes: Any) -> None:
    """A single quote before one letter or digit that no other follows, if that is no ending ('s)."""
    chars, cuts, num = piece
    for index in range(num - 1):
        char = chars[index + 1]
        if chars[index] != _QUOTE or cuts[index + 1] or not _is_word(char, classes):
            continue
        is_last = index + 2 == num or cuts[index + 2] or not _is_word(chars[index + 2], classes)
        letter = _lower(char)
        is_ending = (
            letter == ord("m") or letter == ord("t") or letter == ord("s") or letter == ord("d") or letter == ord("n")
        )
        if is_last and not is_ending:
            cuts[index + 1] = True


@bare_kernel
def _lower(char: Any) -> Any:
    """The ASCII letter that Python's expressions take for the same, whatever its case; else the code point."""
    if ord("A") <= char <= ord("Z"):
        return char + 0x20
    if char == 0x130 or char == 0x131:
        return ord("i")
    if char == 0x17F:
        return ord("s")
    return char


@bare_kernel
def _cut_last_period(piece: Any, before: int) -> Any:
    """The period at the end of a sentence, before quotes and brackets; whether there is one and something before it.

    NLTK has a second, narrower expression for it, which finds nothing that this one has not cut.
    """
    chars, cuts, num = piece
    last = num - 1
    while last >= 0 and kind_of(chars[last]) & TAIL:
        last -= 1
    if last < 0 or not kind_of(chars[last]) & _PERIOD:
        return False
    if not cuts[last] and (before == NOTHING if last == 0 else kind_of(chars[last - 1]) & _PERIOD != 0):
        return False
    _pad(cuts, last, last + 1)
    return True


@bare_kernel
def _pad_colons(piece: Any, classes: Any) -> None:
    """Colons and commas but before a digit; one that follows directly is taken together with the first."""
    chars, cuts, num = piece
    index = 0
    while index < num:
        start = index
        index += 1
        if not kind_of(chars[start]) & _COLON:
            continue
        is_joined = index < num and not cuts[index]
        if is_joined and classes[chars[index]] & DECIMAL:
            continue
        _pad(cuts, start, index)
        if is_joined:
            index += 1


@bare_kernel
def _pad_next(piece: Any) -> None:
    """Two or more periods, and marks that are always apart."""
    chars, cuts, num = piece
    index = 0
    while index < num:
        start = index
        index += 1
        if kind_of(chars[start]) & _PAD_NEXT:
            _pad(cuts, start, index)
        elif kind_of(chars[start]) & _PERIOD:
            while index < num and kind_of(chars[index]) & _PERIOD and not cuts[index]:
                index += 1
            if index > start + 1:
                _pad(cuts, start, index)


@bare_kernel
def _cut_before_quotes(piece: Any, after: int) -> None:
    """A single quote before a blank, if no other is before it."""
    chars, cuts, num = piece
    for index in range(1, num):
        if chars[index] == _QUOTE and chars[index - 1] != _QUOTE and _blank_after(piece, index + 1, after):
            cuts[index] = True


@bare_kernel
def _pad_last(piece: Any) -> None:
    """Asterisks, brackets, closing marks, two hyphens, two single quotes; a quotation mark that is left closes."""
    chars, cuts, num = piece
    index = 0
    while index < num:
        start = index
        index += 1
        if _is_pair(piece, start, ord("-")) or _is_pair(piece, start, _QUOTE):
            index += 1
        elif kind_of(chars[start]) & _DOUBLE:
            chars[start] = CLOSING
        elif not kind_of(chars[start]) & _PAD_LAST:
            continue
        _pad(cuts, start, index)


@bare_kernel
def _cut_short_endings(piece: Any, after: int) -> None:
    """'s, 'm, 'd, or a single quote, before a blank."""
    chars, cuts, num = piece
    for index in range(1, num):
        if chars[index] != _QUOTE or chars[index - 1] == _QUOTE:
            continue
        is_ending = False
        if index + 1 < num and not cuts[index + 1]:
            letter = chars[index + 1] | 0x20
            is_ending = letter == ord("s") or letter == ord("m") or letter == ord("d")
        if (is_ending and _blank_after(piece, index + 2, after)) or _blank_after(piece, index + 1, after):
            cuts[index] = True


@bare_kernel
def _cut_long_endings(piece: Any, after: int) -> None:
    """'ll, 're, 've and n't, in upper or lower case, before a blank."""
    chars, cuts, num = piece
    for index in range(1, num - 2):
        is_inside = not cuts[index + 1] and not cuts[index + 2]
        if is_inside and chars[index - 1] != _QUOTE and _blank_after(piece, index + 3, after):
            first, second, third = chars[index], chars[index + 1], chars[index + 2]
            is_not = second == _QUOTE and first | 0x20 == ord("n") and third - first == ord("t") - ord("n")
            lower = second | 0x20
            is_verb = (
                (lower == ord("l") and third == second)
                or (lower == ord("r") and second - third == ord("r") - ord("e"))
                or (lower == ord("v") and second - third == ord("v") - ord("e"))
            )
            if is_not or (first == _QUOTE and is_verb):
                cuts[index] = True


@bare_kernel
def _cut_words_in_two(piece: Any, classes: Any) -> None:
    """cannot, gonna and such, wherever no letter or digit is beside them."""
    chars, cuts, num = piece
    for index in range(num - 3):
        letter = _lower(chars[index])
        if letter < ord("c") or letter > ord("w") or not (_FIRST_LETTERS >> (letter - ord("a"))) & 1:
            continue
        for name in range(len(_SIZES)):
            size, first = _SIZES[name]
            if letter != _LETTERS[name, 0] or not _is_name(piece, index, _LETTERS[name], size, classes):
                continue
            end = index + size
            is_last = end == num or cuts[end] or classes[chars[end]] & SPACE != 0
            if name != _BEFORE_BLANK or is_last:
                _pad(cuts, index, end)
                cuts[index + first] = True


@bare_kernel
def _is_name(piece: Any, start: int, letters: Any, size: int, classes: Any) -> Any:
    """Whether a word of these letters starts there, in any case, and no letter or digit is beside it.

    A word that starts with a quote may have letters before it.
    """
    chars, cuts, num = piece
    end = start + size
    if end > num or _lower(chars[start]) != letters[0]:
        return False
    if start > 0 and not cuts[start] and letters[0] != _QUOTE and _is_word(chars[start - 1], classes):
        return False
    if end < num and not cuts[end] and _is_word(chars[end], classes):
        return False
    place = 1
    while place < size and not cuts[start + place] and _lower(chars[start + place]) == letters[place]:
        place += 1
    return place == size


@bare_kernel
def _cut_behind_blank(piece: Any, letters: Any, before: int, classes: Any) -> None:
    """'tis or 'twas behind a blank."""
    chars, cuts, num = piece
    fresh = -1  # a cut that this very expression has made, which it does not see
    for index in range(num - len(letters) + 1):
        is_behind = (cuts[index] and index != fresh) or (before == A_BLANK if index == 0 else chars[index - 1] == BLANK)
        if is_behind and _is_name(piece, index, letters, len(letters), classes):
            end = index + len(letters)
            fresh = -1 if cuts[end] else end
            _pad(cuts, index, end)
            cuts[index + 2] = True


@bare_kernel
def is_two_words(letters: Any, size: int) -> Any:
    """Whether ASCII letters, of which the first 8 at most are given zero-padded, are a word that is cut in two."""
    if size < _MIN_LETTERS or size > _MAX_LETTERS:
        return False
    for index in range(len(_SIZES)):
        num_equal = 0
        for place in range(size):
            byte = np.int64((letters >> np.uint64(8 * place)) & np.uint64(0xFF)) | 0x20
            num_equal += byte == _LETTERS[index, place]
        if num_equal == size and _SIZES[index, 0] == size:
            return True
    return False
