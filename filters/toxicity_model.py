"""How the toxicity classifier reads a text: as plain words, blind to which group is named, a window at a time.

The built-in model and the ones before training see words in lower case without punctuation, and every term of the
identity lexicon (filters/lexicons/identity_en.toml), alone or with "people" and the like, as one and the same word. So
all listed groups score alike, to the last bit. A text's score is the mean over windows of WINDOW_WORDS words, each
weighed by its words: how much of the text is abuse, not whether some is.
"""

import functools
import itertools
from importlib import resources

import numpy as np
import numpy.typing as npt

from filters.fasttext_model import load_model
from filters.kernels.buffers import TextBuffers
from filters.kernels.masking import masked_windows
from filters.kernels.mentions import fold_table
from filters.mentions import TermTable, build_table, read_lexicon

LABEL = "toxic"
WINDOW_WORDS = 50  # the comments that the model learned from have 20 to 60

# The lexicon counts what a text is about, and so leaves out words that mostly mean something else.
_MORE_TERMS = ("trans", "disabled", "black", "white", "brown")
_NOUNS = ("people", "person", "persons", "folks", "community", "communities", "individual", "individuals")


def built_in_path() -> str:
    """Where the model lies that comes with the package."""
    return str(resources.files("filters.models").joinpath("toxicity.ftz"))


def lexicon_bytes() -> bytes:
    """The identity lexicon, as it is."""
    return resources.files("filters.lexicons").joinpath("identity_en.toml").read_bytes()


def toxicity_scores(text: TextBuffers, path: str) -> npt.NDArray[np.float64]:
    """The score of each text, float64 (num_documents,) in [0, 1]; 0.0 for a text without a word.

    path: a model made by corpus.toxicity_model. Raises ModelError if it is none.
    """
    data, starts, num_words, first = _windows(text, WINDOW_WORDS)
    scores = load_model(path).label_scores(TextBuffers(data, starts), LABEL)
    document = np.repeat(np.arange(text.num_documents), np.diff(first))
    totals = np.bincount(document, scores * num_words, text.num_documents)
    lengths = np.bincount(document, num_words, text.num_documents)
    return totals / np.maximum(lengths, 1)


def plain_lines(text: TextBuffers) -> list[str]:
    """Each text as the model reads it, in one line without a blank at its end; "" for a text without a word."""
    data, starts, _, first = _windows(text, max(len(text.data), 1))
    whole = data.tobytes()
    return [whole[starts[begin] : starts[end]].decode().rstrip() for begin, end in itertools.pairwise(first)]


def _windows(
    text: TextBuffers, max_words: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    terms = _terms()
    data, starts, num_words, first = masked_windows(
        text.data, text.offsets, fold_table(), terms.keys, terms.masks, max_words
    )
    return data, starts, num_words, first


@functools.lru_cache(maxsize=1)
def _terms() -> TermTable:
    groups = read_lexicon(lexicon_bytes(), "identity_en.toml")
    terms = [*_MORE_TERMS, *(term for group in groups.values() for term in group)]
    return build_table({name: 1 for term in terms for name in (term, *(f"{term} {noun}" for noun in _NOUNS))})
