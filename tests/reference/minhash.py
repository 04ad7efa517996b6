"""The slow, obvious twin of filters.kernels.minhash: Python strings, Python integers, one document at a time."""

import string
import unicodedata

MASK64 = (1 << 64) - 1
MASK32 = (1 << 32) - 1
START = 0x9E3779B97F4A7C15
MULTIPLIER = 0xD6E8FEB86659FD93
BASE = 0xA24BAED4963EE407


def is_alone(character: str) -> bool:
    """Scripts whose characters each count as a word."""
    ranges = [
        "\u0e00\u0eff",
        "\u1000\u109f",
        "\u1780\u17ff",
        "\u3040\u30ff",
        "\u3400\u4dbf",
        "\u4e00\u9fff",
        "\uf900\ufaff",
    ]
    return any(first <= character <= last for first, last in [*ranges, "\U00020000\U0003ffff"])


def fold_character(character: str) -> str:
    """Lower case where both cases were in Unicode 3.2 and lower-casing is one character; punctuation and NUL vanish."""
    category = unicodedata.ucd_3_2_0.category
    if character == "\0" or character in string.punctuation:
        return ""
    if ord(character) > 0xFFFF:
        return character
    if category(character).startswith("P"):
        return ""
    lower = character.lower()
    return lower if category(character) == "Lu" and len(lower) == 1 and category(lower) == "Ll" else character


def folded_words(text: str) -> list[str]:
    words = []
    for run in text.split():
        spaced = "".join(f" {c} " if is_alone(c) else c for c in map(fold_character, run) if c)
        words += spaced.split(" ")
    return [word for word in words if word]


def mix(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & MASK64
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & MASK64
    return value ^ value >> 33


def absorb(state: int, chunk: int) -> int:
    state = (state ^ chunk) * MULTIPLIER & MASK64
    return state ^ state >> 32


def word_hash(word: str) -> int:
    data = word.encode()
    state = START
    for start in range(0, len(data), 8):
        state = absorb(state, int.from_bytes(data[start : start + 8], "little"))
    return mix(state ^ len(data))


def shingle_hashes(text: str, ngram: int) -> list[int]:
    """64-bit hashes of all shingles, before any permutation."""
    hashes = [word_hash(word) for word in folded_words(text)]
    if not hashes:
        return []
    length = min(ngram, len(hashes))
    shingles = []
    for first in range(len(hashes) - length + 1):
        combined = 0
        for value in hashes[first : first + length]:
            combined = (combined * BASE + value) & MASK64
        shingles.append(mix(combined))
    return shingles


def fmix32(value: int) -> int:
    value = (value ^ value >> 16) * 0x85EBCA6B & MASK32
    value = (value ^ value >> 13) * 0xC2B2AE35 & MASK32
    return value ^ value >> 16


def signature(shingles: list[int], factors: list[int], summands: list[int], scheme: str = "affine32") -> list[int]:
    mask = MASK32 if scheme == "affine32" else MASK64
    mixed = [fmix32(shingle >> 32) if scheme == "affine32" else mix(shingle) for shingle in shingles]
    return [
        min([(factor * value + summand) & mask for value in mixed], default=mask)
        for factor, summand in zip(factors, summands, strict=True)
    ]


def band_keys(values: list[int], bands: int, rows: int) -> list[int]:
    keys = []
    for band in range(bands):
        state = mix((START + band) & MASK64)
        for value in values[band * rows : (band + 1) * rows]:
            state = absorb(state, value)
        keys.append(mix(state))
    return keys


def word_key(text: str) -> tuple[int, int]:
    """High and low half of the key that texts with the same folded words share; 0, 0 without words."""
    hashes = [word_hash(word) for word in folded_words(text)]
    halves = []
    for state in (0x243F6A8885A308D3, 0x13198A2E03707344):
        for value in hashes:
            state = absorb(state, value)
        halves.append(mix(state ^ len(hashes)) if hashes else 0)
    return halves[0], halves[1]
