"""The slow twin of filters.kernels.markup.nesting, with regular expressions."""

import re

_FLAT = [
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "param",
    "source",
    "track",
    "wbr",
    "p",
    "li",
    "dt",
    "dd",
    "option",
    "optgroup",
    "tr",
    "td",
    "th",
    "thead",
    "tbody",
    "tfoot",
    "colgroup",
    "caption",
    "rb",
    "rt",
    "rtc",
    "rp",
    "html",
    "head",
    "body",
]


def nesting(html: str) -> tuple[int, int, int]:
    """(deepest nesting, sum of the depths of all tags, most attributes of a tag) of one document."""
    depth = deepest = total = 0
    for closing, name in re.findall(r"<(/?)([A-Za-z0-9]+)", html):
        # Names are told apart by their last eight letters.
        if name.lower()[-8:] not in _FLAT:
            depth = max(depth - 1, 0) if closing else depth + 1
        deepest = max(deepest, depth)
        total += depth
    most = 0
    for inside in re.findall(r"</?[A-Za-z0-9][^>]*", html):
        most = max(
            most, len(re.findall(r"[ \t\n\f\r/](?=[^<> \t\n\f\r/])", inside[2:] if inside[1] == "/" else inside))
        )
    return deepest, total, most
