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
        copied = [part for part in segments if segments.count(part) > 1]
        measures[f"duplicate_{name}_ratio"] = len(copied) / len(segments) if segments else 1.0
        chars = sum(map(len, segments))
        measures[f"duplicate_{name}_char_ratio"] = sum(map(len, copied)) / chars if chars else 1.0
    found = alphanumeric_first(words(text))
    chars = sum(map(len, found))
    for size in range(2, 11):
        ngrams = [tuple(found[start : start + size]) for start in range(len(found) - size + 1)]
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
