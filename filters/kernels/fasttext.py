"""fastText's prediction: the words and n-grams of a text, their rows of the model, and the mean of these.

Every float32 sum runs in fastText's own order, and exponentials and logarithms are rounded to float32 where fastText
stores one, so scores are the library's own but for a unit in the last place. The order is also why the rows of a word
are added one by one each time it occurs: their sum as a whole would round otherwise. What is kept of a word is which
rows it has.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import load_8, load_up_to_8, num_ones
from filters.kernels.fasttext_rows import add_rows, uncounted
from filters.kernels.fasttext_scores import best_label, new_scratch
from filters.kernels.jit import kernel

_FNV_START = np.uint64(2166136261)
_FNV_FACTOR = np.uint64(16777619)
_WORD_FACTOR = np.uint64(116049371)
_LOW_32 = np.uint64(0xFFFFFFFF)

_TAIL_BYTES = 10  # a NUL, a count (int64) and a kind (int8) after each word of a model's file
_LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
_END_MARK = np.frombuffer(b"</s>", np.uint8)
_BEGIN_WORD, _END_WORD = np.uint8(ord("<")), np.uint8(ord(">"))

_PIECE_BYTES = 128  # of a long word are looked at before the rows found are added
_FETCHED_ROWS = 128  # of word n-grams are added together; no more than a piece can have
_KEPT_ROWS = 60  # of words with more rows nothing is kept; 17 ASCII letters have about as many n-grams of 2 to 4
_MAX_KEPT_WORDS = 1 << 13  # 2.2 MB; four or eight times as many were no faster
_KEY = 4  # numbers by which a kept word is known


class Dictionary(NamedTuple):
    """What a model knows of words.

    file: uint8 (num_bytes,), the model's file; entry i is the word file[starts[i]:starts[i + 1] - 10].
    starts: int64 (num_entries + 1,). Entries below num_words are words, the others labels.
    slots: uint64 (a power of two,), a hash table of the entries: hash << 32 | entry + 1, or 0 where free.
    buckets: uint64 (num_buckets / 64 rounded up, 2), for each 64 buckets a bit for each that has a row, and the row
    of the first of these; rows lie in the order of buckets. Empty where bucket b has row num_words + b.
    min_chars, max_chars: of character n-grams; none where max_chars is 0. max_words: of word n-grams.
    """

    file: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    slots: npt.NDArray[np.uint64]
    buckets: npt.NDArray[np.uint64]
    num_words: int
    num_buckets: int
    min_chars: int
    max_chars: int
    max_words: int


def new_room(dictionary: Dictionary, sizes: npt.NDArray[np.int64], dimension: int) -> tuple[npt.NDArray[Any], ...]:
    """Room for predict, for texts of so many bytes each.

    In order: keys and rows of words kept, rows just found, a marked word, hashes of words, the mean row. keys: int64, 4
    for each of a power of two words: start and end of the latest occurrence, the hash, the number of rows (-1 for a
    label). rows: int32, 60 for each.
    """
    num_kept = 256
    while num_kept < _MAX_KEPT_WORDS and 16 * num_kept < sizes.sum():
        num_kept *= 2
    longest = int(sizes.max(initial=0))
    return (
        np.zeros(num_kept * _KEY, np.int64),
        np.empty(num_kept * _KEPT_ROWS, np.int32),
        np.empty(1 + _PIECE_BYTES * max(dictionary.max_chars, 1), np.int32),
        np.empty(longest + 2, np.uint8),
        np.empty(longest // 2 + 2 if dictionary.max_words > 1 else 0, np.int32),
        np.empty(dimension, np.float32),
    )


@kernel
def read_entries(file: Any, position: Any, starts: Any, counts: Any, kinds: Any) -> Any:
    """Fill starts, counts and kinds (int64) of a file's entries; returns where they end, -1 where the file ends first.

    starts has one place more than counts and kinds: its last is where the entries end.
    """
    starts[0] = position
    for entry in range(len(counts)):
        while position < len(file) and file[position] != 0:
            position += 1
        if position + _TAIL_BYTES > len(file):
            return -1
        counts[entry] = np.int64(load_8(file, position + 1))
        kinds[entry] = file[position + 9]
        position += _TAIL_BYTES
        starts[entry + 1] = position
    return position


@kernel
def fill_slots(file: Any, starts: Any, slots: Any) -> None:
    """Enter all entries into the hash table; of equal words the last wins, as in fastText."""
    for entry in range(len(starts) - 1):
        end = starts[entry + 1] - _TAIL_BYTES
        hashed = _hash(file, starts[entry], end)
        slot = _slot(file, starts, slots, (file, starts[entry], end, hashed))
        slots[slot] = (hashed << np.uint64(32)) | np.uint64(entry + 1)


@kernel
def predict(dictionary: Any, network: Any, text: Any, question: Any, room: Any, out: Any) -> None:
    """Fill out = (labels int32, scores float64), each (num_texts,).

    text: (data, starts, ends): text i is data[starts[i] : ends[i]]. question: (wanted, stops): the label whose score is
    asked for, -1 for the best one; whether a word `</s>` ends the text as in fastText (else it is passed over). Label
    -1 and score 0.0 where a text has no feature that the model knows, or all labels score 0.
    """
    data, starts, ends = uncounted(text[0]), uncounted(text[1]), uncounted(text[2])
    wanted, stops = question
    labels, scores = out
    words = _uncounted_dictionary(dictionary)
    rows, total = uncounted(network.rows), uncounted(room[5])
    borrowed = uncounted(room[0]), uncounted(room[1]), uncounted(room[2]), uncounted(room[3]), uncounted(room[4])
    output = new_scratch(len(network.scales))
    for number in range(len(labels)):
        labels[number], scores[number] = -1, 0.0
        total[:] = np.float32(0)
        one_text = data, starts[number], ends[number], stops
        num_rows = _add_text(words, rows, one_text, borrowed, total)
        if num_rows:
            total *= np.float32(1.0 / num_rows)
            labels[number], scores[number] = best_label(network, room[5], wanted, output)


@kernel
def _uncounted_dictionary(dictionary: Any) -> Any:
    return Dictionary(
        uncounted(dictionary.file),
        uncounted(dictionary.starts),
        uncounted(dictionary.slots),
        uncounted(dictionary.buckets),
        dictionary.num_words,
        dictionary.num_buckets,
        dictionary.min_chars,
        dictionary.max_chars,
        dictionary.max_words,
    )


@kernel
def _add_text(dictionary: Any, rows: Any, text: Any, room: Any, total: Any) -> Any:
    """Add the rows of all features of the text (data, start, end, stops); returns how many there are."""
    data, position, limit, stops = text
    found, hashes = room[2], room[4]
    num_rows = num_hashes = 0
    while True:
        start, position, hashed = _next_word(data, position, limit)
        is_end = _is_end_mark(data, start, position)
        if start == position or (is_end and stops):
            break
        if is_end:
            continue
        num_added = _add_word(dictionary, rows, (data, start, position, hashed), room, total)
        if num_added < 0:
            continue
        num_rows += num_added
        if dictionary.max_words > 1:
            hashes[num_hashes] = np.int32(np.uint32(hashed))
            num_hashes += 1
    # The end of the line is a word too.
    hashed = _hash(_END_MARK, 0, len(_END_MARK))
    entry = _entry(dictionary, _END_MARK, 0, len(_END_MARK), hashed)
    if 0 <= entry < dictionary.num_words:
        found[0] = entry
        add_rows(total, rows, found, 0, 1)
        num_rows += 1
    if dictionary.max_words > 1:
        hashes[num_hashes] = np.int32(np.uint32(hashed))
        num_rows += _add_word_ngrams(dictionary, rows, (hashes, num_hashes + 1), found, total)
    return num_rows


@kernel
def _next_word(data: Any, position: Any, limit: Any) -> Any:
    """(start, end, hash) of the next run of bytes that are not blank; start is end where there is none."""
    while position < limit and _is_blank(data[position]):
        position += 1
    start = position
    state = _FNV_START
    while position < limit and not _is_blank(data[position]):
        state = _hash_step(state, data[position])
        position += 1
    return start, position, state & _LOW_32


@kernel
def _is_blank(byte: Any) -> Any:
    return byte <= 0x20 and (byte == 0x20 or 9 <= byte <= 13 or byte == 0)


@kernel
def _hash(data: Any, start: Any, end: Any) -> Any:
    """The bytes' hash as fastText has it, in the low 32 bits of a uint64: FNV-1a over sign-extended bytes."""
    state = _FNV_START
    for position in range(start, end):
        state = _hash_step(state, data[position])
    return state & _LOW_32


