"""Toxicity: insults, threats and hate, by a classifier and a lexicon.

What it measures: `toxicity.score`, the classifier's score: for the built-in one the mean over windows of 50 words, so
the share of the text that is abuse; `toxicity.lexicon_ratio`, weights of lexicon entries found, per word;
`toxicity.num_lexicon_words`, entries found.

Why such documents are removed: a model repeats the abuse it reads. A share of the text finds pages made of abuse, and
lets pass a long page that quotes some.

Known harm: words do not say who speaks. Quoted and reported abuse scores like abuse: 41 % of the HateCheck sentences
that quote or report hate in order to condemn it are above the classifier's limit (39 % of those that quote hold an
entry of the lexicon), and 43 % of those with a reclaimed slur. These are single sentences: a document is dropped when a
third of it goes on like that. Novels, lyrics and African American English swear more: 57 % of the tweets that Davidson
et al. call offensive but not hateful are above the limit, though none was trained on. Sex education and medical text
may suffer with another lexicon or model. The mention of a group does not score: the built-in model sees all listed
terms for groups as one and the same word, of 126 neutral and positive HateCheck sentences about seven groups none is
above the limit, against 0.1 % of 13,747 harmless texts of no group, and swapping the names of groups in 805 Wikipedia
comments changes no score by more than 0.0001; the lexicon has no slurs and no names of groups. The price: hate without
rude words passes (6 % of implicit derogation is found; area under the ROC curve 0.73 on a white-supremacist forum, 0.47
on HateCheck). 1 of 2,808 web pages is above the limit, wrongly: a Chinese text with an app's name in English.
Classifier and lexicon know English only; other languages score about 0. All figures of the model are on its card,
docs/models/toxicity.md.

Kept: "The committee met on Tuesday to read the report, and a fool was quoted in it."

Dropped: "You are a pathetic idiot, kill yourself." (toxicity.toxic, and toxicity.abusive_words without the classifier)

Definitions: for the built-in classifier a word is a run of letters, digits and combining marks that does not start
with a digit, in lower case; see filters/toxicity_model.py. For the lexicon entries are words or phrases; they match
whole words in any case, with a blank, line end or hyphen between their words; where entries overlap the longest wins,
from left to right.

Parameters: `model`: a fastText classifier that replaces the built-in one and scores the whole text as it is; `label`:
its label whose score counts, without `__label__`. `max_score`, `max_lexicon_ratio`: inclusive; the default of the
first was chosen on the held-out sets and the web pages of the card. `lexicon`: a file that replaces the built-in one:
an entry a line, optionally a tab and a weight in (0, 1], else 1.0.

Sources: the lexicon's measure follows the flagged-word ratio of Laurençon et al. 2022 (ROOTS); entries, weights and
the built-in model are ours, the latter trained on the sets that its card names. The harm of word lists and
classifiers: Dodge et al. 2021 (C4), Dixon et al. 2018, Sap et al. 2019; HateCheck: Röttger et al. 2021.
"""

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar

import numpy as np
from ahocorasick_rs import AhoCorasick
from pydantic import Field

from filters.base import Bound, Columns, Documents, FilePath, Filter
from filters.fasttext_model import load_model
from filters.kernels.unicode import UNICODE_VERSION
from filters.named_files import parse_entries, read_entries
from filters.toxicity_model import built_in_path, lexicon_bytes, toxicity_scores
from manifests import shards
from manifests.digest import digest_bytes
from manifests.errors import RecipeError
from manifests.strict import did_you_mean

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_BUILT_IN = "toxicity_en.txt"


