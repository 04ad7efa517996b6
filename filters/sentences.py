"""How many sentences the lines of a text have: the splitters that C4's rules ask for.

native: marks and a few titles, in `filters.kernels.sentences`; fast, and no other library.
spacy: the sentencizer of spaCy's blank English pipeline, as datatrove 0.10 counts; exact, on our words of `spacy_en`.
punkt: NLTK's trained English splitter, as C4's reference code counts; exact, as in NLTK 3.8.1, with NLTK's data.

How often they agree is in tests/bench/results/words_*.md.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from filters.base import Documents
from filters.kernels.punkt import find_sentences
from filters.kernels.sentences import count_native_sentences
from filters.kernels.spacy_sentences import count_spacy_sentences
from filters.punkt import load_english
from filters.words import words_version

SentenceDefinition = Literal["native", "spacy", "punkt"]


def count_sentences(documents: Documents, definition: SentenceDefinition) -> npt.NDArray[np.int64]:
    """Sentences of each line of each document, on its own: int64 (num_lines,).

    Raises RecipeError where what the definition needs is not installed, ModelError where that is broken.
    """
    text, lines = documents.text, documents.lines
    if definition == "spacy":
        return count_spacy_sentences(text, documents.words("spacy_en"), lines.starts, lines.ends)
    if definition == "native":
        return count_native_sentences(text, lines.starts, lines.ends)
    return np.diff(find_sentences(text, lines.starts, lines.ends, load_english().table).offsets)


def sentences_version(definition: SentenceDefinition) -> str | None:
    """What else than the definition decides; None for the native one. Raises as count_sentences does."""
    if definition == "spacy":
        return words_version("spacy_en")
    return load_english().version if definition == "punkt" else None
