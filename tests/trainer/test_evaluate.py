import math
from pathlib import Path

import pytest
import torch

from tests.trainer.synthetic import Segments, counting_corpus, make_corpus
from trainer.config import ModelConfig
from trainer.context import Context
from trainer.evaluate import evaluate
from trainer.model import Decoder
from trainer.packed import validation_rows

SHAPE = ModelConfig(layers=1, width=8, heads=1, kv_heads=1, hidden=8)


def uniform_model(vocab_size: int) -> Decoder:
    model = Decoder(SHAPE, vocab_size, seed=0)
    torch.nn.init.zeros_(model.model.embed_tokens.weight)
    return model


def test_bits_per_byte_counts_the_bytes_of_predicted_tokens_only(tmp_path: Path) -> None:
    row = Segments((("a", 0, (5, 6, 7, 0)), ("b", 1, (8, 9, 0))))
    manifest = make_corpus(tmp_path, [[row]], [row, row], 8, 16)
    rows = validation_rows(str(tmp_path), manifest)
    assert rows is not None
    found = evaluate(uniform_model(16), rows, 0, 1, Context())
    # 5 targets of 4 bits; the targets 6, 7 and 9 stand for 3 bytes each.
    assert found["validation_loss"] == pytest.approx(math.log(16))
    assert found["validation_bits_per_byte"] == pytest.approx(5 * 4 / 9)


def test_the_size_of_batches_does_not_change_the_result(tmp_path: Path) -> None:
    rows = validation_rows(str(tmp_path), counting_corpus(tmp_path, num_validation=5))
    assert rows is not None
    model = Decoder(SHAPE, 64, seed=3)
    results = [evaluate(model, rows, 0, size, Context()) for size in (1, 2, 5, 9)]
    assert [result["validation_bits_per_byte"] for result in results] == pytest.approx(
        [results[0]["validation_bits_per_byte"]] * 4, rel=1e-6
    )


def test_rows_without_targets_give_no_number(tmp_path: Path) -> None:
    rows = validation_rows(str(tmp_path), make_corpus(tmp_path, [], [Segments((("a", 0, (0,)),))], 8, 16))
    assert rows is not None
    assert evaluate(uniform_model(16), rows, 0, 1, Context()) == {}
