"""The nearest known name, for error messages about unknown ones."""

import difflib
from collections.abc import Iterable


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the most similar known name, or nothing if none is similar."""
    near = difflib.get_close_matches(unknown, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
