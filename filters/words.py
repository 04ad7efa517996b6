"""What counts as a word: the definitions that filters can ask for, each as a kernel that finds the words of a batch.

whitespace: maximal runs of code points that are not white space, as Python's str.split() gives.
"""

from collections.abc import Callable

from filters.base import WordDefinition
from filters.kernels.buffers import TextBuffers
from filters.kernels.words import Words
from filters.kernels.words import find_words as whitespace_words

_FINDERS: dict[WordDefinition, Callable[[TextBuffers], Words]] = {"whitespace": whitespace_words}


def find_words(text: TextBuffers, definition: WordDefinition) -> Words:
    """The words of each text by the named definition."""
    return _FINDERS[definition](text)
