import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.reference.target_bytes import target_bytes as slow_target_bytes
from tests.trainer.evaluation.models import Bigram, language_model, probable, uniform
from tests.trainer.synthetic import Segments, counting_corpus, make_corpus
from trainer.config import ModelConfig
from trainer.data import RowReader
from trainer.evaluation.slices import figures, sums_by_slice, target_bytes, text_figures
from trainer.model import Decoder
from trainer.objectives.causal import Causal
from trainer.order import Rows
from trainer.packed import PackedRows, validation_rows
from trainer.stream import Batch

SHAPE = ModelConfig(layers=1, width=8, heads=1, kv_heads=1, hidden=8)


@dataclass(frozen=True)
class Names:
    sources: tuple[str, ...] = ("even", "odd")
    languages: tuple[str, ...] = ("en", "fr")
    end_of_text_id: int = 0


def rows_of(folder: Path, *segments: Segments) -> PackedRows:
    rows = validation_rows(str(folder), make_corpus(folder, [[segments[0]]], list(segments), 8, 16))
    assert rows is not None
    return rows


def check(model: torch.nn.Module, rows: RowReader, micro_batch: int = 1) -> dict[str, Any]:
    return sums_by_slice(model, Causal(), rows, Names(), micro_batch, torch.device("cpu")).metrics()


ROW = Segments((("a", 0, (5, 6, 7, 0)), ("b", 1, (8, 9, 0))))


def test_the_perplexity_of_a_uniform_model_is_its_vocabulary(tmp_path: Path) -> None:
    found = check(uniform(16), rows_of(tmp_path, ROW))
    assert found["validation_loss"] == pytest.approx(math.log(16))
    by_source = found["validation_by_source"]
    assert by_source["even"]["perplexity"] == pytest.approx(16)
    assert (by_source["even"]["num_targets"], by_source["odd"]["num_targets"]) == (3, 2)


def test_bits_per_byte_counts_the_bytes_of_predicted_tokens_only(tmp_path: Path) -> None:
    found = check(uniform(16), rows_of(tmp_path, ROW, ROW))
    # 5 targets of 4 bits; the targets 6, 7 and 9 stand for 3 bytes each.
    assert found["validation_bits_per_byte"] == pytest.approx(5 * 4 / 9)
    assert found["validation_by_source"]["even"]["bits_per_byte"] == pytest.approx(3 * 4 / 6)
    assert found["validation_by_source"]["odd"]["bits_per_byte"] == pytest.approx(2 * 4 / 3)


def test_slices_add_up_the_losses_of_their_own_segments(tmp_path: Path) -> None:
    model = probable({(5, 6): 0.5, (6, 7): 0.5, (7, 0): 0.5, (8, 9): 0.25, (9, 0): 0.25}, 16)
    found = check(model, rows_of(tmp_path, ROW))
    assert found["validation_by_source"]["even"]["loss"] == pytest.approx(math.log(2))
    assert found["validation_by_source"]["odd"]["loss"] == pytest.approx(math.log(4))
    assert found["validation_loss"] == pytest.approx((3 * math.log(2) + 2 * math.log(4)) / 5)


class Labelled:
    """Rows whose segments have a language and a quality decile, or not."""

    def __init__(self, rows: PackedRows, language: list[int], quality: list[int]) -> None:
        self.rows, self.language, self.quality = rows, language, quality
        self.num_rows = rows.num_rows
        self.documents = rows.documents

    def read(self, rows: Rows) -> Batch:
        batch = self.rows.read(rows)
        many = len(rows)
        return dataclasses.replace(
            batch,
            segment_language=np.array(self.language * many),
            segment_quality=np.array(self.quality * many),
        )


def test_segments_of_unknown_language_or_quality_are_a_slice_of_their_own(tmp_path: Path) -> None:
    rows = Labelled(rows_of(tmp_path, ROW, ROW), [1, -1], [9, -1])
    found = check(uniform(16), rows, 2)
    counts = {
        name: {key: value["num_targets"] for key, value in found[f"validation_by_{name}"].items()}
        for name in ("language", "quality")
    }
    assert counts == {"language": {"fr": 6, "unknown": 4}, "quality": {"9": 6, "unknown": 4}}


