"""Evaluation files by kind: read before the model is asked anything, so that a wrong line ends a run at its start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from manifests.errors import RecipeError
from trainer.config import EvaluationConfig, TrainConfig
from trainer.data import Data
from trainer.evaluation.bias import bias_results, read_pairs
from trainer.evaluation.choices import choice_results
from trainer.evaluation.generation import exact_match_results
from trainer.evaluation.items import AnswerItem, ChoiceItem, TextItem, read_items
from trainer.evaluation.scoring import LanguageModel, rows_per_pass
from trainer.evaluation.slices import text_figures
from trainer.tokenizer import load_tokenizer

# Their models predict the next token of a text. Question answering and the like may have an encoder beside it.
LIKELIHOOD_OBJECTIVES = frozenset({"causal", "instruction", "preference"})


@dataclass(frozen=True)
class Evaluation:
    """A file and its items."""

    config: EvaluationConfig
    items: Sequence[Any]

    @property
    def name(self) -> str:
        """What its results are listed under."""
        return f"{self.config.kind} {self.config.path}"


def open_evaluations(files: Sequence[EvaluationConfig]) -> list[Evaluation]:
    """Read the files. Raises InputError for one that is not there, RecipeError naming file, line and key."""
    return [Evaluation(config, _READERS[config.kind](config.path)) for config in files]


def ask(language_model: LanguageModel, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The results of each evaluation by its name. Every worker calls this and gets the same."""
    return {found.name: _RESULTS[found.config.kind](language_model, found) for found in evaluations}


def _ask_texts(language_model: LanguageModel, evaluation: Evaluation) -> dict[str, Any]:
    items: Sequence[TextItem] = evaluation.items
    file_name = evaluation.config.path.rsplit("/", 1)[-1]
    by_slice = text_figures(language_model, [item.text for item in items], [item.slice or file_name for item in items])
    return {"num_items": len(items), "by_slice": by_slice}


def _ask_answers(language_model: LanguageModel, evaluation: Evaluation) -> dict[str, Any]:
    config = evaluation.config
    return exact_match_results(language_model, evaluation.items, config.max_tokens, config.stop_at_newline)


_READERS: Mapping[str, Callable[[str], Sequence[Any]]] = {
    "texts": lambda path: read_items(path, TextItem),
    "choices": lambda path: read_items(path, ChoiceItem),
    "generate": lambda path: read_items(path, AnswerItem),
    "bias": read_pairs,
}
_RESULTS: Mapping[str, Callable[[LanguageModel, Evaluation], dict[str, Any]]] = {
    "texts": _ask_texts,
    "choices": lambda language_model, evaluation: choice_results(language_model, evaluation.items),
    "generate": _ask_answers,
    "bias": lambda language_model, evaluation: bias_results(language_model, evaluation.items),
}


class DuringTraining:
    """The evaluation files of a config, asked at each evaluation of a run."""

    def __init__(self, config: TrainConfig, data: Data) -> None:
        """Read the files. Raises RecipeError for a run that they cannot be asked of, and what open_evaluations does."""
        self.evaluations = open_evaluations(config.evaluation)
        self.data = data
        if not self.evaluations:
            return
        if config.objective not in LIKELIHOOD_OBJECTIVES or config.parallel.pipeline > 1:
            raise RecipeError(
                "evaluation: files are asked of a model that predicts the next token and is whole on each worker; "
                f"objective is {config.objective!r}, parallel.pipeline {config.parallel.pipeline}. Remove "
                "[[evaluation]] and use `gristmill evaluate` on the run."
            )
        if not data.tokenizer.endswith(".json"):
            raise RecipeError(
                f"evaluation: {data.tokenizer} is no tokenizer.json, the kind that files are read with in training. "
                "Remove [[evaluation]] and use `gristmill evaluate` on the run."
            )
        self.tokenizer = load_tokenizer(data.tokenizer)

    def metrics(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """{evaluation: results by name}, or {} without files. Every worker asks all items: none waits for another."""
        if not self.evaluations:
            return {}
        data, rows = self.data, rows_per_pass(self.data.vocab_size, self.data.length)
        language_model = LanguageModel(model, self.tokenizer, data.length, data.end_of_text_id, None, rows, device)
        results = ask(language_model, self.evaluations)
        for result in results.values():
            result.pop("predictions", None)  # a metrics line is for figures
        return {"evaluation": results}
