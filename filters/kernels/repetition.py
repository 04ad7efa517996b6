"""How much of a document repeats: lines, paragraphs and word n-grams.

Segments and n-grams are compared by 64-bit hashes. Two different ones share a hash with a chance of about
pairs / 2**64: below 1e-5 in a document of ten million words.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import mix
from filters.kernels.jit import kernel
from filters.kernels.lines import Lines
from filters.kernels.words import Words

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)

NGRAM_FACTOR = np.uint64(0x9FB21C651E98DF25)  # odd: multiplication is a bijection
_SLOT_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIN_TABLE_BITS = 4


@dataclass(frozen=True)
class Segments:
    """Lines or paragraphs of a batch; document i has segments offsets[i] to offsets[i + 1].

    hashes: uint64 (num_segments,); num_chars: int64 (num_segments,); offsets: int64 (num_documents + 1,).
    """

    hashes: npt.NDArray[np.uint64]
    num_chars: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


def content_lines(lines: Lines) -> Segments:
    """The lines that are not blank, without white space at both ends."""
    used = lines.has_content
    return Segments(lines.content_hashes[used], lines.content_chars[used], kept_offsets(used, lines.offsets))


def exact_lines(lines: Lines) -> Segments:
    """The lines that are not blank, with all of their white space."""
    used = lines.has_content
    return Segments(lines.hashes[used], lines.num_chars[used], kept_offsets(used, lines.offsets))


def paragraphs(lines: Lines) -> Segments:
    """Runs of lines that are not blank, between blank lines; their characters are those of their lines' content."""
    hashes = np.empty(len(lines.starts), np.uint64)
    num_chars = np.empty(len(lines.starts), np.int64)
    offsets = np.zeros(len(lines.offsets), np.int64)
    _paragraphs(lines.content_hashes, lines.content_chars, lines.offsets, (hashes, num_chars, offsets))
    num_segments = int(offsets[-1])
    return Segments(hashes[:num_segments], num_chars[:num_segments], offsets)


def repeated_segments(segments: Segments) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Segments seen before in the same document (the first copy does not count), and their characters.

    Returns two int64 (num_documents,).
    """
    most = int(np.diff(segments.offsets).max(initial=0))
    table = np.empty(table_size(most), np.int32)
    repeated = np.zeros((2, len(segments.offsets) - 1), np.int64)
    _repeated_segments(segments.hashes, segments.num_chars, segments.offsets, table, repeated)
    return repeated[0], repeated[1]


def copied_segments(segments: Segments) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Segments that occur more than once in their document, the first copy included, and their characters.

    Returns two int64 (num_documents,).
    """
    most = int(np.diff(segments.offsets).max(initial=0))
    room = (np.empty(table_size(most), np.int32), np.empty(most, np.bool_))
    copied = np.zeros((2, len(segments.offsets) - 1), np.int64)
    _copied_segments(segments.hashes, segments.num_chars, segments.offsets, room, copied)
    return copied[0], copied[1]


@dataclass(frozen=True)
class NgramRepetition:
    """Characters of words in repeated n-grams, for each document; white space does not count.

    top_chars: int64 (3, num_documents): inside all copies of the most frequent 2-, 3-, 4-gram; of those equally
    frequent the one that covers most; 0 where none occurs twice.
    top_copied_chars: int64 (3, num_documents): the same with overlapping copies in full, each as long as the n-gram.
    duplicate_chars: int64 (6, num_documents): inside any 5- to 10-gram that occurs more than once, all copies.
    A character that lies in several copies counts once in top_chars and duplicate_chars, so neither exceeds the
    characters of all words.
    """

    top_chars: npt.NDArray[np.int64]
    top_copied_chars: npt.NDArray[np.int64]
    duplicate_chars: npt.NDArray[np.int64]