def test_slices_that_nothing_is_known_of_are_left_out(tmp_path: Path) -> None:
    rows = Labelled(rows_of(tmp_path, ROW), [-1, -1], [-1, -1])
    found = check(uniform(16), rows, 2)
    assert set(found) == {"validation_loss", "validation_bits_per_byte", "validation_by_source"}


def test_the_size_of_batches_does_not_change_the_result(tmp_path: Path) -> None:
    rows = validation_rows(str(tmp_path), counting_corpus(tmp_path, num_validation=5))
    assert rows is not None
    model = Decoder(SHAPE, 64, seed=3)
    results = [check(model, rows, size) for size in (1, 2, 5, 9)]
    for key in ("validation_loss", "validation_bits_per_byte"):
        assert [result[key] for result in results] == pytest.approx([results[0][key]] * 4, rel=1e-6)


def test_rows_without_targets_give_no_number(tmp_path: Path) -> None:
    assert check(uniform(16), rows_of(tmp_path, Segments((("a", 0, (0,)),)))) == {}


def test_dropout_is_off_while_a_model_is_validated(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, ROW)
    with_dropout = Decoder(SHAPE.model_copy(update={"dropout": 0.5}), 16, seed=0)
    assert check(with_dropout, rows) == check(Decoder(SHAPE, 16, seed=0), rows)
    assert with_dropout.training


def test_texts_count_as_documents_of_a_corpus_would() -> None:
    found = text_figures(language_model(uniform()), ["abcd", "ab", "", "é"], ["one", "one", "two", "two"])
    # "abcd": 4 targets (b, c, d, end), 3 of 4 bytes; "ab": 2 targets, 1 byte; "é": 2 targets, 1 of 2 bytes.
    bits = math.log2(257)
    assert found["one"] == pytest.approx(
        {"loss": math.log(257), "perplexity": 257, "num_targets": 6, "bits_per_byte": 6 * bits / 4}
    )
    assert (found["two"]["num_targets"], found["two"]["bits_per_byte"]) == pytest.approx((2, 2 * bits / 1))


def test_with_a_start_token_the_first_token_of_a_text_counts_too() -> None:
    found = text_figures(language_model(uniform(), start_id=0), ["abcd"], ["one"])
    assert (found["one"]["num_targets"], found["one"]["bits_per_byte"]) == pytest.approx((5, 5 * math.log2(257) / 4))


def test_a_loss_beyond_what_exp_can_hold_is_still_a_number() -> None:
    assert math.isfinite(figures(1e6, 2, 1)["perplexity"])
    assert figures(0.0, 0, 0) == {}
    assert isinstance(uniform(), Bigram)


def random_batch(seed: int, *, masked: bool) -> Batch:
    """Rows of 12 + 1 tokens, a few of them empty or full, with ends of text anywhere."""
    draw = np.random.default_rng(seed)
    rows = [draw.integers(1, 6, draw.integers(0, 4)) for _ in range(5)]
    rows = [row if row.sum() <= 13 else np.array([13]) for row in rows]
    lengths = np.concatenate([np.empty(0, np.int64), *rows])
    tokens = draw.integers(0, 3, (5, 13)).astype(np.uint16)
    mask = draw.random(tokens.shape) < 0.5 if masked else None
    sizes = draw.integers(0, 90, len(lengths))
    return Batch(tokens, np.array([len(row) for row in rows]), lengths, np.zeros_like(lengths), sizes, mask)


@pytest.mark.parametrize("masked", [False, True])
def test_bytes_of_targets_are_those_found_token_by_token(masked: bool) -> None:
    for seed in range(50):
        batch = random_batch(seed, masked=masked)
        assert target_bytes(Causal(), batch, 0) == pytest.approx(slow_target_bytes(batch, 0))
