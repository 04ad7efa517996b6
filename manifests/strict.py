"""Error texts for strictly read settings: what is wrong, in which key, and the nearest known name."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the most similar known name, or a full stop if none is similar."""
    near = difflib.get_close_matches(unknown, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else "."


def explain_validation(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem of a failed check, as `unknown key 'x' in [section]; did you mean 'y'?` or the like."""
    problem = error.errors()[0]
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    *section, key = [part for part in problem["loc"] if not (isinstance(part, str) and "(" in part)] or ["?"]
    place = f" in [{'.'.join(str(part) for part in section)}]" if section else ""
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, section)
        return f"unknown key {key!r}{place}{did_you_mean(str(key), known)} Known keys: {', '.join(sorted(known))}."
    if problem["type"] == "missing":
        return f"key {key!r} is missing{place}."
    return f"key {key!r}{place} is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}."


def _known_keys(model: type[BaseModel], section: list[Any]) -> list[str]:
    for part in section:
        if isinstance(part, str) and part in model.model_fields:
            model = _config_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)


def _config_in(annotation: Any) -> type[BaseModel] | None:
    """The config class in an annotation such as `list[Source]` or `MinHash | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _config_in(inner):
            return found
    return None
