"""Small corpora for comparisons: documents of a chain that a tiny model learns a part of in a few steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from manifests.manifest import Manifest
from tests.trainer.synthetic import END_OF_TEXT, Segments, make_corpus, small_config
from trainer.config import TrainConfig

LENGTH = 16
WORDS = 15
NUM_TRAIN = 64
NUM_VALIDATION = 24


def document(number: int) -> tuple[int, ...]:
    """LENGTH tokens and end of text: three of four tokens are the one before and 1, the others any word."""
    generator = np.random.default_rng(number)
    tokens = [int(generator.integers(WORDS))]
    for step, word in zip(generator.random(LENGTH - 1), generator.integers(WORDS, size=LENGTH - 1), strict=True):
        tokens.append((tokens[-1] + 1) % WORDS if step < 0.75 else int(word))
    return (*(1 + token for token in tokens), END_OF_TEXT)


def shuffled(tokens: Sequence[int], number: int) -> tuple[int, ...]:
    """The same words in another order: nothing is to be learnt from what follows what."""
    return (*np.random.default_rng(number).permutation(tokens[:-1]).tolist(), END_OF_TEXT)


def row(number: int, tokens: Sequence[int] | None = None) -> Segments:
    """One row with one document; even numbers are of the first source, odd ones of the second."""
    return Segments(((f"doc-{number:06d}", number % 2, tuple(tokens or document(number))),))


def corpus(folder: Path, train: Sequence[Segments], validation: Sequence[Segments] | None = None) -> Manifest:
    """A corpus of these rows in this order, a shard for each source; by default with NUM_VALIDATION other ones."""
    by_source = [[one for one in train if one.segments[0][1] == source] for source in (0, 1)]
    reserved = [row(1000 + number) for number in range(NUM_VALIDATION)] if validation is None else list(validation)
    return make_corpus(folder, [rows for rows in by_source if rows], reserved, LENGTH, WORDS + 1)


def clean_corpus(folder: Path) -> Manifest:
    """NUM_TRAIN rows."""
    return corpus(folder, [row(number) for number in range(NUM_TRAIN)])


def tiny_config(**changes: object) -> TrainConfig:
    """A few steps that take a small fraction of a second."""
    return small_config(**{"steps": 12, "checkpoint_every": 12, "eval_every": 1000, "micro_batch": 4, **changes})
