"""mentions: how often a text names groups of people. Only measures; drops nothing.

Measures, for each of seven kinds of identity (gender, ethnicity, religion, nationality, age, disability, orientation),
the number of terms of a lexicon found in the document. The audit (corpus/audit.py) compares what the other rules drop
among documents that mention a kind with what they drop elsewhere: word lists and toxicity scores are known to remove
texts by and about minorities more often than others (Dodge et al. 2021, "Documenting Large Webtext Corpora", section
5; Xu et al. 2021, "Detoxifying Language Models Risks Marginalizing Minority Voices").

Known harm: a mention says what a text is about, not who wrote it, and counts of words are a poor stand-in for either.
The lexicon is English, so texts in other languages look as if they mentioned nobody unless a lexicon is given; slurs
and coded terms are left out, so the most hostile texts are undercounted; demonyms also name languages, so nationality
is overcounted. Never drop documents by these counts: a bound on them would remove exactly the people they stand for.

Counted: "Deaf women and African-American men met." -> disability 1, gender 2, ethnicity 1.
Not counted: "A black car, a straight line, a blind test."

Parameters: lexicons, language -> TOML file with lists of terms by group; "en" replaces the built-in one, others add to
it. All lexicons apply to all documents: the language of a document is not known here.
"""

import tomllib
from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.base import Columns, Documents, FilePath, Filter
from filters.kernels.mentions import add_term, count_terms, fold_table
from filters.kernels.unicode import UNICODE_VERSION
from manifests import shards
from manifests.digest import digest_bytes
from manifests.errors import ModelError

GROUPS = ("gender", "ethnicity", "religion", "nationality", "age", "disability", "orientation")
BUILT_IN = {"en": "identity_en.toml"}


class TermTable(NamedTuple):
    """The terms of all lexicons as an open-addressed hash table; see filters.kernels.mentions."""

    keys: npt.NDArray[np.uint64]
    masks: npt.NDArray[np.uint16]


class Mentions(Filter):
    rule: ClassVar[str] = "mentions"
    measures: ClassVar[tuple[str, ...]] = GROUPS

    lexicons: dict[str, FilePath] = {}

    def score(self, documents: Documents) -> Columns:
        """Mentions of each group: float64 (num_documents,), whole numbers from 0."""
        table = self._table
        text = documents.text
        counts = count_terms(text.data, text.offsets, fold_table(), table.keys, table.masks, len(GROUPS))
        return dict(zip(GROUPS, counts, strict=True))

    def measuring(self) -> dict[str, Any]:
        """All lexicons by content, the built-in ones too, and the Unicode tables that say what a word is."""
        contents = {language: digest_bytes(data) for language, data in sorted(self._contents().items())}
        return {"lexicons": contents, "unicode": UNICODE_VERSION}

    def check(self) -> None:
        """Read all lexicons; raise ModelError naming the file, group and term that cannot be used."""
        assert len(self._table.keys) > 0

    @cached_property
    def _table(self) -> TermTable:
        contents = sorted(self._contents().items())
        return _table_of(tuple((self.lexicons.get(name, BUILT_IN.get(name, name)), data) for name, data in contents))

    def _contents(self) -> dict[str, bytes]:
        """The bytes of each lexicon by language."""
        built_in = resources.files("filters.lexicons")
        contents = {language: built_in.joinpath(name).read_bytes() for language, name in BUILT_IN.items()}
        for language, path in self.lexicons.items():
            try:
                contents[language] = shards.read_bytes(path)
            except OSError as error:
                raise ModelError(
                    f"{path}: the identity lexicon for {language!r} cannot be read: {error.strerror or error}. "
                    "Correct audit.lexicons in the recipe."
                ) from error
        return contents


@lru_cache(maxsize=4)
def _table_of(lexicons: tuple[tuple[str, bytes], ...]) -> TermTable:
    """The terms of all lexicons, given as pairs of name and content; kept, since each task has filters of its own."""
    terms: dict[str, int] = {}
    for where, data in lexicons:
        for group, found in read_lexicon(data, where).items():
            for term in found:
                terms[term] = terms.get(term, 0) | 1 << GROUPS.index(group)
    return build_table(terms)


def read_lexicon(data: bytes, where: str) -> dict[str, list[str]]:
    """Group -> terms of one TOML lexicon. Raises ModelError, naming the file, for anything else."""
    try:
        groups = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{where}: is not TOML in UTF-8: {error}.") from error
    for group, terms in groups.items():
        if group not in GROUPS:
            raise ModelError(f"{where}: unknown group {group!r}; the groups are {', '.join(GROUPS)}.")
        if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
            raise ModelError(f"{where}: {group!r} must be a list of strings.")
        for term in terms:
            if not any(character.isalnum() for character in term):
                raise ModelError(f"{where}: the term {term!r} in {group!r} has no letter or digit. Remove it.")
    return groups


def build_table(terms: Mapping[str, int]) -> TermTable:
    """The table of terms with the bit mask of their groups (bit i: GROUPS[i]); at most a quarter of it is filled."""
    encoded = {term: np.frombuffer(term.encode("utf-8"), np.uint8) for term in sorted(terms)}
    # An upper bound: only a character that is no letter or digit can begin another word.
    num_words = sum(1 + sum(not character.isalnum() for character in term) for term in terms)
    capacity = 1 << max(4, (4 * num_words).bit_length())
    table = TermTable(np.zeros(capacity, np.uint64), np.zeros(capacity, np.uint16))
    for term, data in encoded.items():
        add_term(data, np.uint16(terms[term]), fold_table(), table.keys, table.masks)
    return table
