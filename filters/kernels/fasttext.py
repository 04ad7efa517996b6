"""fastText's prediction: from bytes to rows of the input matrix, their mean, and the labels' scores.

Every float32 sum runs in fastText's own order, and every exponential and logarithm is rounded to float32 where fastText
stores one, so scores are the library's own, not near ones. The order is also why no sum of a word is kept for its next
occurrence: adding it as a whole would round otherwise.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.kernels.bits import load_8
from filters.kernels.jit import kernel

SOFTMAX, TREE, SIGMOID = 0, 1, 2  # how scores come out of the output matrix

_FNV_START = np.uint64(2166136261)
_FNV_FACTOR = np.uint64(16777619)
_LOW_32 = np.uint64(0xFFFFFFFF)
_WORD_FACTOR = np.uint64(116049371)
_ENTRY_TAIL = 10  # a NUL, a count (int64) and a kind (int8) after each word

_LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
_END_OF_SENTENCE = np.frombuffer(b"</s>", np.uint8)
_BEGIN_WORD, _END_WORD = np.uint8(ord("<")), np.uint8(ord(">"))

_LOG_SHIFT = 1e-5  # fastText takes log(score + 1e-5)
_LOG_OF_ZERO = np.float32(np.log(1e-5))  # labels of a tree below this are left out by fastText
_SIGMOID_LIMIT, _SIGMOID_STEPS = 8, 512
# In fastText's own precision: float32 arguments and exponentials, a quotient of float64.
_SIGMOID_AT = (np.arange(_SIGMOID_STEPS + 1) * (2 * _SIGMOID_LIMIT) / _SIGMOID_STEPS - _SIGMOID_LIMIT).astype("f4")
_SIGMOIDS = (1.0 / (np.float32(1) + np.exp(-_SIGMOID_AT)).astype("f8")).astype("f4")


class Dictionary(NamedTuple):
    """What fastText knows of words.

    file: uint8 (num_bytes,), the model's file; entry i is the word file[starts[i]:starts[i + 1] - 10].
    starts: int64 (num_entries + 1,). Entries below num_words are words, the others labels.
    slots: uint64 (a power of two,), the hash table of entries: hash << 32 | entry + 1, or 0 where free.
    bucket_rows: int32 (num_buckets,), the row of each bucket or -1; empty where bucket b has row num_words + b.
    """

    file: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    slots: npt.NDArray[np.uint64]
    bucket_rows: npt.NDArray[np.int32]
    num_words: int
    num_buckets: int
    min_chars: int
    max_chars: int
    max_words: int


class Network(NamedTuple):
    """rows: float32 (num_rows, dimension), of words, then buckets. weights: float32 (dimension, num_labels).

    scales: float32 (num_labels,), factors of the dot products: the norms of a quantized output, else ones.
    children: int32 (num_labels - 1, 2), the tree's nodes from num_labels on; leaves are labels. Empty without a tree.
    """

    rows: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    children: npt.NDArray[np.int32]
    loss: int


@kernel
def read_entries(file: Any, position: Any, starts: Any, counts: Any, kinds: Any) -> Any:
    """Fill starts, counts and kinds (int64) of a file's entries; returns where they end, -1 where the file ends first.

    starts has one place more than counts and kinds: it ends with where the entries end.
    """
    starts[0] = position
    for entry in range(len(counts)):
        while position < len(file) and file[position] != 0:
            position += 1
        if position + _ENTRY_TAIL > len(file):
            return -1
        counts[entry] = np.int64(load_8(file, position + 1))
        kinds[entry] = file[position + 9]
        position += _ENTRY_TAIL
        starts[entry + 1] = position
    return position


@kernel
def fill_slots(file: Any, starts: Any, slots: Any) -> None:
    """Enter all entries into the hash table; of equal words the last wins, as in fastText."""
    for entry in range(len(starts) - 1):
        end = starts[entry + 1] - _ENTRY_TAIL
        hashed = _hash(file, starts[entry], end)
        slot = _slot(file, starts, slots, (file, starts[entry], end, hashed))
        slots[slot] = (hashed << np.uint64(32)) | np.uint64(entry + 1)


@kernel
def _hash(data: Any, start: Any, end: Any) -> Any:
    """FastText's hash of bytes, in the low 32 bits of a uint64: FNV-1a over sign-extended bytes."""
    state = _FNV_START
    for position in range(start, end):
        state = _hash_step(state, data[position])
    return state & _LOW_32


@kernel
def _hash_step(state: Any, byte: Any) -> Any:
    # The low half of the product depends on the low halves only, so the upper bits may hold anything.
    return (state ^ np.uint64(np.int64(np.int8(byte)))) * _FNV_FACTOR


@kernel
def _slot(file: Any, starts: Any, slots: Any, word: Any) -> Any:
    """Where the word (data, start, end, hash) is in the table, or the free slot where it would go."""
    data, start, end, hashed = word
    mask = len(slots) - 1
    slot = np.int64(hashed) & mask
    while slots[slot] != 0:
        if slots[slot] >> np.uint64(32) == hashed:
            begin = starts[np.int64(slots[slot] & _LOW_32) - 1]
            if starts[np.int64(slots[slot] & _LOW_32)] - _ENTRY_TAIL - begin == end - start and _same(
                file, begin, data, start, end - start
            ):
                return slot
        slot = (slot + 1) & mask
    return slot


