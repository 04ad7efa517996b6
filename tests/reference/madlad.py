r"""MADLAD-400's questions about sentences by regular expressions and str methods, one sentence after the other.

The list of what makes a sentence cursed is in the authors' own notation.
"""

import re
from collections.abc import Callable, Container

from filters.kernels.madlad import KINDS, Kind, SentenceRules

CURSED = (
    *(r" №", r"\ufffd\ufffd\ufffd", r"\|\s*$", r" nr\.$", r"aute irure dolor ", r" sunt in culpa qui "),
    *(r"orem ipsum ", r" quis nostrud ", r" adipisicing ", r" dolore eu ", r" cupidatat ", r"autem vel eum"),
    *(r"wisi enim ad", r" sex ", r" porn ", r"黄色电影", r"mp3", r"ownload", r"Vol\.", r" Ep\.", r"Episode"),
    *(r" г\.\s*$", r" кг\.\s*$", r" шт\.", r"Develop", r"Facebook", r" crusher ", r" xxx "),
    r" ... ... ... ... ... ... ... ... ...",
    r" .... .... .... .... .... .... .... .... ....",
    r" [^ ] [^ ] [^ ] [^ ] [^ ] [^ ] [^ ] [^ ] [^ ]",
    r", ..,,? ..,,? ..,,? ..,,?",
)
_CURSED = re.compile("|".join(CURSED))
_TECHNICAL = frozenset("0123456789{}+/()>")


def sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"[.!?]+\s+", text) if sentence.strip()]


def questions(sentence: str, rules: SentenceRules, cut: Callable[[str], list[str]]) -> list[bool]:
    """Whether the sentence is in list case, of an odd length, full of numbers, cursed."""
    words = cut(sentence)
    num_capitals = sum(word[0].isupper() for word in words)
    num_technical = sum(character in _TECHNICAL for character in sentence)
    return [
        len(words) >= rules.min_list_words and num_capitals / len(words) > rules.max_capital_ratio,
        not rules.min_chars <= len(sentence) <= rules.max_chars,
        num_technical / len(sentence) > rules.max_technical_ratio,
        _CURSED.search(sentence) is not None,
    ]


def is_foreign(sentence: str, text: str, label: Callable[[str], str]) -> bool:
    """Whether the sentence has a letter and another label than the text."""
    return any(character.isalpha() for character in sentence) and label(sentence) != label(text)


def counts(
    text: str,
    rules: SentenceRules,
    cut: Callable[[str], list[str]],
    asked: Container[Kind],
    label: Callable[[str], str],
) -> list[int]:
    """Sentences, those of any kind asked for, and those of each kind: the rows of the kernel's counts."""
    found = [[*questions(sentence, rules, cut), is_foreign(sentence, text, label)] for sentence in sentences(text)]
    questionable = sum(any(kind in asked for kind, answer in zip(KINDS, row, strict=True) if answer) for row in found)
    return [len(found), questionable, *(sum(row[kind] for row in found) for kind in range(len(KINDS)))]