class Toxicity(Filter):
    """Drops texts that a classifier calls toxic or that hold too many abusive words."""

    rule: ClassVar[str] = "toxicity"
    measures: ClassVar[tuple[str, ...]] = ("score", "lexicon_ratio", "num_lexicon_words")
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("score", "max", "max_score", "toxic"),
        Bound("lexicon_ratio", "max", "max_lexicon_ratio", "abusive_words"),
    )

    model: FilePath | None = None
    label: str = "toxic"
    max_score: float | None = Field(default=0.3, ge=0.0, le=1.0)
    lexicon: FilePath | None = None
    max_lexicon_ratio: float | None = Field(default=0.02, ge=0.0, le=1.0)

    def measuring(self) -> dict[str, Any]:
        """What is built in by content too: a change of its words or weights changes scores."""
        lexicon = digest_bytes(_built_in_bytes()) if self.lexicon is None else shards.file_digest(self.lexicon)
        found = {**super().measuring(), "lexicon": f"sha256:{lexicon}"}
        if self.model is not None:
            return found
        return {
            **found,
            "model": f"sha256:{shards.file_digest(built_in_path())}",
            "identity_lexicon": f"sha256:{digest_bytes(lexicon_bytes())}",
            "unicode": UNICODE_VERSION,
        }

    def check(self) -> None:
        """Raise ModelError if the model is not usable, RecipeError for an unknown label or a broken lexicon."""
        self._lexicon()
        if self.model is None:
            load_model(built_in_path())
            return
        labels = load_model(self.model).labels
        if self.label not in labels:
            raise RecipeError(
                f"[[filter]] toxicity: label {self.label!r} is none of the model's labels ({', '.join(labels)})"
                f"{did_you_mean(self.label, labels)}"
            )

    def score(self, documents: Documents) -> Columns:
        """Float64 each: `score` and `lexicon_ratio` in [0, 1], `num_lexicon_words` a count."""
        texts = documents.table["text"].to_pylist()
        lexicon = self._lexicon()
        found = [_measure(lexicon, text) for text in texts]
        return {
            "score": self._model_scores(documents),
            "lexicon_ratio": np.array([ratio for ratio, _ in found], np.float64),
            "num_lexicon_words": np.array([count for _, count in found], np.float64),
        }

    def _model_scores(self, documents: Documents) -> np.ndarray:
        if self.model is None:
            return toxicity_scores(documents.text, built_in_path())
        return load_model(self.model).label_scores(documents.text, self.label)

    def _lexicon(self) -> "Lexicon":
        if self.lexicon is None:
            return _built_in_lexicon()
        return _lexicon_file(self.lexicon, shards.file_digest(self.lexicon))


@dataclass(frozen=True)
class Lexicon:
    """Folded entries, found all at once: pattern number i of `matcher` weighs weights[i]."""

    matcher: AhoCorasick
    weights: tuple[float, ...]


def make_lexicon(lines: list[str], where: str) -> Lexicon:
    """A lexicon of `entry` or `entry<TAB>weight` lines. Raises RecipeError for a line that can never match or weigh."""
    weights: dict[str, float] = {}
    for line in lines:
        phrase, _, weight_text = line.partition("\t")
        entry, weight = " ".join(_folded(phrase).split()), _weight(weight_text, line, where)
        if not any(map(str.isalnum, entry)):
            raise RecipeError(f"{where}: entry {line!r} has no letter or digit. An entry is one or more words.")
        if weights.setdefault(entry, weight) != weight:
            raise RecipeError(f"{where}: entry {entry!r} has two weights, {weights[entry]} and {weight}. Remove one.")
    return Lexicon(AhoCorasick(list(weights)), tuple(weights.values()))


def _weight(text: str, line: str, where: str) -> float:
    try:
        weight = float(text) if text.strip() else 1.0
    except ValueError:
        weight = 0.0
    if not 0.0 < weight <= 1.0:
        raise RecipeError(
            f"{where}: the weight in {line!r} is no number in (0, 1]. Write `entry<TAB>0.5` or no weight."
        )
    return weight


def _folded(text: str) -> str:
    return text.casefold().replace("\n", " ").replace("-", " ").replace("’", "'")


def _measure(lexicon: Lexicon, text: str) -> tuple[float, int]:
    """Weights per word in [0, 1], and the number of entries found."""
    folded = _folded(text)
    weights: list[float] = []
    free_from = 0
    for start, end, entry in _whole_words(lexicon, folded):
        if start >= free_from:
            weights.append(lexicon.weights[entry])
            free_from = end
    if not weights:
        return 0.0, 0
    # Entries such as "a$$" are fewer words than hits in the eyes of the pattern below.
    num_words = max(len(_WORD.findall(folded)), len(weights))
    return sum(weights) / num_words, len(weights)


def _whole_words(lexicon: Lexicon, folded: str) -> list[tuple[int, int, int]]:
    """(start, end, entry) of entries without a letter or digit on either side; from left to right, longest first."""
    matches = [
        (start, end, entry)
        for entry, start, end in lexicon.matcher.find_matches_as_indexes(folded, overlapping=True)
        if not (folded[start - 1 : start].isalnum() or folded[end : end + 1].isalnum())
    ]
    return sorted(matches, key=lambda match: (match[0], -match[1]))


def _built_in_bytes() -> bytes:
    return resources.files("filters.lexicons").joinpath(_BUILT_IN).read_bytes()


@functools.lru_cache(maxsize=1)
def _built_in_lexicon() -> Lexicon:
    return make_lexicon(parse_entries(_built_in_bytes().decode("utf-8")), _BUILT_IN)


@functools.lru_cache(maxsize=8)
def _lexicon_file(path: str, digest: str) -> Lexicon:  # digest: a file that changes is read again
    return make_lexicon(read_entries(path), path)