@kernel
def _hash_step(state: Any, byte: Any) -> Any:
    # The low half of the product depends on the low halves only, so the upper bits may hold anything.
    return (state ^ np.uint64(np.int64(np.int8(byte)))) * _FNV_FACTOR


@kernel
def _same(first: Any, first_start: Any, second: Any, second_start: Any, size: Any) -> Any:
    for place in range(0, size, 8):
        num = min(8, size - place)
        if load_up_to_8(first, first_start + place, num) != load_up_to_8(second, second_start + place, num):
            return False
    return True


@kernel
def _is_end_mark(data: Any, start: Any, end: Any) -> Any:
    return end - start == len(_END_MARK) and _same(_END_MARK, 0, data, start, len(_END_MARK))


@kernel
def _is_label(data: Any, start: Any, end: Any) -> Any:
    return end - start >= len(_LABEL_PREFIX) and _same(_LABEL_PREFIX, 0, data, start, len(_LABEL_PREFIX))


@kernel
def _entry(dictionary: Any, data: Any, start: Any, end: Any, hashed: Any) -> Any:
    """The entry of a word, -1 where there is none."""
    slot = _slot(dictionary.file, dictionary.starts, dictionary.slots, (data, start, end, hashed))
    return np.int64(dictionary.slots[slot] & _LOW_32) - 1


