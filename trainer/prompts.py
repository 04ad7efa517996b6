"""One example of a JSONL file -> the texts that make up its rows, each marked as prompt or answer.

The prompt is a template filled with the example's keys. Conversations have one format, which instruction and
preference data share; `<end>` is the tokenizer's end of text:

    User:
    ...

    Assistant:
    ...<end>
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from manifests.errors import InputError, RecipeError
from manifests.strict import did_you_mean

TURN = "{role}:\n{content}\n\n"
ASSISTANT = "Assistant:\n"
ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True)
class Piece:
    """A part of a segment; an answer is what is learnt, and ends with end of text."""

    text: str
    is_answer: bool = False


@dataclass(frozen=True)
class Example:
    """segments: texts that do not see each other, one, or for a pair the preferred one and then the other."""

    segments: tuple[tuple[Piece, ...], ...]
    label: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Form:
    """Keys of one way to write an example. The first template of which all keys are there and not empty is taken."""

    required: tuple[str, ...]
    templates: tuple[str, ...]
    answers: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def prompt_keys(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


FORMS: dict[str, tuple[Form, ...]] = {
    "classification": (Form(("text",), ("{text}",)),),
    "question_answering": (
        Form(
            ("question",),
            ("{context}\n\nQuestion:\n{question}\n\nAnswer:\n", "Question:\n{question}\n\nAnswer:\n"),
            ("answer",),
            ("context",),
        ),
    ),
    "summarization": (Form(("document",), ("{document}\n\nSummary:\n",), ("summary",)),),
    "translation": (
        Form(
            ("source",),
            (
                "{source_language}:\n{source}\n\n{target_language}:\n",
                "{source}\n\n{target_language}:\n",
                "{source}\n\nTranslation:\n",
            ),
            ("target",),
            ("source_language", "target_language"),
        ),
    ),
    "instruction": (
        Form(("prompt",), ("User:\n{prompt}\n\nAssistant:\n",), ("response",)),
        Form(
            ("instruction",),
            ("User:\n{instruction}\n\n{input}\n\nAssistant:\n", "User:\n{instruction}\n\nAssistant:\n"),
            ("output",),
            ("input",),
        ),
    ),
    "preference": (Form(("prompt",), ("User:\n{prompt}\n\nAssistant:\n",), ("chosen", "rejected")),),
}


def check_template(objective: str, template: str | None) -> None:
    """Raise RecipeError if a prompt's template of the config names no key, an unknown one, or is not well formed."""
    if template is None:
        return
    known = {key for form in FORMS[objective] for key in form.prompt_keys}
    try:
        keys = _keys(template)
    except ValueError as error:
        raise RecipeError(f"examples.template {template!r}: {error}. Write {{{{ and }}}} for braces.") from error
    for key in keys:
        if key not in known:
            raise RecipeError(
                f"examples.template {template!r}: {objective} has no key {key!r}{did_you_mean(key, known)} "
                f"Known keys: {', '.join(sorted(known))}."
            )
    if not keys:
        raise RecipeError(
            f"examples.template {template!r} names no key: every prompt would be the same. "
            f"Keys: {', '.join(sorted(known))}, in braces."
        )


def parse_example(record: Any, objective: str, template: str | None, where: str) -> Example:
    """What a decoded line says. `where` (file:line) names it in the InputError for a missing key or a wrong type.

    The template must have passed check_template.
    """
    if not isinstance(record, dict):
        raise InputError(f"{where}: is {_kind(record)}, not an object with keys such as {_known_forms(objective)}.")
    if objective == "instruction" and "messages" in record:
        return _conversation(record["messages"], template, where)
    form = next((form for form in FORMS[objective] if form.required[0] in record), None)
    if form is None:
        raise InputError(
            f"{where}: key {FORMS[objective][0].required[0]!r} is missing; the line has {sorted(record)}. "
            f"An example of {objective} has {_known_forms(objective)}."
        )
    texts = {key: _text(record, key, where) for key in form.required}
    texts |= {key: _text(record, key, where) for key in form.optional if record.get(key) not in (None, "")}
    prompt = Piece(_prompt(texts, (template,) if template is not None else form.templates, where))
    if objective == "classification":
        return Example(((prompt,),), label=_label(record, where))
    segments = tuple((prompt, Piece(_text(record, key, where), is_answer=True)) for key in form.answers)
    return Example(segments, language=texts.get("target_language"))


def _keys(template: str) -> list[str]:
    """The keys in braces. Raises ValueError for anything but a plain key: `{a.b}` would reach into objects."""
    keys = []
    for _, key, specification, conversion in string.Formatter().parse(template):
        if key is None:
            continue
        if specification or conversion or not key.isidentifier():
            raise ValueError(f"{{{key}}} is not a plain key in braces")
        keys.append(key)
    return keys


def _prompt(texts: dict[str, str], templates: Sequence[str], where: str) -> str:
    chosen = next((template for template in templates if all(key in texts for key in _keys(template))), None)
    if chosen is None:
        absent = next(key for key in _keys(templates[-1]) if key not in texts)
        raise InputError(
            f"{where}: key {absent!r} is missing or empty, and examples.template names it. "
            "Add it to the line or take it out of the template."
        )
    return chosen.format(**texts)


def _conversation(messages: Any, template: str | None, where: str) -> Example:
    if template is not None:
        raise InputError(
            f"{where}: has 'messages', which have a format of their own, and the config has examples.template. "
            "Take out the template, or write the line with 'prompt' and 'response'."
        )
    if not isinstance(messages, list) or not messages:
        raise InputError(f"{where}: key 'messages' is {_kind(messages)}, not a list of one or more messages.")
    pieces: list[Piece] = []
    before = ""
    for number, message in enumerate(messages):
        role, content = _message(message, f"{where}: message {number + 1}")
        if role == "assistant":
            pieces += [Piece(before + ASSISTANT), Piece(content, is_answer=True)]
            before = "\n\n"
        else:
            before += TURN.format(role=ROLES[role], content=content)
    if not pieces or messages[-1]["role"] != "assistant":
        raise InputError(
            f"{where}: the last message is the {messages[-1]['role']}'s: there is nothing to learn from it. "
            "End each conversation with the assistant's."
        )
    return Example((tuple(pieces),))


def _message(message: Any, where: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise InputError(f"{where} is {_kind(message)}, not an object with 'role' and 'content'.")
    role = _text(message, "role", where)
    if role not in ROLES:
        raise InputError(f"{where}: key 'role' is {role!r}; known roles: {', '.join(ROLES)}.")
    return role, _text(message, "content", where)


def _label(record: dict[str, Any], where: str) -> str:
    label = record.get("label")
    if "label" in record and isinstance(label, int) and not isinstance(label, bool):
        return str(label)
    return _text(record, "label", where)


def _text(record: dict[str, Any], key: str, where: str) -> str:
    if key not in record:
        raise InputError(f"{where}: key {key!r} is missing; there are {sorted(record)}.")
    value = record[key]
    if not isinstance(value, str):
        raise InputError(f"{where}: key {key!r} is {_kind(value)}, not a text.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: key {key!r} has half a surrogate pair at character {error.start}.") from error
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), f"the number {value!r}")


def _known_forms(objective: str) -> str:
    labels = ("label",) if objective == "classification" else ()
    forms = []
    for form in FORMS[objective]:
        needed = [repr(key) for key in (*form.required, *form.answers, *labels)]
        forms.append(", ".join([*needed, *(f"{key!r} (optional)" for key in form.optional)]))
    return " or ".join([*forms, "'messages'"] if objective == "instruction" else forms)
