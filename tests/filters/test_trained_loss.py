"""Loss of a trained model: found by document id, unknown documents pass."""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from filters.base import Documents
from filters.trained_loss import TrainedLoss
from manifests import shards
from manifests.errors import InputError, ModelError
from manifests.schemas import DOCUMENT_LOSSES
from tests.edge_cases import batch, check_filter, measure, reasons

TEXTS = ["hard", "usual", "easy", "never read", "no text"]


def write(path, rows):
    """rows: (number of the document, bits per byte, excess, times)."""
    columns = {
        "doc_id": [number if isinstance(number, str) else f"{number:032x}" for number, *_ in rows],
        "source": ["web" for _ in rows],
        "num_targets": [100 for _ in rows],
        "num_times": [times for *_, times in rows],
        "last_step": [7 for _ in rows],
        "loss": [3.0 for _ in rows],
        "bits_per_byte": [bits for _, bits, _, _ in rows],
        "excess_bits_per_byte": [excess for _, _, excess, _ in rows],
    }
    shards.write_table(str(path), pa.table(columns, schema=DOCUMENT_LOSSES))
    return str(path)


@pytest.fixture
def losses(tmp_path):
    """Of the documents that tests.edge_cases.batch numbers; the fourth is not there, the fifth has no bytes."""
    rows = [(0, 5.0, 3.5, 1), (1, 1.5, 0.0, 2), (2, 0.25, -1.25, 9), (4, None, None, 1), (99, 1.0, 0.5, 1)]
    return write(tmp_path / "losses.parquet", rows)


def test_passes_the_edge_cases(losses):
    check_filter(TrainedLoss(losses=losses, max_excess_bits_per_byte=0.5, min_excess_bits_per_byte=-0.5))


def test_a_document_has_the_losses_of_its_id_and_an_unknown_one_zeros(losses):
    rule = TrainedLoss(losses=losses)
    assert measure(rule, "bits_per_byte", TEXTS) == [5.0, 1.5, 0.25, 0.0, 0.0]
    assert measure(rule, "excess_bits_per_byte", TEXTS) == [3.5, 0.0, -1.25, 0.0, 0.0]
    assert measure(rule, "num_times", TEXTS) == [1.0, 2.0, 9.0, 0.0, 0.0]


def test_ids_before_the_first_and_after_the_last_are_unknown(losses):
    table = batch(["a", "b"]).set_column(0, "doc_id", pa.array(["0" * 31 + "3", "f" * 32]))
    assert TrainedLoss(losses=losses).score(Documents(table))["num_times"].tolist() == [0.0, 0.0]


def test_hard_and_easy_documents_fall_and_unknown_ones_stay(losses):
    rule = TrainedLoss(losses=losses, max_excess_bits_per_byte=1.0, min_excess_bits_per_byte=-1.0)
    assert reasons(rule, TEXTS) == ["trained_loss.too_hard", None, "trained_loss.too_easy", None, None]
    strictest = TrainedLoss(losses=losses, max_excess_bits_per_byte=0.0, min_excess_bits_per_byte=0.0)
    assert reasons(strictest, TEXTS) == ["trained_loss.too_hard", None, "trained_loss.too_easy", None, None]
    absolute = TrainedLoss(losses=losses, max_bits_per_byte=1.5)
    assert reasons(absolute, TEXTS) == ["trained_loss.too_many_bits", None, None, None, None]


def test_without_limits_it_only_measures(losses):
    assert reasons(TrainedLoss(losses=losses), TEXTS) == [None] * 5


def test_limits_that_would_reject_what_is_not_known_are_refused(losses):
    for limit in ({"max_excess_bits_per_byte": -0.1}, {"min_excess_bits_per_byte": 0.1}, {"max_bits_per_byte": -1.0}):
        with pytest.raises(ValidationError, match="than or equal to 0"):
            TrainedLoss(losses=losses, **limit)


def test_the_file_s_content_is_measured_by_and_limits_are_not(losses, tmp_path):
    rule = TrainedLoss(losses=losses, max_bits_per_byte=3.0)
    assert rule.measuring() == TrainedLoss(losses=losses).measuring()
    other = write(tmp_path / "other.parquet", [(0, 5.0, 3.5, 2)])
    assert rule.measuring() != TrainedLoss(losses=other).measuring()


def test_a_file_that_is_written_anew_is_read_anew(losses):
    rule = TrainedLoss(losses=losses)
    assert measure(rule, "num_times", TEXTS[:1]) == [1.0]
    write(losses, [(0, 5.0, 3.5, 4), (1, 1.0, 1.0, 1)])
    assert measure(rule, "num_times", TEXTS[:1]) == [4.0]


def test_what_is_no_such_file_is_an_error_that_says_so(tmp_path, losses):
    with pytest.raises(InputError, match="none.parquet: cannot be read"):
        TrainedLoss(losses=str(tmp_path / "none.parquet")).check()
    shards.write_table(str(tmp_path / "a"), pa.table({"doc_id": ["a"]}))
    with pytest.raises(ModelError, match="column 'source' is missing.*gristmill losses RUN --out FILE"):
        TrainedLoss(losses=str(tmp_path / "a")).check()
    with pytest.raises(ModelError, match="has no document with bits per byte"):
        TrainedLoss(losses=write(tmp_path / "b", [(0, None, None, 1)])).check()
    with pytest.raises(ModelError, match="not sorted by id"):
        TrainedLoss(losses=write(tmp_path / "c", [(1, 1.0, 0.0, 1), (0, 1.0, 0.0, 1)])).check()
    with pytest.raises(ModelError, match="'chat.jsonl:3' is no document of a corpus"):
        TrainedLoss(losses=write(tmp_path / "d", [("chat.jsonl:3", 1.0, 0.0, 1)])).check()
