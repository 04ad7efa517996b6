"""Which n-grams of evaluation items a document holds, by folded words.

n-grams are looked up by a 64-bit hash and then compared word for word, so that only words that share a 64-bit hash can
be taken for each other: a false hit needs n - 1 equal words and one such pair, a chance of 2**-64 for each near hit.
Where two of an index's n-grams, or two of its items, share a hash, the second is lost: below 3e-6 for ten million.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import mix
from filters.kernels.folded_words import FoldedWords
from filters.kernels.jit import kernel

_FACTOR = np.uint64(0x9FB21C651E98DF25)  # odd: multiplication is a bijection
_FILTER_BITS_PER_NGRAM = 16  # with three set for each, 1 in 100 positions that hold no n-gram is looked up


class OverlapIndex(NamedTuple):
    """The n-grams of all items; about 50 bytes an n-gram and 12 a word.

    words: uint64 (num_words,), hashes of the folded words of all items; item_of: int32 (num_words,); item_words: int64
    (num_items,), how many words of each count: not those that only n-grams of too many items hold.
    ngram_starts: int64 (num_ngrams + 1,): n-gram g begins at the words occurrences[ngram_starts[g] :
    ngram_starts[g + 1]] (int64, ascending) and has ngram_words[g] (int64) words. sizes: int64, the different numbers of
    words, descending. keys: uint64 (num_ngrams,); slots: int32 (a power of two,), open-addressed, -1 where empty.
    bits: uint64 (a power of two,), a Bloom filter of the first words of each n-gram, as many as the shortest has.
    """

    words: npt.NDArray[np.uint64]
    item_of: npt.NDArray[np.int32]
    item_words: npt.NDArray[np.int64]
    occurrences: npt.NDArray[np.int64]
    ngram_starts: npt.NDArray[np.int64]
    ngram_words: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint64]
    slots: npt.NDArray[np.int32]
    bits: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Overlap:
    """What a batch of documents shares with an index.

    item: int64 (num_documents,), the item of which most is found, the first of equals; -1: none.
    overlap_ratio: float64 (num_documents,), the share of that item's words that lie in n-grams found, in [0, 1].
    num_ngrams, num_items: int64 (num_documents,), different n-grams found, and different items that have any of them.
    matched: bool (num_words,), the documents' words in n-grams of items whose overlap is at least the one asked for.
    """

    item: npt.NDArray[np.int64]
    overlap_ratio: npt.NDArray[np.float64]
    num_ngrams: npt.NDArray[np.int64]
    num_items: npt.NDArray[np.int64]
    matched: npt.NDArray[np.bool_]


def build_index(items: FoldedWords, n: int, min_words: int, max_items: int) -> OverlapIndex:
    """Index every n-gram of the items: n consecutive words as written (all of a shorter item).

    Those of which fewer than min_words are left when folded are not indexed, nor those that more than max_items items
    hold. Items of equal words are one: the first.
    """
    item_words = np.diff(items.offsets)
    item_of = np.repeat(np.arange(len(item_words), dtype=np.int32), item_words)
    ngram_words = np.zeros(len(items.hashes), np.int64)
    _size_ngrams(items.places, items.num_places, items.offsets, (n, min_words), ngram_words)
    ngram_words[_repeats(items)[item_of]] = 0
    starts = np.flatnonzero(ngram_words)
    keys = np.empty(len(starts), np.uint64)
    _hash_ngrams(items.hashes, starts, ngram_words, keys)
    order = np.argsort(keys, kind="stable")
    keys, starts = keys[order], starts[order]
    first = np.flatnonzero(np.append(np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1]))
    num_occurrences = np.diff(np.append(first, len(starts)))
    rare = _num_holders(item_of[starts], first) <= max_items
    is_rare = np.repeat(rare, num_occurrences)
    uncounted = _covered(starts[~is_rare], ngram_words) & ~_covered(starts[is_rare], ngram_words)
    sizes = ngram_words[starts[first[rare]]]
    index = OverlapIndex(
        words=items.hashes.copy(),
        item_of=item_of,
        item_words=item_words - np.bincount(item_of[uncounted], minlength=len(item_words)),
        occurrences=starts[is_rare],
        ngram_starts=np.append(0, np.cumsum(num_occurrences[rare])),
        ngram_words=sizes,
        sizes=np.unique(sizes)[::-1].copy(),
        keys=keys[first[rare]],
        slots=np.full(1 << max(4, (2 * len(sizes)).bit_length()), -1, np.int32),
        bits=np.zeros(1 << max(4, (_FILTER_BITS_PER_NGRAM * len(sizes) // 64).bit_length()), np.uint64),
    )
    _fill_tables(index)
    return index


def _repeats(items: FoldedWords) -> npt.NDArray[np.bool_]:
    """Whether an item before has the same words."""
    keys = np.empty(len(items.offsets) - 1, np.uint64)
    _hash_items(items.hashes, items.offsets, keys)
    repeats = np.ones(len(keys), bool)
    repeats[np.unique(keys, return_index=True)[1]] = False
    return repeats


def _num_holders(item_of: npt.NDArray[np.int32], first: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many items hold each n-gram; its occurrences, in ascending order, begin at first."""
    differs = np.ones(len(item_of), np.int64)
    differs[1:] = item_of[1:] != item_of[:-1]
    differs[first] = 1
    return np.add.reduceat(differs, first) if len(first) else first


