"""Repeated substrings by comparing every run of characters with every other."""


def repeated_chars(text: str, size: int) -> tuple[int, int]:
    """Characters covered by runs of `size` that occur more than once, and those of their longest unbroken stretch."""
    runs = [text[start : start + size] for start in range(len(text) - size + 1)]
    covered = [False] * len(text)
    for start, run in enumerate(runs):
        if run in runs[:start] or run in runs[start + 1 :]:
            covered[start : start + size] = [True] * size
    stretches = "".join("x" if each else " " for each in covered).split()
    return sum(covered), max(map(len, stretches), default=0)
