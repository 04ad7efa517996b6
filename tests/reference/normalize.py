"""The slow twin of filters.kernels.normalize.rewrite: one character at a time, then regular expressions."""

import re

from filters.kernels import normalize as kernels


def rewrite(texts: list[str], classes: dict[str, int], squeeze: bool) -> tuple[list[str], list[bool]]:
    """classes: character -> class, with kernels.UNSTABLE added or not; characters that are absent are kept."""
    pairs = [_rewrite_one(text, classes, squeeze) for text in texts]
    return [text for text, _ in pairs], [unstable for _, unstable in pairs]


def _rewrite_one(text: str, classes: dict[str, int], squeeze: bool) -> tuple[str, bool]:
    kinds = {character: entry & 0x7F for character, entry in classes.items()}
    text = "".join(c for c in text if kinds.get(c) != kernels.REMOVE)
    text = _without_idle_joiners(text, kinds)
    unstable = any(
        classes.get(c, 0) >= kernels.UNSTABLE
        for c in text
        if kinds.get(c, kernels.KEEP) in (kernels.KEEP, kernels.JOINER, kernels.JOINABLE, kernels.MARK)
    )
    returns = "".join(c for c, kind in kinds.items() if kind == kernels.CARRIAGE_RETURN)
    if returns:
        text = re.sub(f"[{re.escape(returns)}]\n?", "\n", text)
    text = "".join("\n" if kinds.get(c) == kernels.NEWLINE else c for c in text)
    if squeeze:
        text = "".join(" " if kinds.get(c) == kernels.BLANK else c for c in text)
        # Characters that are kept may look blank to a regular expression, so only these two are named.
        text = re.sub(" +", " ", text)
        text = re.sub(" ?\n", "\n", text)
        text = re.sub("\n{3,}", "\n\n", text)
        text = text.strip(" \n")
    return text, unstable


def _without_idle_joiners(text: str, kinds: dict[str, int]) -> str:
    kept: list[str] = []
    joinable = False
    for character in text:
        kind = kinds.get(character, kernels.KEEP)
        if kind == kernels.JOINER and not joinable:
            continue
        if kind != kernels.MARK:
            joinable = kind == kernels.JOINABLE
        kept.append(character)
    return "".join(kept)
