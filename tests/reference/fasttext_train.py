"""fastText's training, slow and obvious: one Python loop a sum, in the order that float32 needs to be equal."""

import numpy as np

Float = np.float32


def word_hash(word):
    """FNV-1a of 32 bits, with each byte taken as a signed one."""
    state = 2166136261
    for byte in word.encode():
        state ^= byte if byte < 128 else byte + 0xFFFFFF00
        state = state * 16777619 % 2**32
    return state - 2**32 if state >= 2**31 else state


def feature_rows(words, hashes, row_of, num_words, max_words):
    """Rows of the words, then of the n-grams from 2 to max_words words, by where they start."""
    found = [row_of[word] for word in words if word >= 0]
    for start in range(len(words)):
        state = hashes[start] % 2**64
        for hashed in hashes[start + 1 : start + max_words]:
            state = (state * 116049371 + hashed) % 2**64
            found.append(row_of[num_words + state % (len(row_of) - num_words)])
    return [row for row in found if row >= 0]


def train(texts, labels, rows, weights, passes, rate):
    """texts: for each one the rows of its features; returns new rows and weights."""
    rows, weights = rows.copy(), weights.copy()
    dim, num_steps = rows.shape[1], passes * len(texts)
    for step in range(num_steps):
        found, label = texts[step % len(texts)], labels[step % len(texts)]
        if not found:
            continue
        remaining = Float(rate * (1.0 - step / num_steps))
        hidden = [Float(0)] * dim
        for row in found:
            hidden = [total + value for total, value in zip(hidden, rows[row], strict=True)]
        hidden = [total * Float(1 / len(found)) for total in hidden]
        scores = softmax([dot(weight, hidden) for weight in weights])
        slope = [Float(0)] * dim
        for i, score in enumerate(scores):
            pull = remaining * (Float(i == label) - score)
            slope = [total + pull * value for total, value in zip(slope, weights[i], strict=True)]
            weights[i] = [value + pull * part for value, part in zip(weights[i], hidden, strict=True)]
        slope = [value * Float(1 / len(found)) for value in slope]
        for row in found:
            rows[row] += np.array(slope, Float)
    return rows, weights


def dot(first, second):
    total = Float(0)
    for one, other in zip(first, second, strict=True):
        total += one * other
    return total


def softmax(values):
    shares = [Float(np.exp(float(value - max(values)))) for value in values]
    return [Float(float(share) / sum(map(float, shares))) for share in shares]
