"""Corpora that several tests look at."""

import json

import pytest

from tests.conftest import build_local
from tests.corpus.report_corpora import SCORE, WORDS
from tests.corpus.synthetic import row, write_unit

SMALL = """
name = "small"
[[source]]
name = "s"
format = "jsonl"
paths = ["*.jsonl"]
[dedup.minhash]
[tokenize]
tokenizer = "train:300"
[pack]
length = 16
validation_ratio = 0.2
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Inputs, recipe.toml and corpus (out) of two units, small enough to damage each of its files once."""
    folder = tmp_path_factory.mktemp("small")
    text = "A quiet harbour town wakes early. Boats leave before the sun is up, and the market opens at six."
    for name in "ab":
        lines = [json.dumps({"text": f"{text} Day {number} of {name}."}) for number in range(20)]
        (folder / f"{name}.jsonl").write_text("\n".join([*lines, lines[0], "no JSON"]))
    (folder / "recipe.toml").write_text(SMALL)
    build_local(folder / "recipe.toml", folder / "out")
    return folder


@pytest.fixture
def nine(tmp_path):
    """Nine records in two units: 4 kept, 3 dropped, 1 duplicate, 1 failed."""
    en, de = {"language.label": "en"}, {"language.label": "de"}
    first = [
        row(0, url="https://www.a.co.uk/1", num_tokens=20, component_size=2, **en, **{WORDS: 60.0, SCORE: 0.9}),
        row(1, url="https://b.a.co.uk/2", num_tokens=10, **en, **{WORDS: 80.0, SCORE: 0.8}),
        row(2, url="https://c.org/", fate="dropped", reason="language.low_score", **de, **{WORDS: 70.0, SCORE: 0.25}),
        row(3, fate="dropped", reason="gopher_quality.too_few_words", **en, **{WORDS: 3.0, SCORE: 0.9}),
        row(4, fate="failed", stage="read", reason="read.failed", error="no HTTP header", num_bytes=0),
    ]
    second = [
        row(5, num_tokens=1, **en),
        row(6, fate="dropped", reason="gopher_quality.too_few_words", **en, **{WORDS: 49.0}),
        row(7, fate="duplicate", reason="dedup.near", duplicate_of="f" * 32, jaccard=0.75, component_size=2, **en),
        row(8, num_tokens=1, url="https://c.org/8", **en),
    ]
    write_unit(tmp_path, "u1", first, [f"text {i}" for i in range(4)] + [""], {3: "edited text 3"})
    write_unit(tmp_path, "u2", second, ["x" * 600, *(f"text {i}" for i in range(6, 9))], {})
    return tmp_path