@kernel
def _slot(file: Any, starts: Any, slots: Any, word: Any) -> Any:
    """Where the word (data, start, end, hash) is in the table, or the free slot where it would go."""
    data, start, end, hashed = word
    mask = len(slots) - 1
    slot = np.int64(hashed) & mask
    while slots[slot] != 0:
        entry = np.int64(slots[slot] & _LOW_32) - 1
        size = starts[entry + 1] - starts[entry] - _TAIL_BYTES
        if (
            slots[slot] >> np.uint64(32) == hashed
            and size == end - start
            and _same(file, starts[entry], data, start, size)
        ):
            break
        slot = (slot + 1) & mask
    return slot


@kernel
def _add_word(dictionary: Any, rows: Any, word: Any, room: Any, total: Any) -> Any:
    """Add the rows of the word (data, start, end, hash); returns how many there are, -1 for a label."""
    data, start, end, hashed = word
    keys, kept, found = room[0], room[1], room[2]
    slot = np.int64(hashed) & (len(keys) // _KEY - 1)
    key, first = slot * _KEY, slot * _KEPT_ROWS
    known, size = keys[key], end - start
    if keys[key + 2] == np.int64(hashed) and keys[key + 1] - known == size and _same(data, known, data, start, size):
        num_rows = keys[key + 3]
        add_rows(total, rows, kept, first, num_rows)
    else:
        num_rows = _add_new_word(dictionary, rows, word, room, total)
        if num_rows <= _KEPT_ROWS and size + 2 <= _PIECE_BYTES:
            keys[key + 2], keys[key + 3] = np.int64(hashed), num_rows
            for place in range(num_rows):
                kept[first + place] = found[place]
        else:
            start = end  # nothing is kept
    # The latest occurrence is the one most likely to be near at the next.
    keys[key], keys[key + 1] = start, end
    return num_rows


@kernel
def _add_new_word(dictionary: Any, rows: Any, word: Any, room: Any, total: Any) -> Any:
    """As _add_word; leaves the rows of a word of one piece in room[2]."""
    data, start, end, hashed = word
    found, marked = room[2], room[3]
    entry = _entry(dictionary, data, start, end, hashed)
    num_rows = num_found = np.int64(0)
    if entry >= dictionary.num_words or (entry < 0 and _is_label(data, start, end)):
        num_rows = np.int64(-1)
    elif entry >= 0:
        found[0] = entry
        num_found = np.int64(1)
    size = end - start + 2 if dictionary.max_chars > 0 and num_rows == 0 else 0
    if size:
        marked[0], marked[size - 1] = _BEGIN_WORD, _END_WORD
        for place in range(size - 2):
            marked[place + 1] = data[start + place]
    for first in range(0, max(size, num_found), _PIECE_BYTES):
        num_found = _find_ngrams(dictionary, marked, (first, min(first + _PIECE_BYTES, size), size), found, num_found)
        add_rows(total, rows, found, 0, num_found)
        num_rows += num_found
        num_found = np.int64(0)
    return num_rows


@kernel
def _find_ngrams(dictionary: Any, marked: Any, piece: Any, found: Any, num_found: Any) -> Any:
    """Append to found the rows of character n-grams of marked[:size] that start in the piece (first, last, size)."""
    first, last, size = piece
    for start in range(first, last):
        if marked[start] & 0xC0 == 0x80:
            continue
        state = _FNV_START
        end = start
        num_chars = 0
        while end < size and num_chars < dictionary.max_chars:
            state = _hash_step(state, marked[end])
            end += 1
            while end < size and marked[end] & 0xC0 == 0x80:
                state = _hash_step(state, marked[end])
                end += 1
            num_chars += 1
            # The marks alone are no n-grams.
            if num_chars >= dictionary.min_chars and not (num_chars == 1 and (start == 0 or end == size)):
                # Whether a model has an n-gram is hard to foretell, so this has no branch.
                row, num = _bucket_row(dictionary, state & _LOW_32)
                found[num_found] = row
                num_found += num
    return num_found


@kernel
def _bucket_row(dictionary: Any, hashed: Any) -> Any:
    """(the row of an n-gram's bucket, 1), or (any number, 0) where the model was pruned of it."""
    bucket = hashed % np.uint64(dictionary.num_buckets)
    if not len(dictionary.buckets):
        return dictionary.num_words + np.int64(bucket), np.int64(1)
    place = np.int64(bucket >> np.uint64(6))
    bits = dictionary.buckets[place, 0]
    below = bits & ((np.uint64(1) << (bucket & np.uint64(63))) - np.uint64(1))
    row = np.int64(dictionary.buckets[place, 1]) + num_ones(below)
    return row, np.int64((bits >> (bucket & np.uint64(63))) & np.uint64(1))


@kernel
def _add_word_ngrams(dictionary: Any, rows: Any, hashes: Any, found: Any, total: Any) -> Any:
    """Add the rows of all runs of 2 to max_words words of (hashes, how many); returns how many rows there are."""
    numbers, size = hashes
    num_rows = num_found = 0
    for first in range(size):
        state = np.uint64(np.int64(numbers[first]))
        for last in range(first + 1, min(first + dictionary.max_words, size)):
            state = state * _WORD_FACTOR + np.uint64(np.int64(numbers[last]))
            row, num = _bucket_row(dictionary, state)
            found[num_found] = row
            num_found += num
            # Many at a time, so that the machine fetches rows ahead: they lie anywhere in memory.
            if num_found == _FETCHED_ROWS:
                add_rows(total, rows, found, 0, num_found)
                num_rows += num_found
                num_found = 0
    add_rows(total, rows, found, 0, num_found)
    return num_rows + num_found