def _covered(starts: npt.NDArray[np.int64], ngram_words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which words lie in an n-gram that begins at any of starts."""
    steps = np.zeros(len(ngram_words) + 1, np.int32)
    steps[starts] = 1
    np.add.at(steps, starts + ngram_words[starts], np.int32(-1))
    return np.cumsum(steps[:-1]) > 0


def find_overlap(words: FoldedWords, index: OverlapIndex, min_overlap: float) -> Overlap:
    """Search documents for the n-grams of an index.

    Time is linear in the documents' words, and for each different n-gram found in the items that hold it and its words.

    Besides the result it takes memory for what is found: 16 bytes an n-gram in the document, and tables of the index's
    words and n-grams (4 and 12 bytes each) of which only the pages with those found are touched.
    """
    num_documents = len(words.offsets) - 1
    item = np.full(num_documents, -1, np.int64)
    overlap_ratio = np.zeros(num_documents, np.float64)
    counts = np.zeros((2, num_documents), np.int64)
    matched = np.zeros(len(words.hashes), np.bool_)
    if not len(index.sizes):
        return Overlap(item, overlap_ratio, counts[0], counts[1], matched)
    longest = int(np.diff(words.offsets).max(initial=0))
    hits = np.empty((2, longest * len(index.sizes)), np.int64)
    num_ngrams, num_items = len(index.keys), len(index.item_words)
    room = (
        *(np.zeros(size, np.int32) for size in (num_ngrams, len(index.words), num_items)),
        *(np.empty(size, np.int64) for size in (num_ngrams, num_items, num_items)),
    )
    _find_overlap(words.hashes, words.offsets, index, (hits, room, min_overlap), (item, overlap_ratio, counts, matched))
    return Overlap(item, overlap_ratio, counts[0], counts[1], matched)


@kernel
def _size_ngrams(places: Any, num_places: Any, offsets: Any, limits: Any, ngram_words: Any) -> None:
    """How many folded words the shortest n-gram that begins at each word has; 0 where none begins.

    An n-gram may begin with punctuation before the word: it is then shorter by that.
    """
    n, min_words = limits
    for item in range(len(offsets) - 1):
        size = min(n, num_places[item])
        written, end = np.int64(0), offsets[item]
        for word in range(offsets[item], offsets[item + 1]):
            begins = (written, min(places[word], num_places[item] - size))
            ngram_words[word], end = _shortest_ngram(places, (word, offsets[item + 1]), begins, end, (size, min_words))
            written = places[word] + 1


@kernel
def _shortest_ngram(places: Any, words: Any, begins: Any, end: Any, sizes: Any) -> Any:
    """Folded words of the shortest n-gram from a word on that has enough (0: none), and where its last window ends."""
    word, limit = words
    written, last_written = begins
    size, min_words = sizes
    while written <= last_written:
        while end < limit and places[end] < written + size:
            end += 1
        if end - word >= min_words:
            return end - word, end
        written += 1
    return np.int64(0), end


@kernel
def _hash_words(words: Any, start: Any, size: Any) -> Any:
    """uint64, wraps modulo 2**64: a polynomial of the words' hashes, which are mixed already."""
    state = np.uint64(0)
    for word in range(start, start + size):
        state = state * _FACTOR + words[word]
    return state


@kernel
def _hash_ngrams(words: Any, starts: Any, ngram_words: Any, keys: Any) -> None:
    for ngram in range(len(starts)):
        keys[ngram] = mix(_hash_words(words, starts[ngram], ngram_words[starts[ngram]]))


@kernel
def _hash_items(words: Any, offsets: Any, keys: Any) -> None:
    for item in range(len(keys)):
        keys[item] = mix(_hash_words(words, offsets[item], offsets[item + 1] - offsets[item]))


@kernel
def _fill_tables(index: Any) -> None:
    shortest = index.sizes[-1] if len(index.sizes) else 0
    for ngram in range(len(index.keys)):
        slot = np.int64(index.keys[ngram] & np.uint64(len(index.slots) - 1))
        while index.slots[slot] >= 0:
            slot = (slot + 1) & (len(index.slots) - 1)
        index.slots[slot] = ngram
        key = mix(_hash_words(index.words, index.occurrences[index.ngram_starts[ngram]], shortest))
        index.bits[_bit_word(key, index.bits)] |= _three_bits(key)


@kernel
def _bit_word(key: Any, bits: Any) -> Any:
    return np.int64((key >> np.uint64(18)) & np.uint64(len(bits) - 1))


@kernel
def _three_bits(key: Any) -> Any:
    """Three bits of one word, named by the lowest 18 bits of the key."""
    one = np.uint64(1)
    bits = one << (key & np.uint64(63)) | one << ((key >> np.uint64(6)) & np.uint64(63))
    return bits | one << ((key >> np.uint64(12)) & np.uint64(63))


@kernel
def _lookup(words: Any, start: Any, size: Any, index: Any) -> Any:
    """The number of the n-gram of `size` words at `start`, compared word for word; -1 where it is none."""
    key = mix(_hash_words(words, start, size))
    slot = np.int64(key & np.uint64(len(index.slots) - 1))
    while index.slots[slot] >= 0:
        ngram = np.int64(index.slots[slot])
        if index.keys[ngram] == key and index.ngram_words[ngram] == size:
            first = index.occurrences[index.ngram_starts[ngram]]
            same = True
            for word in range(size):
                same &= words[start + word] == index.words[first + word]
            return ngram if same else np.int64(-1)
        slot = (slot + 1) & (len(index.slots) - 1)
    return np.int64(-1)


@kernel
def _find_overlap(words: Any, offsets: Any, index: Any, room: Any, out: Any) -> None:
    hits, tables, min_overlap = room
    item, overlap_ratio, counts, matched = out
    for document in range(len(offsets) - 1):
        num_hits = _find_ngrams(words, offsets[document], offsets[document + 1], index, hits)
        if num_hits == 0:
            continue
        num_ngrams, num_items = _tally(hits, num_hits, index, tables, np.int32(document + 1))
        counts[0, document], counts[1, document] = num_ngrams, num_items
        _, _, _, _, found, covered = tables
        for candidate in found[:num_items]:
            share = covered[candidate] / index.item_words[candidate]
            best = overlap_ratio[document]
            if share > best or (share == best and candidate < item[document]):
                item[document], overlap_ratio[document] = candidate, share
        if overlap_ratio[document] >= min_overlap:
            _unsee_others(num_ngrams, index, tables, min_overlap)
            _mark(hits, num_hits, index, (tables[0], np.int32(document + 1)), matched)


@kernel
def _find_ngrams(words: Any, first: Any, limit: Any, index: Any, hits: Any) -> Any:
    """Fill `hits` with the position and number of every n-gram in words[first:limit]; returns how many."""
    bits, shortest = index.bits, index.sizes[-1]
    last_factor = np.uint64(1)
    for _ in range(shortest):
        last_factor *= _FACTOR
    num_hits = 0
    state = np.uint64(0)
    for word in range(first, limit):
        state = state * _FACTOR + words[word]
        start = word + 1 - shortest
        if start < first:
            continue
        if start > first:
            state -= words[start - 1] * last_factor
        key = mix(state)
        if bits[_bit_word(key, bits)] & _three_bits(key) != _three_bits(key):
            continue
        for size in index.sizes:
            ngram = _lookup(words, start, size, index) if start + size <= limit else np.int64(-1)
            if ngram >= 0:
                hits[0, num_hits], hits[1, num_hits] = start, ngram
                num_hits += 1
    return num_hits


@kernel
def _tally(hits: Any, num_hits: Any, index: Any, tables: Any, stamp: Any) -> Any:
    """Different n-grams and items among the hits; lists them and counts each item's words found.

    Tables stamped with the document's number need no clearing between documents.
    """
    seen_ngrams, seen_words, seen_items, ngrams, found, covered = tables
    num_ngrams = num_items = 0
    for hit in range(num_hits):
        ngram = hits[1, hit]
        if seen_ngrams[ngram] == stamp:
            continue
        seen_ngrams[ngram] = stamp
        ngrams[num_ngrams] = ngram
        num_ngrams += 1
        for occurrence in range(index.ngram_starts[ngram], index.ngram_starts[ngram + 1]):
            start = index.occurrences[occurrence]
            item = index.item_of[start]
            if seen_items[item] != stamp:
                seen_items[item] = stamp
                covered[item] = 0
                found[num_items] = item
                num_items += 1
            for word in range(start, start + index.ngram_words[ngram]):
                covered[item] += seen_words[word] != stamp
                seen_words[word] = stamp
    return num_ngrams, num_items


@kernel
def _unsee_others(num_ngrams: Any, index: Any, tables: Any, min_overlap: Any) -> None:
    """Clear the stamp of n-grams of which no item has the overlap that is asked for."""
    seen_ngrams, _, _, ngrams, _, covered = tables
    for ngram in ngrams[:num_ngrams]:
        most = 0.0
        for occurrence in range(index.ngram_starts[ngram], index.ngram_starts[ngram + 1]):
            item = index.item_of[index.occurrences[occurrence]]
            most = max(most, covered[item] / index.item_words[item])
        if most < min_overlap:
            seen_ngrams[ngram] = 0


@kernel
def _mark(hits: Any, num_hits: Any, index: Any, wanted: Any, matched: Any) -> None:
    """Mark the words of all n-grams that have the document's stamp."""
    seen_ngrams, stamp = wanted
    for hit in range(num_hits):
        start, ngram = hits[0, hit], hits[1, hit]
        if seen_ngrams[ngram] == stamp:
            matched[start : start + index.ngram_words[ngram]] = True
