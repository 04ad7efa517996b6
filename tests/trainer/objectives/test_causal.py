import math
from pathlib import Path

import numpy as np
import torch

from tests.trainer.synthetic import Segments, make_corpus, train_rows
from trainer.config import ModelConfig
from trainer.model import Decoder
from trainer.objectives.base import Losses
from trainer.objectives.causal import Causal, target_mask
from trainer.stream import Batch
from trainer.token_losses import IGNORED

ROW = Segments((("a", 0, (5, 6, 7, 0)), ("b", 1, (8, 9, 0))))
CPU = torch.device("cpu")


def batch_of(folder: Path) -> Batch:
    manifest = make_corpus(folder, [[ROW, ROW]], [], 8, 16)
    return train_rows(folder, manifest).read(np.array([0, 1]))


def test_targets_stay_inside_segments_and_leave_padding_out(tmp_path: Path) -> None:
    batch = batch_of(tmp_path).cut(1, 2)
    assert target_mask(batch).tolist() == [[True, True, True, False, True, True, False, False]]
    tensors = Causal().tensors(batch, CPU)
    assert tensors.inputs.tolist() == [[5, 6, 7, 0, 8, 9, 0, 0]]
    assert tensors.target.tolist() == [[6, 7, 0, IGNORED, 9, 0, IGNORED, IGNORED]]


def test_what_a_loss_mask_leaves_out_is_no_target(tmp_path: Path) -> None:
    batch = batch_of(tmp_path).cut(0, 1)
    mask = np.array([[False, False, True, False, False, True, False, False, False]])
    masked = Batch(
        batch.tokens, batch.num_segments, batch.segment_length, batch.segment_source, batch.segment_bytes, mask
    )
    assert target_mask(masked).tolist() == [[False, True, False, False, True, False, False, False]]


def test_a_model_that_knows_nothing_loses_the_log_of_the_vocabulary_for_each_target(tmp_path: Path) -> None:
    tensors = Causal().tensors(batch_of(tmp_path).cut(0, 1), CPU)
    model = Decoder(ModelConfig(layers=1, width=8, heads=1, kv_heads=1, hidden=8), vocab_size=16, seed=0)
    with torch.no_grad():
        model.model.embed_tokens.weight.zero_()
        losses = Causal().losses(model, tensors)
    uniform = math.log(16)
    expected = torch.tensor([[uniform, uniform, uniform, 0, uniform, uniform, 0, 0]])
    torch.testing.assert_close(losses.values, expected, rtol=0, atol=1e-6)


def test_losses_are_added_up_by_segment_over_all_rows(tmp_path: Path) -> None:
    tensors = Causal().tensors(batch_of(tmp_path), CPU)
    values = torch.tensor([[1.0, 2.0, 4.0, 0.0, 8.0, 16.0, 0.0, 0.0]]).repeat(2, 1)
    values[1] *= 10
    losses = Losses(values, tensors.target != IGNORED, tensors.number)
    assert losses.by_segment(4).tolist() == [[7.0, 24.0, 70.0, 240.0], [3.0, 2.0, 3.0, 2.0]]
