"""A corpus that several tests of the report look at."""

import pytest

from tests.corpus.report_corpora import SCORE, WORDS
from tests.corpus.synthetic import row, write_unit


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
