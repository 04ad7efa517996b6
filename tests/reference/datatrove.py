"""What datatrove 0.10.1's filters measure, with Python's own strings, lists and counters.

Words are given, so that any definition of them can be tried: datatrove's are spaCy's.
"""

import re
from collections import Counter
from collections.abc import Callable

from filters.kernels.unicode import SENTENCE_END, code_point_classes

SYMBOLS = set("""!"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»´–—’“”„…∶━►、。「」【】〈〉《》％（），．：；？！１～""") | {
    chr(number) for number in (*range(9), 11, 12, *range(14, 32), 13, *range(127, 160))
}
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def is_symbol(character: str, published: bool = False) -> bool:
    if published:
        return character in SYMBOLS
    return character in SYMBOLS or bool(code_point_classes()[ord(character)] & SENTENCE_END)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def quality(text: str, words: list[str], stop_words: list[str], published: bool = False) -> dict[str, float]:
    """published: by datatrove 0.2.0."""
    spoken = [word for word in words if not all(is_symbol(character, published) for character in word)]
    num_stop_words = sum(word in stop_words for word in (words if published else set(words)))
    lines = text.splitlines()
    return {
        "num_words": float(len(spoken)),
        "mean_word_chars": _share(sum(map(len, spoken)), len(spoken)),
        "hash_ratio": _share(text.count("#"), len(words)),
        "ellipsis_ratio": _share(text.count("...") + text.count("…"), len(words)),
        "symbol_ratio": _share(text.count("#") + text.count("...") + text.count("…"), len(words)),
        "bullet_line_ratio": _share(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_line_ratio": _share(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "alphabetic_word_ratio": _share(sum(any(map(str.isalpha, word)) for word in words), len(words)),
        "num_stop_words": float(num_stop_words),
    }


def _repeats(parts: list[str]) -> list[str]:
    return [part for index, part in enumerate(parts) if part in parts[:index]]


def top_chars(words: list[str], size: int) -> int:
    ngrams = [" ".join(words[start : start + size]) for start in range(len(words) - size + 1)]
    if not ngrams:
        return 0
    ngram, count = Counter(ngrams).most_common(1)[0]
    return len(ngram) * count


def met_before_chars(words: list[str], size: int) -> int:
    met: set[str] = set()
    chars = start = 0
    while start + size <= len(words):
        joined = "".join(words[start : start + size])
        chars += len(joined) if joined in met else 0
        start += size if joined in met else 1
        met.add(joined)
    return chars


def repetition(text: str, words: list[str], published: bool = False) -> dict[str, float]:
    paragraphs = re.split(r"\n{2,}", text.strip())
    lines = text.splitlines() if published else re.split(r"\n+", text)
    measures = {"num_chars": float(len(text))}
    for name, parts in (("paragraph", paragraphs), ("line", lines)):
        measures[f"duplicate_{name}_ratio"] = _share(len(_repeats(parts)), len(parts))
        measures[f"duplicate_{name}_char_ratio"] = _share(sum(map(len, _repeats(parts))), len(text))
    for size in (2, 3, 4):
        measures[f"top_{size}_gram_char_ratio"] = _share(top_chars(words, size), len(text))
    for size in (5, 6, 7, 8, 9, 10):
        measures[f"duplicate_{size}_gram_char_ratio"] = _share(met_before_chars(words, size), len(text))
    return measures


def fineweb(text: str, words: list[str]) -> dict[str, float]:
    lines = [line for line in text.split("\n") if line.strip()]
    ended = sum(bool(code_point_classes()[ord(line[-1])] & SENTENCE_END) for line in lines)
    return {
        "num_lines": float(len(lines)),
        "line_punct_ratio": _share(ended, len(lines)),
        "short_line_ratio": _share(sum(len(line) <= 30 for line in lines), len(lines)),
        "duplicate_line_char_ratio": _share(sum(map(len, _repeats(lines))), len(text.replace("\n", ""))),
        "line_feed_ratio": _share(text.count("\n"), len(words)),
    }


def c4(
    text: str, count_sentences: Callable[[str], int], require_mark: bool = True, min_words: int = 3
) -> tuple[str, dict[str, int]]:
    """The new text, and how many lines are kept, their sentences, and lines that drop the page.

    A page ends with the first such line, so only its kind is counted.
    """
    kept: list[str] = []
    counts = dict.fromkeys(("num_lorem_ipsum_lines", "num_curly_brace_lines"), 0)
    for line in (line.strip() for line in text.splitlines()):
        words = line.split()
        line = CITATION.sub("", line)
        lower = line.lower()
        ended = line.endswith((".", "?", "!", '"', "'")) and not line.endswith("...")
        if any(len(word) > 1000 for word in words) or (require_mark and not ended) or len(words) < min_words:
            continue
        if "lorem ipsum" in lower and not counts["num_curly_brace_lines"]:
            counts["num_lorem_ipsum_lines"] += 1
        if "javascript" in lower:
            continue
        if "{" in line and not counts["num_lorem_ipsum_lines"]:
            counts["num_curly_brace_lines"] += 1
        if not any(policy in lower for policy in POLICIES):
            kept.append(line)
    counts["num_lines_kept"] = len(kept)
    counts["num_sentences"] = sum(map(count_sentences, kept))
    return "\n".join(kept).strip(), counts
