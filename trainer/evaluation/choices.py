"""Multiple choice: which choice does the model find likeliest after the prompt?

    acc        share of items whose right choice has the largest log-likelihood (the first of equal ones is taken)
    acc_norm   the same, each log-likelihood divided by the UTF-8 bytes of its choice

as lm-evaluation-harness defines them (Gao et al., version 0.4), whose acc_norm counts characters: the same for ASCII.
Both jump between right and wrong; what the model learns before the jump shows in

    right_ratio         mean probability of the right choice among the choices (softmax of the log-likelihoods)
    margin_nats         mean of: log-likelihood of the right choice - that of the best wrong one

The prompt is taken as it is written. A blank joins it and a choice unless white space stands there already; this white
space is predicted with the choice, since a blank is part of the first token of a word. A choice begins where its
tokens and the prompt's tokens part.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.items import ChoiceItem
from trainer.evaluation.scoring import Ids, LanguageModel, score_texts
from trainer.evaluation.summary import mean_and_error

METRICS = ("acc", "acc_norm", "right_ratio", "margin_nats")


def answer_choices(language_model: LanguageModel, items: Sequence[ChoiceItem]) -> dict[str, npt.NDArray[np.float64]]:
    """METRICS of each item, float64 (num_items,)."""
    asked = [item.asked for item in items for _ in item.choices]
    choices = [choice for item in items for choice in item.choices]
    ids, first = encode_after(language_model, asked, choices)
    scores = score_texts(language_model, ids, first)
    bounds = np.cumsum([0] + [len(item.choices) for item in items])
    rows = [_judge(scores[start:stop], item) for item, start, stop in zip(items, bounds[:-1], bounds[1:], strict=True)]
    return {name: np.array(column) for name, column in zip(METRICS, zip(*rows, strict=True), strict=True)}


def choice_results(language_model: LanguageModel, items: Sequence[ChoiceItem]) -> dict[str, Any]:
    """num_items; mean and standard error of each of METRICS; the same `by_slice`."""
    return mean_and_error(answer_choices(language_model, items), [item.slice for item in items])


def encode_after(
    language_model: LanguageModel, prompts: Sequence[str], endings: Sequence[str]
) -> tuple[list[Ids], list[int]]:
    """Ids of each prompt with its ending, and the place of the first id that the prompt alone does not have."""
    bare = [prompt.rstrip() for prompt in prompts]
    blanks = [prompt[len(start) :] or " " for prompt, start in zip(prompts, bare, strict=True)]
    whole = language_model.encode(
        [start + blank + end for start, blank, end in zip(bare, blanks, endings, strict=True)]
    )
    first = [_common(short, long) for short, long in zip(language_model.encode(bare), whole, strict=True)]
    return whole, first


def _common(short: Ids, long: Ids) -> int:
    """How many ids two texts start with together."""
    pairs = zip(short, long, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(short), len(long)))


def _judge(scores: npt.NDArray[np.float64], item: ChoiceItem) -> tuple[float, ...]:
    per_byte = scores / [len(choice.encode()) for choice in item.choices]
    right = scores[item.answer]
    return (
        float(scores.argmax() == item.answer),
        float(per_byte.argmax() == item.answer),
        float(np.exp(right - np.logaddexp.reduce(scores))),
        float(right - np.delete(scores, item.answer).max()),
    )
