"""Evaluation files by kind: read before the model is asked anything, so that a wrong line ends a run at its start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.config import EvaluationConfig
from trainer.evaluation.bias import bias_results, read_pairs
from trainer.evaluation.choices import choice_results
from trainer.evaluation.generation import exact_match_results
from trainer.evaluation.items import AnswerItem, ChoiceItem, TextItem, read_items
from trainer.evaluation.scoring import LanguageModel
from trainer.evaluation.slices import text_figures


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
