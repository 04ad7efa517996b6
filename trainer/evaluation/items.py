"""Evaluation files: JSON Lines, one item a line, read strictly in the keys that count; other keys are passed over."""

from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manifests.errors import InputError, RecipeError
from trainer.jsonl import read_jsonl


class Item(BaseModel):
    """Base: no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class TextItem(Item):
    """A held-out text; `slice` groups texts, the file's name stands in for it."""

    text: str
    slice: str | None = None


class PromptItem(Item):
    """Something to answer, under `prompt` or `question`."""

    prompt: str | None = None
    question: str | None = None
    slice: str | None = None

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        if (self.prompt is None) == (self.question is None):
            raise ValueError("give one of the keys 'prompt' and 'question'")
        if not self.asked.strip():
            raise ValueError("key 'prompt' or 'question': is empty, nothing stands before the answer")
        return self

    @property
    def asked(self) -> str:
        """The prompt, whichever key it has."""
        return self.prompt if self.prompt is not None else str(self.question)


class ChoiceItem(PromptItem):
    """Multiple choice: `answer` is the index of the right choice, from 0."""

    choices: list[str] = Field(min_length=2)
    answer: int = Field(ge=0)

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.answer >= len(self.choices):
            raise ValueError(f"key 'answer': is {self.answer}, there are {len(self.choices)} choices, counted from 0")
        if not all(choice.strip() for choice in self.choices):
            raise ValueError("key 'choices': one of them is empty")
        return self


class AnswerItem(PromptItem):
    """A prompt to go on from; any of the answers is right."""

    answer: str | list[str]

    @property
    def answers(self) -> list[str]:
        """All right answers."""
        return [self.answer] if isinstance(self.answer, str) else self.answer

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if not self.answers:
            raise ValueError("key 'answer': is an empty list")
        return self


AnyItem = TypeVar("AnyItem", bound=Item)


def read_items(path: str, kind: type[AnyItem]) -> list[AnyItem]:
    """All items of a file. Raises InputError if it is not there, RecipeError naming file, line and key."""
    return [parse_item(line, kind, f"{path}:{number}") for number, line in read_lines(path)]


def read_lines(path: str) -> list[tuple[int, dict[str, Any]]]:
    """(number from 1, object) of each line that is not blank; `.zst` and `.gz` are decompressed.

    Raises InputError if the file is not there, not whole or has no line, RecipeError for a line that is no JSON object.
    """
    found = list(read_jsonl(path))
    if not found:
        raise InputError(f"{path}: has no lines. Give a file with one JSON object a line.")
    for number, line in found:
        if not isinstance(line, dict):
            raise RecipeError(f"{path}:{number}: is not a JSON object with keys.")
    return found


def parse_item(line: dict[str, Any], kind: type[AnyItem], where: str) -> AnyItem:
    """Check an item; `where` names it in the RecipeError. Values are not repeated there: bias items hold slurs."""
    try:
        return kind.model_validate(line)
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "value_error":
            raise RecipeError(f"{where}: {problem['ctx']['error']}.") from None
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"][0].lower() + problem["msg"][1:]
        raise RecipeError(f"{where}: key {key!r}: {message}. The line has the keys {sorted(line)}.") from None
