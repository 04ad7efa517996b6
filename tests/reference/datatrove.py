"""What datatrove 0.10.1's filters measure, with Python's own strings, lists and counters.

Words are given, so that any definition of them can be tried: datatrove's are spaCy's.
"""

import re
from collections import Counter
from collections.abc import Callable

SYMBOLS = set("""!"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»´–—’“”„…∶━►、。「」【】〈〉《》％（），．：；？！１～""") | {
    chr(number) for number in (*range(9), 11, 12, *range(14, 32), 13, *range(127, 160))
}
# The code points of datatrove.utils.text.TERMINAL_PUNCTUATION, as the package of version 0.10.1 lists them.
_TERMINAL = (
    "21 2E 3F 589 61D 61E 61F 6D4 700 701 702 7F9 837 839 83D 83E 964 965 104A 104B 1362 1367 1368 166E 1735 1736 "
    "17D4 17D5 17D6 17D9 17DA 1803 1809 1944 1945 1AA8 1AA9 1AAA 1AAB 1B5A 1B5B 1B5E 1B5F 1B7D 1B7E 1C3B 1C3C 1C7E "
    "1C7F 203C 203D 2047 2048 2049 2E2E 2E3C 2E53 2E54 3002 A4FF A60E A60F A6F3 A6F7 A876 A877 A8CE A8CF A92F A9C8 "
    "A9C9 AA5D AA5E AA5F AAF0 AAF1 ABEB FE52 FE56 FE57 FF01 FF0E FF1F FF61 10A56 10A57 10F55 10F56 10F57 10F58 10F59 "
    "10F86 10F87 10F88 10F89 11047 11048 110BE 110BF 110C0 110C1 11141 11142 11143 111C5 111C6 111CD 111DE 111DF "
    "11238 11239 1123B 1123C 112A9 1144B 1144C 115C2 115C3 115C9 115CA 115CB 115CC 115CD 115CE 115CF 115D0 115D1 "
    "115D2 115D3 115D4 115D5 115D6 115D7 11641 11642 1173C 1173D 1173E 11944 11946 11A42 11A43 11A9B 11A9C 11C41 "
    "11C42 11EF7 11EF8 11F43 11F44 16A6E 16A6F 16AF5 16B37 16B38 16B44 16E98 1BC9F 1DA88 "
)
SENTENCE_ENDS = {chr(int(number, 16)) for number in _TERMINAL.split()}
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def is_symbol(character: str, published: bool = False) -> bool:
    return character in SYMBOLS or (not published and character in SENTENCE_ENDS)


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
    ended = sum(line[-1] in SENTENCE_ENDS for line in lines)
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
