"""Train a fastText classifier from two sets of texts, and say on held-out texts how good it is.

Two runs over the same texts give the same bytes, in whatever files and order the texts come: one thread trains, with a
seed, over the texts in the order of a hash. fastText itself trains on several threads that update the same weights
without locks, so that each run gives other weights. The price is that a second core does not help.

fastText's scores add up to 1 over the two labels, and depend on how many texts of each there are: give both classes in
numbers that are alike, or read the thresholds off the report.

On 108 paragraphs of an encyclopedia against 771 reviews and comments, with 372 texts held out, five passes gave at the
learning rate 0.1 of fastText a ROC AUC of 0.65 and at 0.5, the default here, 0.991; 25 passes gave 0.991 and 0.996.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, ValidationError

from corpus import classifier_metrics as metrics
from corpus.classifier_card import card
from corpus.classifier_model import FastTextConfig, train_model
from corpus.classifier_texts import InputFile, LabelledTexts, is_held_out, leave_out_shared, read_texts
from corpus.score import versions
from filters.fasttext_model import load_model
from filters.kernels.buffers import text_buffers
from manifests import shards
from manifests.digest import canonical_json, hash_fraction
from manifests.errors import InputError, RecipeError
from manifests.strict import explain_validation

KEEP_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
NUM_TELLING_WORDS = 15
MIN_TEXTS = 10  # of each class, to train on and to hold out: below, a report says nothing

_LIBRARIES = ("gristmill", "numba", "numpy", "scipy")


class ClassifierConfig(FastTextConfig):
    """What `classifier train` can be told; `label` is the one that the positive texts get."""

    label: str = Field(default="positive", pattern=r"^[a-z][a-z0-9_]*$")
    negative_label: str = Field(default="negative", pattern=r"^[a-z][a-z0-9_]*$")
    column: str = "text"
    held_out: float = Field(default=0.1, gt=0.0, lt=1.0)
    wanted_keep: float | None = Field(default=None, gt=0.0, lt=1.0)


@dataclass(frozen=True)
class ClassCounts:
    """What became of the records of one class: unreadable + read; read = empty + repeated + in both + the last two."""

    num_unreadable: int
    num_read: int
    num_empty: int
    num_repeated: int
    num_in_both: int
    num_training: int
    num_held_out: int


@dataclass(frozen=True)
class ClassifierReport:
    """The held-out report; the keys of classes are the labels. thresholds are for shares of the negative texts."""

    model: str
    model_sha256: str
    model_bytes: int
    config: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, list[InputFile]]
    counts: dict[str, ClassCounts]
    roc_auc: float
    average_precision: float
    calibration_error: float
    reliability: list[metrics.Bin]
    confusion: metrics.Confusion
    thresholds: list[metrics.KeepRate]
    telling_words: dict[str, list[str]]


def parse_config(**settings: Any) -> ClassifierConfig:
    """The settings of a command; raises RecipeError for one that is out of range, with the range."""
    try:
        return ClassifierConfig(**settings)
    except ValidationError as error:
        raise RecipeError(f"classifier train: {explain_validation(error, ClassifierConfig)}") from None


def train_classifier(
    positive: Sequence[str], negative: Sequence[str], out: str, config: ClassifierConfig
) -> ClassifierReport:
    """Train from the files of both classes (see read_texts) and write the model to the local path `out`.

    The report is of the texts that were held out; it is written beside the model as `OUT.json` and `OUT.md`. Raises
    RecipeError for labels that are one, InputError for files that cannot be read and for too few texts.
    """
    if config.label == config.negative_label:
        raise RecipeError(f"both classes have the label {config.label!r}. Give the negative texts another.")
    if "://" in out:
        raise RecipeError(f"{out}: fastText writes and reads local files only. Name a local path and copy the model.")
    texts = {
        config.label: read_texts("positive", positive, config.column),
        config.negative_label: read_texts("negative", negative, config.column),
    }
    leave_out_shared(*texts.values())
    training, held_out = _split(texts, config)
    model = train_model(training, config)
    shards.write_bytes(out, model)
    report = _report(out, texts, training, held_out, config)
    shards.write_bytes(f"{out}.json", (canonical_json(asdict(report)) + "\n").encode())
    shards.write_bytes(f"{out}.md", card(report).encode())
    return report


def _split(
    texts: dict[str, LabelledTexts], config: ClassifierConfig
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The lines to train on and those held out, by label, in an order that the texts alone decide."""
    training: dict[str, list[str]] = {}
    held_out: dict[str, list[str]] = {}
    for label, found in texts.items():
        keys = sorted(found.lines, key=lambda key: (hash_fraction(key, "order", config.seed), key))
        apart = [is_held_out(key, config.held_out, config.seed) for key in keys]
        training[label] = [found.lines[key] for key, aside in zip(keys, apart, strict=True) if not aside]
        held_out[label] = [found.lines[key] for key, aside in zip(keys, apart, strict=True) if aside]
        if min(len(training[label]), len(held_out[label])) < MIN_TEXTS:
            raise InputError(
                f"class {label!r} has {len(training[label])} texts to train on and {len(held_out[label])} held out, "
                f"of {found.num_read} read ({found.num_repeated} repeated, {found.num_in_both} in both classes); at "
                f"least {MIN_TEXTS} of each are needed. Give more texts, or hold out another share."
            )
    return training, held_out


