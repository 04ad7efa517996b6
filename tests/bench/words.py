"""How fast words are found, by each definition, against the library whose words they are, on web text.

Run with `python -m tests.bench.words`; needs the WET files of ../shared/data/web. Seconds are this thread's processor
time; ours and the peer's rounds take turns, after one that compiles. spaCy and NLTK run on every 20th text, uniseg on
every 100th: each peer's MB/s are those of the texts it saw.
"""

import os
import statistics
import time
from collections.abc import Callable

import fasttext
import spacy
from uniseg.wordbreak import words as uniseg_words

from filters.base import WordDefinition
from filters.kernels.buffers import TextBuffers
from filters.punkt import load_english as load_punkt
from filters.spacy_words import load_english
from filters.words import find_words
from tests.bench.measures import web_texts
from tests.reference import nltk_words
from tests.shared import nltk_data
from tests.words import buffers

NUM_ROUNDS = 5
PEERS: dict[WordDefinition, tuple[str, int, Callable[[str], object]]] = {
    "whitespace": ("str.split", 1, str.split),
    "fasttext": ("fasttext.tokenize", 1, fasttext.tokenize),
    "uax29": ("uniseg", 100, lambda text: list(uniseg_words(text))),
    "spacy_en": ("spaCy", 20, lambda text: _ENGLISH(text)),
    "nltk": ("NLTK, as in 3.8.1", 20, nltk_words.words),
}
_ENGLISH = spacy.blank("en").tokenizer


def _seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def _num_megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def measure(definition: WordDefinition, texts: list[str], text: TextBuffers) -> tuple[float, float, float]:
    """Our MB/s and the peer's, medians of the rounds, and the median of the ratios of rounds."""
    _, step, peer = PEERS[definition]
    some = texts[::step]
    find_words(text, definition)
    rounds = []
    for _ in range(NUM_ROUNDS):
        ours = _num_megabytes(texts) / _seconds(lambda: find_words(text, definition))
        theirs = _num_megabytes(some) / _seconds(lambda: [peer(one) for one in some])
        rounds.append((ours, theirs, ours / theirs))
    ours, theirs, ratios = (statistics.median(column) for column in zip(*rounds, strict=True))
    return ours, theirs, ratios


def main() -> None:
    texts = web_texts()
    if not texts:
        print("no WET files in ../shared/data/web; nothing was measured")
        return
    text = buffers(texts)
    load_english()
    os.environ["NLTK_DATA"] = nltk_data()
    load_punkt()
    print(f"{len(texts)} texts, {_num_megabytes(texts):.1f} MB; medians of {NUM_ROUNDS} rounds")
    print("| words | MB/s | peer | MB/s | times |\n|---|---:|---|---:|---:|")
    for definition, (peer, *_) in PEERS.items():
        ours, theirs, ratio = measure(definition, texts, text)
        print(f"| {definition} | {ours:.0f} | {peer} | {theirs:.2f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
