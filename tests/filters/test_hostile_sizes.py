"""Texts of 10 MB without structure: every filter must give finite scores, in memory and time linear in the bytes.

Each filter is run as it is by default, and with each value of the fields that say whose definitions it goes by: what
the presets are made of.
"""

from typing import Any, get_args

import numpy as np
import pytest

from filters import FILTERS, Language
from filters.base import Filter
from tests.edge_cases import batch, columns_of

SIZE = 10_000_000
TEXTS = {
    "one word": "a" * SIZE,
    "one line of words": "ab " * (SIZE // 3),
    "only line ends": "\n" * SIZE,
    "short lines": "a\n" * (SIZE // 2),
    "short sentences": "A. " * (SIZE // 3),
    "astral code points": "\U0001f600" * (SIZE // 4),
    "marks": "[{<(" * (SIZE // 4),
    "dots": "." * SIZE,
    "quotation marks": "'" * SIZE,
    "special cases behind affixes": "x:) " * (SIZE // 4),
}
DEFINITIONS = ("semantics", "words", "sentences")


def _variants() -> list[tuple[type[Filter], dict[str, Any]]]:
    found: list[tuple[type[Filter], dict[str, Any]]] = []
    for rule in (Language, *FILTERS.values()):
        fields = rule.model_fields
        if any(field.is_required() for field in fields.values()):
            continue
        found.append((rule, {}))
        for name in DEFINITIONS:
            values = get_args(fields[name].annotation) if name in fields else ()
            others = [value for value in values if isinstance(value, str) and value != fields[name].default]
            found += [(rule, {name: value}) for value in others]
    return found


def _id(value: Any) -> str:
    return "-".join(value.values()) if isinstance(value, dict) else value.rule if isinstance(value, type) else value


@pytest.mark.slow
@pytest.mark.usefixtures("punkt_data")
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(("rule", "definitions"), _variants(), ids=_id)
def test_ten_megabytes_without_structure_have_finite_scores(
    rule: type[Filter], definitions: dict[str, Any], name: str
) -> None:
    columns, _ = columns_of(rule(**definitions), batch([TEXTS[name]]))
    numbers = [values for values in columns.values() if isinstance(values, np.ndarray) and values.dtype.kind == "f"]
    assert numbers
    assert all(np.isfinite(values).all() for values in numbers)