def _report(
    out: str,
    texts: dict[str, LabelledTexts],
    training: dict[str, list[str]],
    held_out: dict[str, list[str]],
    config: ClassifierConfig,
) -> ClassifierReport:
    model = load_model(out)
    lines = [*held_out[config.label], *held_out[config.negative_label]]
    scores = model.label_scores(text_buffers(pa.array(lines, pa.large_string())), config.label)
    is_positive = np.arange(len(scores)) < len(held_out[config.label])
    bins = metrics.reliability(scores, is_positive)
    wanted = config.wanted_keep
    ratios = sorted({*KEEP_RATIOS, *([] if wanted is None else [wanted])})
    threshold = 0.5 if wanted is None else metrics.keep_rate(scores, is_positive, wanted)["threshold"]
    return ClassifierReport(
        model=Path(out).name,
        model_sha256=shards.file_digest(out),
        model_bytes=Path(out).stat().st_size,
        config=config.model_dump(mode="json"),
        versions=versions(_LIBRARIES),
        files={label: found.files for label, found in texts.items()},
        counts={label: _counts(found, training[label], held_out[label]) for label, found in texts.items()},
        roc_auc=metrics.roc_auc(scores, is_positive),
        average_precision=metrics.average_precision(scores, is_positive),
        calibration_error=metrics.calibration_error(bins),
        reliability=bins,
        confusion=metrics.confusion(scores, is_positive, threshold),
        thresholds=[metrics.keep_rate(scores, is_positive, ratio) for ratio in ratios],
        telling_words=_telling_words(training),
    )


def _counts(texts: LabelledTexts, training: list[str], held_out: list[str]) -> ClassCounts:
    return ClassCounts(
        num_unreadable=texts.num_unreadable,
        num_read=texts.num_read,
        num_empty=texts.num_empty,
        num_repeated=texts.num_repeated,
        num_in_both=texts.num_in_both,
        num_training=len(training),
        num_held_out=len(held_out),
    )


def _telling_words(training: dict[str, list[str]]) -> dict[str, list[str]]:
    """The words of each label with the surest difference in the share of texts that have them, surest first.

    By the log-odds ratio over its standard error, each count plus one half.
    """
    (label, positive), (other_label, negative) = training.items()
    with_word, other_with_word = (
        Counter(word for line in lines for word in set(line.split(" "))) for lines in training.values()
    )

    def evidence(word: str) -> float:
        here, there = with_word[word] + 0.5, other_with_word[word] + 0.5
        odds, other_odds = here / (len(positive) + 1 - here), there / (len(negative) + 1 - there)
        return log(odds / other_odds) / sqrt(1 / here + 1 / there)

    ranked = sorted((evidence(word), word) for word in with_word.keys() | other_with_word.keys())
    return {
        label: [word for value, word in reversed(ranked[-NUM_TELLING_WORDS:]) if value > 0],
        other_label: [word for value, word in ranked[:NUM_TELLING_WORDS] if value < 0],
    }
