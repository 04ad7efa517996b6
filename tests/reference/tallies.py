"""Symbols, marks and stop words by Python's own str methods."""

from filters.kernels.tallies import BULLETS


def num_hashes(text: str) -> int:
    return text.count("#")


def num_ellipses(text: str) -> int:
    return text.count("...") + text.count("…")


def starts_with_bullet(line: str) -> bool:
    return line.strip().startswith(tuple(BULLETS))


def ends_with_ellipsis(line: str) -> bool:
    return line.strip().endswith(("...", "…"))


def num_stop_words(text: str, stop_words: list[str]) -> int:
    forms = [{word.lower(), word.upper(), word.capitalize()} for word in stop_words]
    return sum(bool(form & set(text.split())) for form in forms)
