import pyarrow as pa
import pytest

from corpus import stage
from corpus.recipe_file import make_recipe
from manifests.schemas import RECORD

SOURCE = {"name": "a", "format": "text", "paths": ["a.txt"]}
PROSE = (
    "The boats leave the harbour before the sun is up, and the market opens at six with bread and fish. "
    "People who live on the hill come down to buy what they need, and they stay to talk of the weather. "
    "In the evening the lamps are lit along the quay, and the last ferry takes those who work on the island."
)


def recipe(**changes):
    filters = [{"rule": "gopher_repetition"}, {"rule": "gopher_quality"}, {"rule": "pii"}]
    return make_recipe({"name": "x", "source": [SOURCE], "filter": filters, **changes}, "test")


def records(*texts, reasons=None, errors=None):
    number = len(texts)
    columns = {
        "doc_id": [f"{n:032x}" for n in range(number)],
        "source": ["a"] * number,
        "file": ["a.txt"] * number,
        "offset": list(range(number)),
        "length": [1] * number,
        "url": [None] * number,
        "date": [None] * number,
        "text": list(texts),
        "reason": reasons or [None] * number,
        "error": errors or [None] * number,
        "extra": [None] * number,
    }
    return pa.table(columns, schema=RECORD)


def decide(batch, chosen):
    measured = stage.measure(batch, chosen)
    return measured, stage.decide(batch, measured.scores, chosen).to_pylist()


def test_the_first_reason_in_run_order_wins_and_later_measures_are_still_taken():
    lines = "the boats and the market of the day\n" * 9
    measured, rows = decide(records(lines, PROSE), recipe())
    assert [row["reason"] for row in rows] == ["gopher_repetition.duplicate_lines", None]
    assert [row["fate"] for row in rows] == ["dropped", "kept"]
    assert [row["stage"] for row in rows] == ["gopher_repetition", None]
    assert measured.scores["gopher_quality.num_words"].to_pylist() == [72.0, 62.0]


def test_short_circuit_takes_no_measure_after_the_first_reason_but_still_edits():
    lines = "the boats and the market of the day, write to eve@example.com\n" * 9
    measured, rows = decide(records(lines, PROSE), recipe(short_circuit=True))
    assert [row["reason"] for row in rows] == ["gopher_repetition.duplicate_lines", None]
    assert measured.scores["gopher_quality.num_words"].to_pylist() == [None, 62.0]
    assert measured.scores["pii.num_emails"].to_pylist() == [9.0, 0.0]
    assert "eve@example.com" not in measured.text[0].as_py()


@pytest.mark.parametrize("short_circuit", [False, True])
def test_records_without_a_document_are_not_measured_and_keep_their_reason(short_circuit):
    batch = records(
        "", PROSE, "", reasons=["read.http_status", None, "read.truncated"], errors=[None, None, "ends at byte 7"]
    )
    measured, rows = decide(batch, recipe(short_circuit=short_circuit))
    assert [row["fate"] for row in rows] == ["dropped", "kept", "failed"]
    assert [row["stage"] for row in rows] == ["read", None, "read"]
    assert measured.scores["language.label"].to_pylist() == [None, "en", None]
    assert measured.scores["text.num_bytes"].to_pylist() == [None, len(PROSE), None]


def test_a_text_that_is_empty_at_the_end_has_a_reason():
    _, rows = decide(records("", PROSE), recipe(filter=[]))
    assert [row["reason"] for row in rows] == ["text.empty", None]


def test_edits_list_the_rows_that_changed():
    before = pa.array(["one", "two", "three"], pa.large_string())
    after = pa.array(["one", "2", "3"], pa.large_string())
    assert stage.edits(before, after, 10).to_pylist() == [{"row": 11, "text": "2"}, {"row": 12, "text": "3"}]


def test_scores_do_not_depend_on_how_records_are_batched():
    texts = [PROSE, "", "short", PROSE.upper(), "call +1 202 555 0143 now", "日本語のテキスト"]
    whole = stage.measure(records(*texts), recipe())
    parts = [stage.measure(records(*texts).slice(n, 1), recipe()) for n in range(len(texts))]
    assert pa.concat_tables([part.scores for part in parts]).combine_chunks().equals(whole.scores.combine_chunks())
    assert [part.text[0].as_py() for part in parts] == whole.text.to_pylist()


def test_zero_records_have_all_columns():
    measured, rows = decide(records(), recipe())
    assert measured.scores.schema.equals(stage.scores_schema(recipe()))
    assert rows == []


def test_deciding_sees_scores_only():
    batch = records(PROSE, "too short to be kept")
    measured = stage.measure(batch, recipe())
    without_text = batch.set_column(7, "text", pa.array(["", ""], pa.large_string()))
    tight = recipe(filter=[{"rule": "gopher_repetition"}, {"rule": "gopher_quality", "min_words": 63}, {"rule": "pii"}])
    rows = stage.decide(without_text, measured.scores, tight).to_pylist()
    assert [row["reason"] for row in rows] == ["gopher_quality.too_few_words"] * 2
