"""fastText's training of a classifier, on one thread and the same each time.

The network and the steps are those of fastText's supervised mode with a softmax; see `train`. The library itself is not
used to train: with one thread it fills only the first tenth of its matrix, and version 0.9.2 leaves what memory held
in the rest, so that equal runs gave different models, or none ("Encountered NaN").
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.kernels.jit import kernel

_FNV_START, _FNV_FACTOR = np.uint64(2166136261), np.uint64(16777619)
_WORD_FACTOR = np.uint64(116049371)


class Tokens(NamedTuple):
    """The words of labelled texts, one after another, with the end mark as last word of each.

    words: int32 (num_tokens,), each word's number or -1 for one that is too rare; hashes: int32 (num_tokens,);
    offsets: int64 (num_texts + 1,); labels: int32 (num_texts,).
    """

    words: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]


class Features(NamedTuple):
    """Which row a feature has: row_of, int32 (num_words + num_buckets,), -1 for none.

    The first num_words features are words, the others buckets of the n-grams of 2 to max_words words.
    """

    row_of: npt.NDArray[np.int32]
    num_words: int
    max_words: int


@kernel
def word_hashes(data: Any, offsets: Any) -> Any:
    """FastText's hash of each word, int32: FNV-1a over sign-extended bytes (uint64, wraps; the low 32 bits count)."""
    hashes = np.empty(len(offsets) - 1, np.int32)
    for word in range(len(hashes)):
        state = _FNV_START
        for position in range(offsets[word], offsets[word + 1]):
            state = (state ^ np.uint64(np.int64(np.int8(data[position])))) * _FNV_FACTOR
        hashes[word] = np.int32(np.uint32(state & np.uint64(0xFFFFFFFF)))
    return hashes


@kernel
def train(tokens: Any, features: Any, rows: Any, weights: Any, schedule: Any) -> None:
    """Fit rows and weights in place: for each text in turn one step down the gradient of its cross entropy.

    rows: float32 (num_rows, dim); weights: float32 (num_labels, dim). A text's hidden vector is the mean of the rows of
    its features, its scores the softmax of weights times that. As in fastText the rows' gradient is divided by their
    number once more. schedule: (passes, rate); the learning rate falls from rate to 0 in a straight line.
    Source: Joulin et al. 2016 (Bag of Tricks for Efficient Text Classification).
    """
    passes, rate = schedule
    num_texts = len(tokens.labels)
    found = np.empty(_most_features(tokens.offsets, features.max_words), np.int32)
    hidden, slope = np.empty(rows.shape[1], np.float32), np.empty(rows.shape[1], np.float32)
    scores = np.empty(len(weights), np.float32)
    for step in range(passes * num_texts):
        text = step % num_texts
        num_found = _find_rows(tokens, features, text, found)
        if num_found:
            remaining = np.float32(rate * (1.0 - step / (passes * num_texts)))
            _mean(rows, found[:num_found], hidden)
            _softmax(weights, hidden, scores)
            _step_weights(weights, hidden, scores, (tokens.labels[text], remaining), slope)
            _step_rows(rows, found[:num_found], slope)


@kernel
def _most_features(offsets: Any, max_words: Any) -> Any:
    most = np.int64(0)
    for text in range(len(offsets) - 1):
        most = max(most, offsets[text + 1] - offsets[text])
    return most * max_words


@kernel
def _find_rows(tokens: Any, features: Any, text: Any, found: Any) -> Any:
    """Write the rows of a text's features to `found`; returns how many there are."""
    num_found = 0
    start, end = tokens.offsets[text], tokens.offsets[text + 1]
    for place in range(start, end):
        word = tokens.words[place]
        if word >= 0 and features.row_of[word] >= 0:
            found[num_found] = features.row_of[word]
            num_found += 1
    num_buckets = np.uint64(len(features.row_of) - features.num_words)
    for place in range(start, end):
        hashed = np.uint64(np.int64(tokens.hashes[place]))
        for last in range(place + 1, min(place + features.max_words, end)):
            hashed = hashed * _WORD_FACTOR + np.uint64(np.int64(tokens.hashes[last]))
            row = features.row_of[features.num_words + np.int64(hashed % num_buckets)]
            if row >= 0:
                found[num_found] = row
                num_found += 1
    return num_found


@kernel
def _mean(rows: Any, found: Any, hidden: Any) -> None:
    hidden[:] = np.float32(0)
    for place in range(len(found)):
        row = rows[found[place]]
        for i in range(len(hidden)):
            hidden[i] += row[i]
    share = np.float32(1.0 / len(found))
    for i in range(len(hidden)):
        hidden[i] *= share


@kernel
def _softmax(weights: Any, hidden: Any, scores: Any) -> None:
    for label in range(len(scores)):
        total = np.float32(0)
        for i in range(len(hidden)):
            total += weights[label, i] * hidden[i]
        scores[label] = total
    highest = scores.max()
    whole = 0.0
    for label in range(len(scores)):
        scores[label] = np.float32(np.exp(np.float64(scores[label] - highest)))
        whole += np.float64(scores[label])
    for label in range(len(scores)):
        scores[label] = np.float32(scores[label] / whole)


@kernel
def _step_weights(weights: Any, hidden: Any, scores: Any, target: Any, slope: Any) -> None:
    """Move the weights; slope becomes the step of the hidden vector. target: (label, learning rate)."""
    wanted, rate = target
    slope[:] = np.float32(0)
    for label in range(len(scores)):
        pull = rate * (np.float32(label == wanted) - scores[label])
        for i in range(len(hidden)):
            slope[i] += pull * weights[label, i]
            weights[label, i] += pull * hidden[i]


@kernel
def _step_rows(rows: Any, found: Any, slope: Any) -> None:
    share = np.float32(1.0 / len(found))
    for i in range(len(slope)):
        slope[i] *= share
    for place in range(len(found)):
        row = rows[found[place]]
        for i in range(len(slope)):
            row[i] += slope[i]