@kernel
def _same(first: Any, first_start: Any, second: Any, second_start: Any, size: Any) -> Any:
    for place in range(size):
        if first[first_start + place] != second[second_start + place]:
            return False
    return True


@kernel
def _entry(dictionary: Any, data: Any, start: Any, end: Any, hashed: Any) -> Any:
    """The entry of a word, -1 where there is none."""
    slot = _slot(dictionary.file, dictionary.starts, dictionary.slots, (data, start, end, hashed))
    return np.int64(dictionary.slots[slot] & _LOW_32) - 1


@kernel
def _bucket_row(dictionary: Any, hashed: Any) -> Any:
    """The row of an n-gram's bucket, -1 where the model was pruned of it."""
    bucket = np.int64(hashed % np.uint64(dictionary.num_buckets))
    if len(dictionary.bucket_rows):
        return np.int64(dictionary.bucket_rows[bucket])
    return dictionary.num_words + bucket


@kernel
def _is_blank(byte: Any) -> Any:
    return byte == 0x20 or byte == 0 or 9 <= byte <= 13


@kernel
def _add(total: Any, rows: Any, row: Any) -> None:
    values = rows[row]
    for place in range(len(total)):
        total[place] += values[place]


@kernel
def _add_characters(dictionary: Any, rows: Any, marked: Any, size: Any, total: Any) -> Any:
    """Add the rows of all character n-grams of the `<word>` in marked[:size]; returns how many there are."""
    num_rows = 0
    for start in range(size):
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
                row = _bucket_row(dictionary, state & _LOW_32)
                if row >= 0:
                    _add(total, rows, row)
                    num_rows += 1
    return num_rows


@kernel
def _add_word(dictionary: Any, rows: Any, word: Any, marked: Any, total: Any) -> Any:
    """Add the rows of the word (data, start, end, entry); returns how many there are."""
    data, start, end, entry = word
    num_rows = 0
    if entry >= 0:
        _add(total, rows, entry)
        num_rows = 1
    if dictionary.max_chars > 0 and not _is_end(data, start, end):
        size = end - start + 2
        marked[0] = _BEGIN_WORD
        marked[1 : size - 1] = data[start:end]
        marked[size - 1] = _END_WORD
        num_rows += _add_characters(dictionary, rows, marked, size, total)
    return num_rows


@kernel
def _is_end(data: Any, start: Any, end: Any) -> Any:
    return end - start == 4 and _same(_END_OF_SENTENCE, 0, data, start, 4)


@kernel
def _add_word_ngrams(dictionary: Any, rows: Any, hashes: Any, num_hashes: Any, total: Any) -> Any:
    """Add the rows of all runs of 2 to max_words words; returns how many there are."""
    num_rows = 0
    for first in range(num_hashes):
        state = np.uint64(np.int64(hashes[first]))
        for last in range(first + 1, min(first + dictionary.max_words, num_hashes)):
            state = state * _WORD_FACTOR + np.uint64(np.int64(hashes[last]))
            row = _bucket_row(dictionary, state)
            if row >= 0:
                _add(total, rows, row)
                num_rows += 1
    return num_rows


@kernel
def _add_text(dictionary: Any, rows: Any, text: Any, scratch: Any, total: Any) -> Any:
    """Add the rows of all features of the text (data, start, end, stops); returns how many there are."""
    data, position, limit, stops = text
    marked, hashes = scratch
    num_rows = 0
    num_hashes = 0
    while True:
        while position < limit and _is_blank(data[position]):
            position += 1
        start = position
        state = _FNV_START
        while position < limit and not _is_blank(data[position]):
            state = _hash_step(state, data[position])
            position += 1
        if start == limit:
            break
        if _is_end(data, start, position):
            if stops:
                break
            continue
        hashed = state & _LOW_32
        entry = _entry(dictionary, data, start, position, hashed)
        if entry >= dictionary.num_words or (entry < 0 and _is_label(data, start, position)):
            continue
        num_rows += _add_word(dictionary, rows, (data, start, position, entry), marked, total)
        if dictionary.max_words > 1:
            hashes[num_hashes] = np.int32(np.uint32(hashed))
            num_hashes += 1
    # The end of the line is a word too.
    hashed = _hash(_END_OF_SENTENCE, 0, 4)
    entry = _entry(dictionary, _END_OF_SENTENCE, 0, 4, hashed)
    if 0 <= entry < dictionary.num_words:
        _add(total, rows, entry)
        num_rows += 1
    if dictionary.max_words > 1:
        hashes[num_hashes] = np.int32(np.uint32(hashed))
        num_rows += _add_word_ngrams(dictionary, rows, hashes, num_hashes + 1, total)
    return num_rows


