"""English sentences and words by NLTK itself, with the expressions it had in version 3.8.1 (2023).

Since then it has taken in dashes and curly quotes, made all blanks equal, and left Python's `re` for another engine.
"""

import re
from functools import cache
from typing import Any

import nltk
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktLanguageVars, PunktToken, PunktTokenizer

from tests.shared import nltk_data

_LATER_QUOTES = r"\u2018\u2019\u201c\u201d\xab\xbb"
_LATER_PUNCTUATION = r"[\u2012-\u2015]"
_LATER_ENDING = r"\s+"
_QUOTE_BEFORE_LETTER = (re.compile(r"(?i)(')(?!re|ve|ll|m|t|s|d|n)(\w)\b"), r"\1 \2")


def _without(pattern: str, part: str) -> str:
    assert part in pattern
    return pattern.replace(part, "")


class _Language(PunktLanguageVars):  # type: ignore[misc]
    re_boundary_realignment = re.compile(
        _without(PunktLanguageVars.re_boundary_realignment.pattern, _LATER_QUOTES), re.MULTILINE
    )

    @property
    def _re_non_word_chars(self) -> str:
        return _without(super()._re_non_word_chars, _LATER_QUOTES)

    def _word_tokenizer_re(self) -> Any:
        parts = {
            "NonWord": self._re_non_word_chars,
            "MultiChar": self._re_multi_char_punct,
            "WordStart": self._re_word_start,
        }
        return re.compile(self._word_tokenize_fmt % parts, re.VERBOSE)

    def period_context_re(self) -> Any:
        parts = {"NonWord": self._re_non_word_chars, "SentEndChars": self._re_sent_end_chars}
        return re.compile(self._period_context_fmt % parts, re.VERBOSE)


class _Token(PunktToken):  # type: ignore[misc]
    _RE_ELLIPSIS, _RE_NUMERIC, _RE_INITIAL, _RE_ALPHA = (
        re.compile(found.pattern)
        for found in (PunktToken._RE_ELLIPSIS, PunktToken._RE_NUMERIC, PunktToken._RE_INITIAL, PunktToken._RE_ALPHA)
    )


def _expressions(found: list[tuple[Any, str]], *later: str) -> list[tuple[re.Pattern[str], str]]:
    """The same for Python's engine, without those that are later."""
    patterns = [pattern.pattern for pattern, _ in found]
    assert all(part in patterns for part in later)
    return [(re.compile(pattern.pattern), by) for pattern, by in found if pattern.pattern not in later]


class _Words(NLTKWordTokenizer):  # type: ignore[misc]
    STARTING_QUOTES = [*_expressions(NLTKWordTokenizer.STARTING_QUOTES)[:-1], _QUOTE_BEFORE_LETTER]
    PUNCTUATION = _expressions(NLTKWordTokenizer.PUNCTUATION, _LATER_PUNCTUATION)
    PARENS_BRACKETS, DOUBLE_DASHES = _expressions([NLTKWordTokenizer.PARENS_BRACKETS, NLTKWordTokenizer.DOUBLE_DASHES])
    ENDING_QUOTES = _expressions(NLTKWordTokenizer.ENDING_QUOTES, _LATER_ENDING)


@cache
def _splitter() -> PunktTokenizer:
    nltk.data.path.append(nltk_data())
    splitter = PunktTokenizer("english")
    splitter._lang_vars, splitter._Token = _Language(), _Token
    return splitter


_CUT = _Words()


def parameters() -> Any:
    """What NLTK's splitter has learnt of English."""
    return _splitter()._params


def sentences(text: str) -> list[str]:
    """What sent_tokenize gives."""
    return list(_splitter().tokenize(text))


def words(text: str) -> list[str]:
    """What word_tokenize gives."""
    return [word for sentence in sentences(text) for word in _CUT.tokenize(sentence)]
