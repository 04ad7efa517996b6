r"""RefinedWeb's corrections of texts as DCLM implements them, by regular expressions and one step after the other."""

import re
from collections.abc import Callable
from functools import cache
from importlib import resources

from tests.reference.dclm import alphanumeric_first, fasttext_words

_SCHEME = r"\s{0,10}(?:(?:https?|ftp)://)?"
_TAIL = r"[-a-zA-Z0-9()@:%_+.~#?&/=]*"
_ADDRESS = re.compile(rf"\s{{0,10}}\b(?:(?:https?|ftp)://)?(?:[0-2]?[0-9]{{1,2}}\.){{3}}[0-2]?[0-9]{{1,2}}{_TAIL}")
_COUNTED = "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers"
_COUNTER = re.compile(rf"^\W*\d[,.\d]*[kmb]?\s+(?:{'|'.join(_COUNTED.split())})\W*$")


@cache
def _domains() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds a URL, and what tells whether a text starts with a domain."""
    longest_first = "|".join(map(re.escape, sorted(top_level_domains(), key=len, reverse=True)))
    url = rf"{_SCHEME}[-a-zA-Z0-9@:%._+~#=]{{1,256}}\.(?:{longest_first})\b{_TAIL}"
    return re.compile(url), re.compile(longest_first, re.IGNORECASE)


@cache
def top_level_domains() -> frozenset[str]:
    """The last labels of all rules in the Public Suffix List of the package publicsuffixlist."""
    lines = resources.files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8").splitlines()
    rules = (line.strip() for line in lines)
    return frozenset(rule.split(".")[-1] for rule in rules if rule and not rule.startswith("//"))


def without_urls(text: str, as_dclm: bool) -> tuple[str, dict[str, int]]:
    """The text without URLs, addresses and long runs of line feeds, and the counts by the names of the measures."""
    url, start = _domains()
    num_urls = 0
    if not as_dclm or start.match(text):
        text, num_urls = url.subn("", text)
    text, num_addresses = _ADDRESS.subn("", text)
    shorter = re.sub(r"\n{3,}", "\n\n", text)
    counts = {
        "num_urls": num_urls,
        "num_ip_addresses": num_addresses,
        "num_line_ends_removed": len(text) - len(shorter),
    }
    return shorter, counts


def _keep(text: str, good: Callable[[str], bool], strip: bool = True) -> tuple[str, int]:
    """The lines that are good, and how many were not."""
    lines = text.split("\n")
    kept = [line for line in lines if good(line)]
    return "\n".join(kept).strip() if strip else "\n".join(kept), len(lines) - len(kept)


def _cut(text: str, pattern: re.Pattern[str], max_words: int) -> tuple[str, int]:
    """Short lines without what the pattern finds, gone where nothing is left; and how many were changed."""
    lines, num_changed = [], 0
    for line in text.split("\n"):
        shorter = pattern.sub("", line) if len(line.split()) <= max_words else line
        num_changed += shorter != line
        if shorter.strip() or not line or len(line.split()) > max_words:
            lines.append(shorter)
    return "\n".join(lines).strip(), num_changed


def corrected(text: str, as_dclm: bool = True) -> tuple[str, dict[str, float]]:
    """The corrected text, and the measures by their names in refinedweb."""
    before = len(alphanumeric_first(fasttext_words(text)))
    text, uppercase = _keep(text, lambda line: not line or sum(map(str.isupper, line)) / len(line) <= 0.5)
    text, numeric = _keep(text, lambda line: not line or sum(map(str.isdigit, line)) / len(line) <= 0.999999)
    text, counters = _keep(text, lambda line: not _COUNTER.search(line.lower()))
    text, short = _keep(text, lambda line: not line or len(line.split()) >= 2, strip=False)
    phrases = 0
    more = "read more..." if as_dclm else re.escape("read more...")
    for pattern in (r"\s?items in cart", rf"\s?{more}$", r"^sign-in\s?"):
        text, num_changed = _cut(text, re.compile(pattern, re.IGNORECASE), 10)
        phrases += num_changed
    after = len(alphanumeric_first(fasttext_words(text)))
    return text, {
        "num_uppercase_lines": uppercase,
        "num_numeric_lines": numeric,
        "num_counter_lines": counters,
        "num_short_lines": short,
        "num_phrase_lines": phrases,
        "num_lines_kept": len(text.split("\n")) if text else 0,
        "removed_word_ratio": (before - after) / before if before else 1.0,
    }
