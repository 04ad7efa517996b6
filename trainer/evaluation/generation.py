"""Exact match: the model goes on from a prompt, and what it says is compared with the right answers.

Generation is greedy and ends with the text, with the line, or after max_tokens. Both sides are normalized as SQuAD's
evaluation does (Rajpurkar et al. 2016): lower case, ASCII punctuation removed, the words a, an and the removed, white
space made single blanks. An item is right if any of its answers is equal to the continuation then.
"""

import re
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.evaluation.items import AnswerItem
from trainer.evaluation.scoring import LanguageModel, continue_texts
from trainer.evaluation.summary import mean_and_error

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize(text: str) -> str:
    """What counts of an answer."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match_results(
    language_model: LanguageModel, items: Sequence[AnswerItem], max_tokens: int, stop_at_newline: bool
) -> dict[str, Any]:
    """num_items; exact_match with standard error, `by_slice` too; `predictions`: the continuations, in order.

    Blanks at the end of a prompt are left out: the model says them with the first word.
    """
    prompts = language_model.encode([item.asked.rstrip(" ") for item in items])
    continued = continue_texts(language_model, prompts, max_tokens, stop_at_newline)
    texts = [language_model.tokenizer.decode(ids) for ids in continued]
    right = [
        float(normalize(text) in {normalize(answer) for answer in item.answers})
        for text, item in zip(texts, items, strict=True)
    ]
    found = mean_and_error({"exact_match": np.array(right)}, [item.slice for item in items])
    return found | {"predictions": texts}
