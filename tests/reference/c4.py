"""C4's line rules by regular expressions, one line after the other."""

import re
from collections.abc import Callable

CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
TITLES = ("mr", "mrs", "ms", "dr", "prof", "st", "vs", "jr", "sr", "gen", "rev", "fig", "no", "e.g", "i.e")


def ascii_lower(text: str) -> str:
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text)


def num_sentences(line: str) -> int:
    num = 1
    for place, mark in enumerate(line):
        follows = re.match(r"""["')]* +([^a-z ])""", line[place + 1 :], re.DOTALL)
        if mark in ".!?" and follows:
            before = line[:place].split(" ")[-1]
            initial = len(before) == 1 and "A" <= before <= "Z"
            num += not (mark == "." and (initial or ascii_lower(before) in TITLES))
    return num


def clean(
    text: str,
    end_marks: str = '.?!"',
    min_words: int = 5,
    max_word_chars: int = 1000,
    citations_are_words: bool = False,
) -> tuple[str, dict[str, int]]:
    """The new text, and counts by the names of the measures."""
    kept: list[str] = []
    counts = dict.fromkeys(("num_citations_removed", "num_lorem_ipsum_lines", "num_curly_brace_lines"), 0)
    content = [line.strip() for line in text.splitlines() if line.strip()]
    for line in content:
        num_words = len(line.split())
        if any(len(word) > max_word_chars for word in line.split()):
            continue
        citations = CITATION.findall(line)
        line = CITATION.sub("", line)
        if end_marks and (not line.endswith(tuple(end_marks)) or line.endswith("...")):
            continue
        if not citations_are_words and not line:
            continue
        if (num_words if citations_are_words else len(line.split())) < min_words:
            continue
        lower = line.lower()
        if "lorem ipsum" in lower and not counts["num_curly_brace_lines"]:
            counts["num_lorem_ipsum_lines"] += 1
        if "javascript" in lower:
            continue
        if "{" in line and not counts["num_lorem_ipsum_lines"]:
            counts["num_curly_brace_lines"] += 1
        if any(policy in lower for policy in POLICIES):
            continue
        counts["num_citations_removed"] += len(citations)
        kept.append(line)
    counts["num_lines_removed"] = len(content) - len(kept)
    counts["num_lines_kept"] = len(kept)
    counts["num_sentences"] = sum(map(num_sentences, kept))
    counts["num_chars"] = len(text)
    return "\n".join(kept), counts


def reference_page(
    text: str, bad_words: re.Pattern[str] | None = None, sentences: Callable[[str], int] = num_sentences
) -> tuple[str | None, str]:
    """What the reference code makes of a page, stopping where it stops: the reason to drop it, or None and its text."""
    if len(text) > 190_000:
        return "too_long", ""
    kept = []
    for line in map(str.strip, text.splitlines()):
        if any(len(word) > 1000 for word in line.split()):
            continue
        line = CITATION.sub("", line)
        if not line.endswith((".", "?", "!", '"')) or line.endswith("...") or len(line.split()) < 5:
            continue
        lower = line.lower()
        if "lorem ipsum" in lower:
            return "lorem_ipsum", ""
        if "javascript" in lower:
            continue
        if "{" in line:
            return "curly_brace", ""
        if any(policy in lower for policy in POLICIES):
            continue
        if bad_words is not None and bad_words.search(lower):
            return "bad_word", ""
        kept.append(line)
    if sum(map(sentences, kept)) < 3:
        return "too_few_sentences", ""
    return None, "\n".join(kept).strip()


def bad_word_pattern(words: list[str]) -> re.Pattern[str]:
    return re.compile(f"[^a-z](?:{'|'.join(map(re.escape, words))})[^a-z]")
