"""fastText's prediction in plain Python, float32 step by step, from the parts of a model."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

END = b"</s>"
ONE = np.float32(1)


@dataclass
class Model:
    """words, labels: in file order; rows of words then buckets; pruned: bucket -> row after words, None for all."""

    words: list[bytes]
    labels: list[str]
    rows: np.ndarray
    weights: np.ndarray  # (num_labels, dimension)
    num_buckets: int = 0
    min_chars: int = 0
    max_chars: int = 0
    max_words: int = 1
    pruned: dict[int, int] | None = None
    label_counts: list[int] = field(default_factory=list)


def hash_of(word: bytes) -> int:
    state = 2166136261
    for byte in word:
        signed = byte - 256 if byte > 127 else byte
        state = ((state ^ (signed & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    return state


def tokens(text: bytes) -> list[bytes]:
    return [token for token in re.split(rb"[ \n\r\t\v\f\0]+", text) if token]


def characters(word: bytes) -> list[bytes]:
    """The word cut before each byte that does not continue a code point."""
    return re.findall(rb"[^\x80-\xbf][\x80-\xbf]*", word, re.DOTALL)


def character_ngrams(word: bytes, min_chars: int, max_chars: int) -> Iterator[bytes]:
    parts = characters(b"<" + word + b">")
    for start in range(len(parts)):
        for size in range(1, max_chars + 1):
            end = start + size
            if end > len(parts) or size < min_chars or (size == 1 and (start == 0 or end == len(parts))):
                continue
            yield b"".join(parts[start:end])


def bucket_row(model: Model, number: int) -> list[int]:
    bucket = number % model.num_buckets
    if model.pruned is None:
        return [len(model.words) + bucket]
    return [len(model.words) + model.pruned[bucket]] if bucket in model.pruned else []


def text_rows(model: Model, text: str, stops: bool = False) -> list[int]:
    """Rows of the words and their character n-grams in text order, then of the runs of words."""
    rows: list[int] = []
    hashes: list[int] = []
    words = tokens(text.encode())
    if stops and END in words:
        words = words[: words.index(END)]
    for word in [*(word for word in words if word != END), END]:
        if word.startswith(b"__label__") and word not in model.words:
            continue
        if word in model.words:
            rows.append(model.words.index(word))
        if word != END:
            for ngram in character_ngrams(word, model.min_chars, model.max_chars):
                rows += bucket_row(model, hash_of(ngram))
        number = hash_of(word)
        hashes.append(number - 2**32 if number >= 2**31 else number)
    for first in range(len(hashes)):
        state = hashes[first]
        for last in range(first + 1, min(first + model.max_words, len(hashes))):
            state = state * 116049371 + hashes[last]
            rows += bucket_row(model, state % 2**64)
    return rows


def mean_row(model: Model, rows: list[int]) -> np.ndarray:
    total = np.zeros(model.rows.shape[1], np.float32)
    for row in rows:
        total += model.rows[row]
    return total * np.float32(1 / len(rows))


def dot(weights: np.ndarray, hidden: np.ndarray) -> np.float32:
    total = np.float32(0)
    for weight, value in zip(weights, hidden, strict=True):
        total += weight * value
    return total


def log(value: Any) -> np.float32:
    return np.float32(np.log(np.float64(np.float32(value)) + 1e-5))


def softmax_scores(model: Model, hidden: np.ndarray) -> list[float]:
    values = [dot(weights, hidden) for weights in model.weights]
    powers = [np.float32(np.exp(np.float64(value - max(values)))) for value in values]
    total = np.float32(0)
    for power in powers:
        total += power
    return [shown(log(power / total)) for power in powers]


def sigmoid_scores(model: Model, hidden: np.ndarray) -> list[float]:
    return [shown(log(table_sigmoid(dot(weights, hidden)))) for weights in model.weights]


def table_sigmoid(value: np.float32) -> np.float32:
    """The sigmoid at the step of 1/32 at or below the value, 0 and 1 beyond 8."""
    if abs(value) > 8:
        return np.float32(value > 0)
    step = np.floor((value + np.float32(8)) * 32) / 32 - 8
    return np.float32(1 / np.float64(ONE + np.float32(np.exp(-np.float64(step)))))


def tree_scores(model: Model, hidden: np.ndarray) -> list[float]:
    """Each label's score: the product of shares on its path through the Huffman tree over label counts."""
    num_labels = len(model.labels)
    logs = {2 * num_labels - 2: np.float32(0)}
    for node, (left, right) in reversed(huffman(model.label_counts).items()):
        value = dot(model.weights[node - num_labels], hidden)
        share = np.float32(1 / np.float64(ONE + np.float32(np.exp(np.float64(-value)))))
        logs[left] = logs[node] + log(1 - np.float64(share))
        logs[right] = logs[node] + log(share)
    return [shown(logs[label]) if logs[label] >= np.float32(np.log(1e-5)) else 0.0 for label in range(num_labels)]


def huffman(counts: list[int]) -> dict[int, tuple[int, int]]:
    """node -> its two lightest free nodes; labels are taken from the last, and inner nodes in the order made."""
    weights = dict(enumerate(counts))
    leaves, inner = list(range(len(counts))), []
    children: dict[int, tuple[int, int]] = {}
    for node in range(len(counts), 2 * len(counts) - 1):
        pair = []
        for _ in range(2):
            take_leaf = leaves and (not inner or weights[leaves[-1]] < weights[inner[0]])
            pair.append(leaves.pop() if take_leaf else inner.pop(0))
        children[node] = (pair[0], pair[1])
        weights[node] = weights[pair[0]] + weights[pair[1]]
        inner.append(node)
    return children


def shown(value: np.float32) -> float:
    return min(float(np.float32(np.exp(np.float64(value)))), 1.0)
