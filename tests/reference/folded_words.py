"""Folded words by Python's own Unicode functions, one character at a time."""

import unicodedata


def fold(text: str) -> str:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in folded if _counts(c))


def _counts(c: str) -> bool:
    return c.isalnum() or (unicodedata.category(c)[0] == "M" and not "\ufe00" <= c <= "\ufe0f")


def _is_ideograph(folded: str) -> bool:
    return len(folded) == 1 and ("\u3400" <= folded <= "\u9fff" or "\U00020000" <= folded <= "\U0003ffff")


def folded_words(text: str) -> tuple[list[tuple[str, int, int, int]], int]:
    """(folded word, first character, end, place among the words as written), and the number of words as written."""
    words: list[tuple[str, int, int, int]] = []
    place, word, start, end, bare = 0, "", -1, -1, False
    for index, character in enumerate(text + " "):
        # Above plane 1 nothing is folded: those ideographs stay, anything else is no text.
        high = character >= "\U00020000"
        folded = (character if character < "\U00040000" else "") if high else fold(character)
        if character.isspace() or _is_ideograph(folded):
            if word:
                words.append((word, start, end, place))
            place += bool(word) or (bare and character.isspace())
            word, bare = "", bare and not word and not character.isspace()
            if not character.isspace():
                words.append((folded, index, index + 1, place))
                place, bare = place + 1, False
        elif not folded:
            bare = True
        else:
            start = start if word else index
            word, end = word + folded, index + 1
    return words, place
