"""What counts as a word: the definitions that filters can ask for, each as a kernel that finds the words of a batch.

whitespace: maximal runs of code points that are not white space, as Python's str.split() gives.
uax29: segments between the default word boundaries of Unicode 15.0 that hold a letter or a number (str.isalnum).
fasttext: what lies between ASCII blanks, ASCII line ends and NUL, as fastText reads words.
spacy_en: the tokens of `spacy.blank("en")` without white space, as datatrove 0.10 counts words; needs spaCy 3.8.
nltk: what NLTK 3.8.1's word_tokenize gives for English, as datatrove 0.2 counts words; needs NLTK's punkt_tab.
"""

from collections.abc import Callable

from filters import nltk_words, punkt, spacy_words
from filters.base import WordDefinition
from filters.kernels import words_fasttext, words_uax29
from filters.kernels.buffers import TextBuffers
from filters.kernels.unicode import UNICODE_VERSION
from filters.kernels.word_break import VERSION
from filters.kernels.words import Words
from filters.kernels.words import find_words as whitespace_words

_FINDERS: dict[WordDefinition, Callable[[TextBuffers], Words]] = {
    "whitespace": whitespace_words,
    "uax29": words_uax29.find_words,
    "fasttext": words_fasttext.find_words,
    "spacy_en": spacy_words.find_words,
    "nltk": nltk_words.find_words,
}


def find_words(text: TextBuffers, definition: WordDefinition) -> Words:
    """The words of each text by the named definition.

    Raises RecipeError where what it needs is not installed, ModelError where that is broken.
    """
    return _FINDERS[definition](text)


def words_version(definition: WordDefinition) -> str | None:
    """The version of the tables that the definition cuts by; None where Python's own say all.

    Raises as find_words does.
    """
    if definition == "uax29":
        return f"Unicode {VERSION}, letters of {UNICODE_VERSION}"
    if definition == "spacy_en":
        return f"sha256:{spacy_words.load_english().digest}"
    if definition == "nltk":
        return punkt.load_english().version
    return None
