"""The page of each filter: its module's text under headings, then its measures, thresholds and keys as tables.

One source for `gristmill filters RULE` and docs/filters/: a page cannot differ from the code it speaks of.
"""

import sys
import types
from typing import Any, Union, get_args, get_origin

from filters import FILTERS, Filter, Language
from filters.base import Bound, Edit
from manifests.errors import RecipeError
from manifests.strict import did_you_mean

RULES: dict[str, type[Filter]] = {"language": Language, **FILTERS}
LABELS = (
    "What it measures",
    "What it does",
    "Why such documents are removed",
    "Known harm",
    "Kept",
    "Dropped",
    "Definitions",
    "Parameters",
    "Sources",
)


def first_lines() -> dict[str, str]:
    """What each rule is, in one sentence: the first paragraph of its page, by rule."""
    return {rule: " ".join(_paragraphs(rule)[0].split()) for rule in RULES}


def page(rule: str) -> str:
    """The page of a rule in Markdown. Raises RecipeError if there is no such rule."""
    if rule not in RULES:
        raise RecipeError(f"there is no filter {rule!r}{did_you_mean(rule, RULES)} There are: {', '.join(RULES)}.")
    cls = RULES[rule]
    title, *paragraphs = _paragraphs(rule)
    kind = "An edit: it rewrites text, and documents can fall afterwards." if issubclass(cls, Edit) else ""
    parts = [f"# {rule}", title, kind]
    for paragraph in paragraphs:
        label, found, rest = paragraph.partition(":")
        if found and label in LABELS:
            text = rest.strip()
            parts += [f"## {label}", text[:1].upper() + text[1:]]
        else:
            parts.append(paragraph)
    parts += ["## Measures and thresholds", _measures(cls), "## Keys", _keys(cls)]
    return "\n\n".join(part for part in parts if part) + "\n"


def labels(rule: str) -> list[str]:
    """The headings of a rule's text, in order."""
    opened = [paragraph.partition(":")[0] for paragraph in _paragraphs(rule)[1:]]
    return [label for label in opened if label in LABELS]


def _paragraphs(rule: str) -> list[str]:
    """The module's text; a label opens a paragraph of its own, also right below another line."""
    text = sys.modules[RULES[rule].__module__].__doc__ or ""
    paragraphs: list[list[str]] = [[]]
    for line in text.strip().splitlines():
        opens = any(line.startswith(f"{label}:") for label in LABELS)
        if opens or not line.strip():
            paragraphs.append([])
        if line.strip():
            paragraphs[-1].append(line)
    return ["\n".join(lines) for lines in paragraphs if lines]


def _measures(cls: type[Filter]) -> str:
    rows: list[tuple[str, ...]] = []
    for measure in cls.measures:
        bounds = [bound for bound in cls.bounds if bound.measure == measure]
        name = f"`{cls.rule}.{measure}`"
        rows += [(name, *_threshold(cls, bound)) for bound in bounds] or [(name, "", "", "")]
    named = {f"`{cls.rule}.{bound.defect}`" for bound in cls.bounds}
    others = [f"`{defect}`" for defect in cls.defects() if f"`{defect}`" not in named]
    rows += [("", "", "", defect) for defect in others]
    if not rows:
        return "One measure for each name that the recipe gives."
    return _table(("measure", "rejected", "default", "reason"), rows)


def _threshold(cls: type[Filter], bound: Bound) -> tuple[str, str, str]:
    """How a bound rejects, its default, its reason. A limit that is no key is a constant of the rule."""
    limit = f"`{bound.limit}`" if bound.limit in cls.model_fields else _value(getattr(cls, bound.limit))
    default = _value(cls.model_fields[bound.limit].default) if bound.limit in cls.model_fields else ""
    return f"{'below' if bound.side == 'min' else 'above'} {limit}", default, f"`{cls.rule}.{bound.defect}`"


def _keys(cls: type[Filter]) -> str:
    limits = {bound.limit for bound in cls.bounds}
    rows: list[tuple[str, ...]] = [
        (f"`{name}`", f"`{_type(field.annotation)}`", "required" if field.is_required() else _value(field.default))
        for name, field in cls.model_fields.items()
        if name not in limits
    ]
    return _table(("key", "type", "default"), rows) if rows else "None besides the thresholds."


def _value(value: Any) -> str:
    if value is None:
        return "off"
    if isinstance(value, list) and len(value) > 12:
        return f"{len(value)} entries"
    return f"`{value!r}`" if not isinstance(value, str) else f'`"{value}"`'


def _type(annotation: Any) -> str:
    """A type as a recipe's author would say it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join("off" if each is type(None) else _type(each) for each in inner)
    if origin in (list, dict):
        return f"{origin.__name__} of {', '.join(_type(each) for each in inner)}"
    if inner and hasattr(annotation, "__metadata__"):
        return _type(inner[0])
    if inner:  # Literal
        return " or ".join(f'"{each}"' for each in inner)
    name: str = annotation.__name__
    return {"str": "text", "bool": "true or false"}.get(name, name)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
