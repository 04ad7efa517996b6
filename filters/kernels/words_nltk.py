"""English words as NLTK's word_tokenize cuts sentences, as NLTK 3.8.1 does (2023).

NLTK edits the sentence with 30 expressions, one after the other, and splits it at white space. Nearly all of them put
spaces around what they find; here a cut between two code points stands for such spaces. No expression looks further
than the white space around a chunk, but for the one about the period that ends a sentence, which looks over closing
quotes and brackets; so chunks are cut one by one, and what follows the last word of a sentence goes with that word.

A quotation mark that opens becomes ``, another one ''. These are no spans of the text: they stand behind it.
"""

from typing import Any

import numpy as np

from filters.kernels.bare import bare_kernel
from filters.kernels.bits import HIGH_BITS, hash_bytes, hash_up_to_16, low_bytes
from filters.kernels.buffers import TextBuffers
from filters.kernels.punkt import Sentences
from filters.kernels.punkt_tokens import nltk_classes
from filters.kernels.unicode import LETTER, SPACE, code_point, width
from filters.kernels.words import Words, ascii_letters, filled_words, short_word, skip_space
from filters.kernels.words_nltk_expressions import (
    A_BLANK,
    BLANK,
    CLOSING,
    NOTHING,
    OPENING,
    OTHER_SPACE,
    TAIL,
    cut_piece,
    is_two_words,
    kind_of,
)

QUOTES = b"``''"  # behind the text


def cut_words(text: TextBuffers, sentences: Sentences) -> Words:
    """The words of each text.

    text: with QUOTES in its data behind all texts; sentences: one span for each text. Words may be one a byte.
    """
    num_bytes = int(text.offsets[-1] - text.offsets[0])
    room = (
        np.empty(num_bytes, np.int32),
        np.empty(num_bytes, np.int64),
        np.empty(num_bytes + 1, np.bool_),
    )
    spans = (sentences.starts, sentences.ends, sentences.offsets)
    return filled_words(text, num_bytes + 1, (nltk_classes(), spans, room), _cut_words)


@bare_kernel
def _cut_words(data: Any, offsets: Any, tables: Any, out: Any, word_offsets: Any) -> None:
    classes, sentences, room = tables
    starts, ends, sentence_offsets = sentences
    word = 0
    for document in range(len(offsets) - 1):
        for sentence in range(sentence_offsets[document], sentence_offsets[document + 1]):
            word = _cut_sentence(data, (starts[sentence], ends[sentence]), (classes, room), out, word)
        word_offsets[document + 1] = word


@bare_kernel
def _cut_sentence(data: Any, sentence: Any, tables: Any, out: Any, word: int) -> Any:
    """Write the words of one sentence from `word` on; the number of the next one."""
    start, end = sentence
    classes, room = tables
    tail = _tail_start(data, start, end, classes)
    position = skip_space(data, start, end, classes)
    while position < end:
        size, is_plain, number = _plain_word(data, position, tail)
        if is_plain:
            starts, ends, hashes, num_chars, has_letter = out
            starts[word], ends[word], hashes[word] = position, position + size, number
            num_chars[word], has_letter[word] = size, True
            word += 1
            position += size
        else:
            behind, after = _chunk_end(data, position, end, classes)
            if behind >= tail:
                behind, after = end, NOTHING
            num, kinds = _load(data, position, behind, room)
            cut_piece((room[0], room[2], num), kinds, (_kind_before(data, start, position), after), classes)
            word = _write(data, (room, num, behind), classes, out, word)
            position = behind
        position = skip_space(data, position, end, classes)
    return word


@bare_kernel
def _tail_start(data: Any, start: int, end: int, classes: Any) -> Any:
    """Behind the last code point that is neither white space nor a quote or bracket that may follow a last period."""
    position = end
    while position > start:
        last = position - 1
        while last > start and (data[last] & 0xC0) == 0x80:
            last -= 1
        char = code_point(data, last, end)
        if not classes[char] & SPACE and not kind_of(char) & TAIL:
            return position
        position = last
    return start


@bare_kernel
def _plain_word(data: Any, position: int, tail: int) -> Any:
    """Size and hash of a chunk of ASCII letters, and whether it is one that no expression finds."""
    size, first_8, next_8 = short_word(data, position, tail)
    is_plain = (
        size > 0
        and ascii_letters(first_8) == HIGH_BITS & low_bytes(min(size, 8))
        and ascii_letters(next_8) == HIGH_BITS & low_bytes(max(size - 8, 0))
        and not is_two_words(first_8, size)
    )
    return size, is_plain, hash_up_to_16(first_8, next_8, size)


@bare_kernel
def _chunk_end(data: Any, position: int, end: int, classes: Any) -> Any:
    """The end of a chunk, and what is behind it."""
    while position < end:
        byte = data[position]
        if byte == BLANK:
            return position, A_BLANK
        if (byte < 0x21 or byte > 0x7F) and classes[code_point(data, position, end)] & SPACE:
            return position, OTHER_SPACE
        position += width(byte)
    return end, NOTHING


@bare_kernel
def _kind_before(data: Any, start: int, position: int) -> Any:
    if position == start:
        return NOTHING
    return A_BLANK if data[position - 1] == BLANK else OTHER_SPACE


@bare_kernel
def _load(data: Any, start: int, end: int, room: Any) -> Any:
    """Write the code points of a piece, where they start, and no cuts; how many there are, and of what kinds."""
    chars, places, cuts = room
    num = 0
    kinds = 0
    position = start
    while position < end:
        char = code_point(data, position, end)
        kinds |= kind_of(char)
        chars[num] = char
        places[num] = position
        cuts[num] = False
        position += width(data[position])
        num += 1
    cuts[num] = False
    return num, kinds


@bare_kernel
def _write(data: Any, piece: Any, classes: Any, out: Any, word: int) -> Any:
    """Write the words between the cuts and white space of a piece from `word` on; the number of the next one."""
    (chars, places, cuts), num, piece_end = piece
    starts, ends, hashes, num_chars, has_letter = out
    index = 0
    while index < num:
        first = index
        letter = False
        while index < num and not classes[chars[index]] & SPACE and (index == first or not cuts[index]):
            letter |= classes[chars[index]] & LETTER != 0
            index += 1
        if index == first:
            index += 1
            continue
        start = places[first]
        end = places[index] if index < num else piece_end
        chars_in_word = index - first
        if chars[first] == OPENING or chars[first] == CLOSING:
            start = len(data) - (4 if chars[first] == OPENING else 2)
            end = start + 2
            chars_in_word = 2
        starts[word], ends[word] = start, end
        hashes[word] = hash_bytes(data, start, end)
        num_chars[word], has_letter[word] = chars_in_word, letter
        word += 1
    return word
