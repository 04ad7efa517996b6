"""English words exactly as `spacy.blank("en")` gives them, each stripped and empty ones left out.

The tables come from the installed spaCy when they are first asked for: classes of code points, special cases, units.
How its expressions put them together is written out in `filters.kernels.words_spacy`; `_KNOWN_EXPRESSIONS` is the
digest of those expressions, and any other spaCy is refused. Its special cases may change: they are data here.
"""

import hashlib
import importlib.util
import itertools
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.buffers import TextBuffers
from filters.kernels.unicode import LETTER, SPACE, code_point_classes
from filters.kernels.words import Words
from filters.kernels.words_spacy import SpacyTables, pair_table
from filters.kernels.words_spacy_affixes import (
    ALPHA,
    CURRENCY,
    DECIMAL,
    ENDS_BEFORE_DOT,
    INFIX,
    LOWER,
    PREFIX,
    QUOTE,
    SUFFIX,
    UPPER,
    WORD,
)
from filters.kernels.words_spacy_hidden import cut_words, pattern_table
from filters.kernels.words_spacy_strings import SPECIAL, UNIT, string_table
from manifests.errors import RecipeError

# SHA-256 of the expressions that the kernel writes out: prefixes, suffixes, infixes and addresses of spaCy 3.8.
_KNOWN_EXPRESSIONS = "3b070276bf3e6482b0d0ccbff90352272746e94226d145bd983372cbe52b197f"
_INSTALL = 'pip install "spacy>=3.8,<3.9"'

Tokens = list[bytes]


@dataclass(frozen=True)
class English:
    """spaCy's English: its tables and their digest."""

    digest: str
    tables: SpacyTables


def find_words(text: TextBuffers) -> Words:
    """The words of each text. Raises RecipeError if spaCy is missing or of an unknown version."""
    return cut_words(text, load_english().tables)


@cache
def load_english() -> English:
    """What spaCy knows of English; read once in a process, in about 2 s, most of it the import of spaCy.

    Raises RecipeError if spaCy is missing, or cuts by expressions other than those the kernel knows.
    """
    if importlib.util.find_spec("spacy") is None:
        raise RecipeError(f'words = "spacy_en" needs spaCy, which is not installed here: {_INSTALL}')
    import spacy

    tokenizer: Any = spacy.blank("en").tokenizer
    expressions = [
        getattr(found, "__self__", found).pattern
        for found in (tokenizer.prefix_search, tokenizer.suffix_search, tokenizer.infix_finditer, tokenizer.url_match)
    ]
    digest = hashlib.sha256("\n".join(expressions).encode()).hexdigest()
    if digest != _KNOWN_EXPRESSIONS or tokenizer.token_match is not None:
        raise RecipeError(
            f'words = "spacy_en": spaCy {spacy.__version__} cuts English by other expressions than 3.8 does '
            f"(sha256 {digest[:12]}, known {_KNOWN_EXPRESSIONS[:12]}): {_INSTALL}"
        )
    rules = {
        special: [token[spacy.attrs.ORTH] for token in tokens]
        for special, tokens in tokenizer.rules.items()
        if not special.isspace()
    }
    return _english(rules, _patterns(tokenizer, rules), digest)


def _patterns(tokenizer: Any, rules: dict[str, list[str]]) -> dict[tuple[str, ...], str]:
    """The special cases that spaCy looks for in finished tokens, by the tokens that affixes and infixes leave."""
    plain = type(tokenizer)(
        tokenizer.vocab,
        prefix_search=tokenizer.prefix_search,
        suffix_search=tokenizer.suffix_search,
        infix_finditer=tokenizer.infix_finditer,
        url_match=tokenizer.url_match,
    )
    hidden = (
        special
        for special in rules
        if tokenizer.find_prefix(special) or tokenizer.find_infix(special) or tokenizer.find_suffix(special)
    )
    return {tuple(token.text for token in plain(special)): special for special in hidden}


def _english(rules: dict[str, list[str]], patterns: dict[tuple[str, ...], str], expressions: str) -> English:
    encoded = {special.encode(): [token.encode() for token in tokens] for special, tokens in rules.items()}
    cases = {tuple(token.encode() for token in tokens): special.encode() for tokens, special in patterns.items()}
    # A single token that is a special case was found as one by the kernel.
    cases = {tokens: special for tokens, special in cases.items() if len(tokens) > 1}
    tables = SpacyTables(
        classes=_classes(),
        strings=_strings(encoded, {unit.encode() for unit in _char_classes().UNITS.split("|")}),
        patterns=pattern_table(set(cases)),
        max_pattern_tokens=max(len(tokens) for tokens in cases),
        links=pair_table({pair for tokens in cases for pair in itertools.pairwise(tokens)}),
        # Most of what is hidden is cut as it would be anyway ("it's"): no reason to look.
        pairs=pair_table({tokens[:2] for tokens, special in cases.items() if list(tokens) != encoded[special]}),
    )
    known = repr((expressions, sorted(encoded.items()), sorted(cases.items()))).encode()
    return English(
        digest=hashlib.sha256(known + tables.classes.tobytes()).hexdigest(),
        tables=tables,
    )


def _strings(rules: dict[bytes, Tokens], units: set[bytes]) -> npt.NDArray[np.uint64]:
    """Special cases with the ends of their tokens, and units."""
    strings = {
        special: (SPECIAL | UNIT * (special in units), np.cumsum([len(token) for token in tokens]).tolist())
        for special, tokens in rules.items()
    }
    return string_table({unit: (UNIT, []) for unit in units} | strings)


def _char_classes() -> Any:
    from spacy.lang import char_classes

    return char_classes


def _classes() -> npt.NDArray[np.uint16]:
    """The bits of each code point, by matching spaCy's own expressions against all code points."""
    from spacy.lang import punctuation
    from spacy.lang.en.punctuation import TOKENIZER_INFIXES

    chars = _char_classes()
    # What is longer than one code point, or asks for others beside it, is written out in the kernel.
    single = [
        "|".join(piece for piece in pieces if piece.strip() and "(?" not in piece)
        for pieces in (punctuation.TOKENIZER_PREFIXES, punctuation.TOKENIZER_SUFFIXES, TOKENIZER_INFIXES)
    ]
    expressions = {
        ALPHA: f"[{chars.ALPHA}]",
        LOWER: f"[{chars.ALPHA_LOWER}]",
        UPPER: f"[{chars.ALPHA_UPPER}]",
        QUOTE: f"[{chars.CONCAT_QUOTES}]",
        PREFIX: single[0],
        SUFFIX: single[1],
        INFIX: single[2],
        ENDS_BEFORE_DOT: rf"[0-9{chars.ALPHA_LOWER}%²\-\+{chars.PUNCT}(?:{chars.CONCAT_QUOTES})]",
        CURRENCY: chars.CURRENCY,
        DECIMAL: r"\d",
        WORD: r"\w",
    }
    # All code points but surrogates, in order: nothing longer than one of them is there to be found (no expression has
    # two neighbours in a row), and runs are quicker to find than one after another.
    numbers = np.r_[0:0xD800, 0xE000:0x110000]
    everything = "".join(map(chr, numbers))
    classes = code_point_classes().astype(np.uint16)
    classes &= LETTER | SPACE
    for bit, expression in expressions.items():
        for run in re.finditer(f"(?:{expression})+", everything):
            classes[numbers[run.start() : run.end()]] |= bit
    return classes