def ngram_repetition(words: Words) -> NgramRepetition:
    """Repeated word n-grams of each document; memory and time are linear in its words.

    An n-gram that occurs twice starts with an (n-1)-gram that does, and ends with one. So the pass over (n+1)-grams
    looks only at positions where the pass over n-grams has found repetition twice in a row.
    """
    num_documents = len(words.offsets) - 1
    most = int(np.diff(words.offsets).max(initial=0))
    chars = np.zeros((len(TOP_NGRAMS) + len(DUPLICATE_NGRAMS), num_documents), np.int64)
    copied_chars = np.zeros((len(TOP_NGRAMS), num_documents), np.int64)
    grams = np.empty(most, np.uint64)
    tallies = np.empty((3, most), np.int64)
    positions = np.empty((2, most), np.int32)
    before = np.empty(most + 1, np.int64)
    num_slots = table_size(most)
    room = (grams, tallies, positions, before, np.empty(num_slots, np.int32), np.empty(4 * num_slots, np.uint8))
    _ngram_repetition(words.hashes, words.num_chars, words.offsets, room, (chars, copied_chars))
    return NgramRepetition(chars[: len(TOP_NGRAMS)], copied_chars, chars[len(TOP_NGRAMS) :])


def table_size(most: int) -> int:
    """Slots of an open-addressing table for so many keys: a power of two, at most half full."""
    return 1 << max(_MIN_TABLE_BITS, (2 * most).bit_length())