@kernel
def _is_label(data: Any, start: Any, end: Any) -> Any:
    return end - start >= len(_LABEL_PREFIX) and _same(_LABEL_PREFIX, 0, data, start, len(_LABEL_PREFIX))


@kernel
def _log(score: Any) -> Any:
    return np.float32(np.log(np.float64(score) + _LOG_SHIFT))


@kernel
def _exp(value: Any) -> Any:
    return np.float32(np.exp(np.float64(value)))


@kernel
def _dot(network: Any, hidden: Any, row: Any) -> Any:
    total = np.float32(0)
    for place in range(len(hidden)):
        total += network.weights[place, row] * hidden[place]
    return total * network.scales[row]


@kernel
def _outputs(network: Any, hidden: Any, output: Any) -> None:
    """The logarithm of each label's score, for losses without a tree."""
    output[:] = np.float32(0)
    for place in range(len(hidden)):
        weights = network.weights[place]
        for label in range(len(output)):
            output[label] += weights[label] * hidden[place]
    output *= network.scales
    if network.loss == SOFTMAX:
        _softmax(output)
    else:
        for label in range(len(output)):
            output[label] = _sigmoid(output[label])
    for label in range(len(output)):
        output[label] = _log(output[label])


@kernel
def _softmax(output: Any) -> None:
    highest = output[0]
    for label in range(len(output)):
        highest = max(highest, output[label])
    total = np.float32(0)
    for label in range(len(output)):
        output[label] = _exp(output[label] - highest)
        total += output[label]
    for label in range(len(output)):
        output[label] /= total


@kernel
def _sigmoid(value: Any) -> Any:
    if value < -_SIGMOID_LIMIT:
        return np.float32(0)
    if value > _SIGMOID_LIMIT:
        return np.float32(1)
    if np.isnan(value):
        return value
    step = (value + np.float32(_SIGMOID_LIMIT)) * np.float32(_SIGMOID_STEPS / _SIGMOID_LIMIT / 2)
    return _SIGMOIDS[np.int64(step)]


@kernel
def _pick(output: Any, wanted: Any) -> Any:
    """(label, logarithm of its score): the wanted label, or the best where wanted is -1; of equals the last."""
    best = 0
    for label in range(len(output)):
        if output[label] >= output[best]:
            best = label
    label = best if wanted < 0 else wanted
    return label, output[label]


@kernel
def _walk(network: Any, hidden: Any, stack: Any, wanted: Any) -> Any:
    """As _pick, down the tree; subtrees that cannot hold the answer are not entered. Label -1 where all score 0."""
    nodes, logs = stack
    num_labels = len(network.children) + 1
    nodes[0], logs[0] = 2 * num_labels - 2, np.float32(0)
    size = 1
    best, best_log = -1, _LOG_OF_ZERO
    while size:
        size -= 1
        node, log = np.int64(nodes[size]), logs[size]
        if log < best_log:
            continue
        if node < num_labels:
            if wanted < 0 or node == wanted:
                best, best_log = node, log
            continue
        value = _dot(network, hidden, node - num_labels)
        right = np.float32(1.0 / np.float64(np.float32(1) + _exp(-value)))
        # The left subtree is looked at first, so it lies on top.
        nodes[size], logs[size] = network.children[node - num_labels, 1], log + _log(right)
        left = np.float32(1.0 - np.float64(right))
        nodes[size + 1], logs[size + 1] = network.children[node - num_labels, 0], log + _log(left)
        size += 2
    return best, best_log


@kernel
def predict(dictionary: Any, network: Any, text: Any, question: Any, out: Any) -> None:
    """Fill out = (labels int32, scores float64), each (num_documents,).

    text: (data, offsets). question: (wanted, stops): the label whose score is asked for, -1 for the best one; whether
    a word `</s>` ends the text as in fastText (else it is passed over). A text without any feature, or whose labels
    all score 0, has label -1 and score 0.0.
    """
    data, offsets = text
    wanted, stops = question
    labels, scores = out
    longest = np.int64(0)
    for document in range(len(labels)):
        longest = max(longest, offsets[document + 1] - offsets[document])
    scratch = np.empty(longest + 2, np.uint8), np.empty(longest // 2 + 2, np.int32)
    hidden = np.empty(network.rows.shape[1], np.float32)
    output = np.empty(network.weights.shape[1], np.float32)
    stack = np.empty(len(output) + 1, np.int32), np.empty(len(output) + 1, np.float32)
    for document in range(len(labels)):
        labels[document], scores[document] = -1, 0.0
        hidden[:] = np.float32(0)
        one_text = data, offsets[document], offsets[document + 1], stops
        num_rows = _add_text(dictionary, network.rows, one_text, scratch, hidden)
        if num_rows == 0:
            continue
        hidden *= np.float32(1.0 / num_rows)
        if network.loss == TREE:
            label, log = _walk(network, hidden, stack, wanted)
        else:
            _outputs(network, hidden, output)
            label, log = _pick(output, wanted)
        labels[document] = label
        if label >= 0:
            scores[document] = np.float64(_exp(log))
