"""English words exactly as NLTK 3.8.1's word_tokenize gives them: Punkt's sentences, each cut by NLTKWordTokenizer.

That is the version of early 2024, by which datatrove counted words until it took spaCy's at the end of that year. Later
ones differ: in 3.9 white space of all kinds became equal and dashes became words, in 3.10 curly quotes end sentences.
"""

import numpy as np

from filters.kernels.buffers import TextBuffers
from filters.kernels.punkt import find_sentences
from filters.kernels.words import Words
from filters.kernels.words_nltk import QUOTES, cut_words
from filters.punkt import load_english


def find_words(text: TextBuffers) -> Words:
    """The words of each text. Raises RecipeError or ModelError where the data that Punkt needs are not installed."""
    punkt = load_english()
    first, last = text.offsets[0], text.offsets[-1]
    data = np.concatenate([text.data[first:last], np.frombuffer(QUOTES, np.uint8)])
    data.setflags(write=False)
    offsets = text.offsets - first
    sentences = find_sentences(TextBuffers(data, offsets), offsets[:-1], offsets[1:], punkt.table)
    return cut_words(TextBuffers(data, offsets), sentences)