def kept_offsets(used: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Offsets of the segments that are used: int64 (num_documents + 1,)."""
    num_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(used, dtype=np.int64)])
    return num_before[offsets]


@kernel
def _paragraphs(hashes: Any, num_chars: Any, offsets: Any, out: Any) -> None:
    out_hashes, out_chars, out_offsets = out
    segment = 0
    for document in range(len(offsets) - 1):
        inside = False
        for line in range(offsets[document], offsets[document + 1]):
            if num_chars[line] == 0:
                segment += inside
                inside = False
                continue
            if not inside:
                out_hashes[segment] = np.uint64(0)
                out_chars[segment] = 0
                inside = True
            out_hashes[segment] = mix(out_hashes[segment] * NGRAM_FACTOR + hashes[line])
            out_chars[segment] += num_chars[line]
        segment += inside
        out_offsets[document + 1] = segment


@kernel
def clear_table(table: Any, num_keys: int) -> Any:
    """Empty the part of the table that num_keys need; the shift that makes slots of it from a 64-bit product."""
    bits = _MIN_TABLE_BITS
    while (1 << bits) < 2 * num_keys:
        bits += 1
    table[: 1 << bits] = -1
    return np.uint64(64 - bits)


@kernel
def first_of(keys: Any, position: Any, table: Any, shift: Any) -> Any:
    """The first position with the same key, which is `position` itself where the key is new. Fills the table."""
    key = keys[position]
    mask = np.int64((np.uint64(1) << (np.uint64(64) - shift)) - np.uint64(1))
    slot = np.int64((key * _SLOT_FACTOR) >> shift)
    while table[slot] >= 0:
        if keys[table[slot]] == key:
            return np.int64(table[slot])
        slot = (slot + 1) & mask
    table[slot] = position
    return np.int64(position)


@kernel
def _repeated_segments(hashes: Any, num_chars: Any, offsets: Any, table: Any, repeated: Any) -> None:
    for document in range(len(offsets) - 1):
        first, end = offsets[document], offsets[document + 1]
        shift = clear_table(table, end - first)
        keys = hashes[first:end]
        for segment in range(end - first):
            if first_of(keys, segment, table, shift) != segment:
                repeated[0, document] += 1
                repeated[1, document] += num_chars[first + segment]


@kernel
def _copied_segments(hashes: Any, num_chars: Any, offsets: Any, room: Any, copied: Any) -> None:
    table, again = room
    for document in range(len(offsets) - 1):
        first, end = offsets[document], offsets[document + 1]
        shift = clear_table(table, end - first)
        keys = hashes[first:end]
        again[: end - first] = False
        for segment in range(end - first):
            leader = first_of(keys, segment, table, shift)
            if leader == segment:
                continue
            for copy in (leader, segment):
                if not again[copy]:
                    again[copy] = True
                    copied[0, document] += 1
                    copied[1, document] += num_chars[first + copy]


@kernel
def _ngram_repetition(hashes: Any, num_chars: Any, offsets: Any, room: Any, out: Any) -> None:
    grams, _, positions, before, _, _ = room
    chars, copied_chars = out
    for document in range(len(offsets) - 1):
        first = offsets[document]
        num_words = offsets[document + 1] - first
        before[0] = 0
        for word in range(num_words):
            grams[word] = hashes[first + word]
            before[word + 1] = before[word] + num_chars[first + word]
            positions[0, word] = word
        num_candidates = num_words
        for size in range(2, 11):
            while num_candidates > 0 and positions[0, num_candidates - 1] + size > num_words:
                num_candidates -= 1
            if num_candidates < 2:
                break
            for candidate in range(num_candidates):
                position = np.int64(positions[0, candidate])
                # A polynomial of hashes that are mixed already: no further mixing is needed to tell n-grams apart.
                grams[position] = grams[position] * NGRAM_FACTOR + hashes[first + position + size - 1]
            # Later passes see few n-grams that occur once; sifting them gained nothing on web text.
            if size < 4:
                num_candidates = _sift(num_candidates, room)
            if num_candidates < 2:
                break
            _tally(num_candidates, size, room)
            row = size - 2
            if size < 5:
                chars[row, document], copied_chars[row, document] = _top_chars(num_candidates, size, room)
            else:
                chars[row, document] = _covered(num_candidates, size, room)
            num_candidates = _narrow(num_candidates, room)


@kernel
def _sift(num_candidates: int, room: Any) -> Any:
    """Drop most positions whose n-gram occurs once: those alone in a bucket of a table of counts up to two.

    Branches on whether an n-gram is new are the cost of the exact table; here there are none.
    """
    grams, _, positions, _, _, buckets = room
    bits = _MIN_TABLE_BITS
    while (1 << bits) < 8 * num_candidates:
        bits += 1
    buckets[: 1 << bits] = 0
    shift = np.uint64(64 - bits)
    for candidate in range(num_candidates):
        bucket = np.int64((grams[positions[0, candidate]] * _SLOT_FACTOR) >> shift)
        count = buckets[bucket]
        buckets[bucket] = count + (count < 2)
    num_kept = 0
    for candidate in range(num_candidates):
        position = positions[0, candidate]
        positions[0, num_kept] = position
        num_kept += buckets[np.int64((grams[position] * _SLOT_FACTOR) >> shift)] > 1
    return num_kept


@kernel
def _tally(num_candidates: int, size: int, room: Any) -> None:
    """For each n-gram, at its first position: how often it occurs, where its last copy ends, characters it covers."""
    grams, tallies, positions, before, table, _ = room
    shift = clear_table(table, num_candidates)
    for candidate in range(num_candidates):
        position = np.int64(positions[0, candidate])
        leader = first_of(grams, position, table, shift)
        positions[1, candidate] = leader
        end = position + size
        if leader == position:
            tallies[0, leader] = 1
            tallies[2, leader] = before[end] - before[position]
        else:
            tallies[0, leader] += 1
            tallies[2, leader] += before[end] - before[max(position, tallies[1, leader])]
        tallies[1, leader] = end


@kernel
def _top_chars(num_candidates: int, size: int, room: Any) -> Any:
    """Characters covered by the most frequent n-gram, and those of its copies in full; 0 where none occurs twice."""
    _, tallies, positions, before, _, _ = room
    most, covered, copied = np.int64(1), np.int64(0), np.int64(0)
    for candidate in range(num_candidates):
        leader = np.int64(positions[1, candidate])
        count = tallies[0, leader]
        if count > most:
            most, covered, copied = count, np.int64(0), np.int64(0)
        if count == most and most > 1:
            covered = max(covered, tallies[2, leader])
            copied = max(copied, count * (before[leader + size] - before[leader]))
    return covered, copied


@kernel
def _covered(num_candidates: int, size: int, room: Any) -> Any:
    """Characters inside any n-gram that occurs more than once."""
    _, tallies, positions, before, _, _ = room
    covered = np.int64(0)
    end = np.int64(0)
    for candidate in range(num_candidates):
        if tallies[0, positions[1, candidate]] > 1:
            position = np.int64(positions[0, candidate])
            covered += before[position + size] - before[max(position, end)]
            end = position + size
    return covered


@kernel
def _narrow(num_candidates: int, room: Any) -> Any:
    """Keep positions where the n-gram there and the one a word further on both occur more than once."""
    _, tallies, positions, _, _, _ = room
    num_kept = 0
    repeated = tallies[0, positions[1, 0]] > 1
    for candidate in range(num_candidates - 1):
        follows = tallies[0, positions[1, candidate + 1]] > 1
        position = positions[0, candidate]
        if repeated and follows and positions[0, candidate + 1] == position + 1:
            positions[0, num_kept] = position
            num_kept += 1
        repeated = follows
    return num_kept
