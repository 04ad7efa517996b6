"""DCLM's content filters and line modifiers, written from their published rules: one document at a time, in Python.

Words are three things there: `split` is str.split, `fasttext` the tokens of the fasttext library, `uniseg` those of the
uniseg library. The latter two count only where the first character is a letter or a number.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

Split = Callable[[str], list[str]]


def alphanumeric_first(words: Sequence[str]) -> list[str]:
    return [word for word in words if word[0].isalnum()]


def fasttext_words(text: str) -> list[str]:
    """What fastText's tokenizer gives, its mark for a line end left out: it starts with "<" and never counts."""
    return [word for word in re.split("[ \n\r\t\v\f\0]", text) if word]


def uniseg_words(text: str) -> list[str]:
    from uniseg.wordbreak import words  # type: ignore[import-untyped]

    return list(words(text))


def quality(text: str, words: Split = fasttext_words, stop_words: Sequence[str] = STOP_WORDS) -> dict[str, float]:
    """The measures by their names in gopher_quality."""
    split = text.split()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    hashes = text.count("#")
    ellipses = text.count("...") + text.count(". . .") + text.count("…")
    bullets = sum(line[0] in "●•*-" for line in lines)
    ends = sum(line.endswith(("...", ". . .", "…")) for line in lines)

    def share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0

    return {
        "num_words": len(alphanumeric_first(words(text))),
        "mean_word_chars": share(sum(map(len, split)), len(split)),
        "hash_ratio": share(hashes, len(split)),
        "ellipsis_ratio": share(ellipses, len(split)),
        "symbol_ratio": share(hashes + ellipses, len(split)),
        "bullet_line_ratio": share(bullets, len(lines)),
        "ellipsis_line_ratio": share(ends, len(lines)),
        "alphabetic_word_ratio": share(sum(any(map(str.isalpha, word)) for word in split), len(split)),
        "num_stop_words": sum(word.lower() in stop_words for word in split),
    }


def repetition(text: str, words: Split = uniseg_words) -> dict[str, float]:
    """The measures by their names in gopher_repetition."""
    measures: dict[str, float] = {"num_chars": len(text)}
    for name, cut in (("line", "\n"), ("paragraph", "\n\n")):
        segments = [part.strip() for part in text.split(cut) if part.strip()]
        copies = Counter(segments)
        copied = [part for part in segments if copies[part] > 1]
        measures[f"duplicate_{name}_ratio"] = len(copied) / len(segments) if segments else 1.0
        chars = sum(map(len, segments))
        measures[f"duplicate_{name}_char_ratio"] = sum(map(len, copied)) / chars if chars else 1.0
    found = alphanumeric_first(words(text))
    chars = sum(map(len, found))
    for size in range(2, 11):
        ngrams = list(zip(*(found[step:] for step in range(size)), strict=False))
        counts = Counter(ngrams)
        most = max(counts.values(), default=0)
        name = f"top_{size}_gram_char_ratio" if size < 5 else f"duplicate_{size}_gram_char_ratio"
        if most < 2:
            part = 0
        elif size < 5:
            part = most * max(sum(map(len, ngram)) for ngram, count in counts.items() if count == most)
        else:
            inside = {place + step for place, ngram in enumerate(ngrams) if counts[ngram] > 1 for step in range(size)}
            part = sum(len(found[place]) for place in inside)
        measures[name] = part / chars if part else 0.0
    return measures


REPETITION_LIMITS = {
    "duplicate_line_ratio": 0.3,
    "duplicate_paragraph_ratio": 0.3,
    "duplicate_line_char_ratio": 0.2,
    "duplicate_paragraph_char_ratio": 0.2,
    **{f"top_{size}_gram_char_ratio": limit for size, limit in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{f"duplicate_{size}_gram_char_ratio": (20 - size) / 100 for size in range(5, 11)},
}


def first_step(text: str, uniseg: Split = uniseg_words) -> str | None:
    """The first of DCLM's Gopher filters that drops the page, by its name there, in the order of its pipeline."""
    found = quality(text)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    num_split = len(text.split())
    bullets, ends = (found[f"{name}_line_ratio"] * len(lines) for name in ("bullet", "ellipsis"))
    without_letter = sum(not any(map(str.isalpha, word)) for word in text.split())
    steps = (
        ("page_length_filter", not 50 <= found["num_words"] <= 100_000),
        ("word_length_filter", not num_split or not 3 <= found["mean_word_chars"] <= 10),
        ("symbol_ratio_filter", not num_split or found["symbol_ratio"] > 0.1),
        ("bullet_count_filter", round(bullets) > 0.9 * len(lines)),
        ("ellipsis_count_filter", round(ends) > 0.3 * len(lines)),
        ("alphabetic_word_ratio_filter", not num_split or without_letter / num_split > 0.2),
        ("stop_word_filter", found["num_stop_words"] < 2),
    )
    for name, drops in steps:
        if drops:
            return name
    measures = repetition(text, uniseg)
    repeats = any(measures[name] > limit for name, limit in REPETITION_LIMITS.items())
    return "massive_web_repetition_filters" if repeats else None
