"""Texts of 10 MB without structure: every filter must give finite scores, in memory and time linear in the bytes."""

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
    "astral code points": "\U0001f600" * (SIZE // 4),
    "marks": "[{<(" * (SIZE // 4),
    "dots": "." * SIZE,
}
RULES = [Language, *(cls for cls in FILTERS.values() if not any(f.is_required() for f in cls.model_fields.values()))]


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("rule", RULES, ids=lambda cls: cls.rule)
def test_ten_megabytes_without_structure_have_finite_scores(rule: type[Filter], name: str) -> None:
    columns, _ = columns_of(rule(), batch([TEXTS[name]]))
    numbers = [values for values in columns.values() if isinstance(values, np.ndarray) and values.dtype.kind == "f"]
    assert numbers
    assert all(np.isfinite(values).all() for values in numbers)
