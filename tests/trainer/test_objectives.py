import math
from pathlib import Path

import numpy as np
import torch

from tests.trainer.synthetic import Segments, make_corpus
from trainer.config import ModelConfig
from trainer.model import Decoder
from trainer.objectives import IGNORED, by_source, target_mask, to_tensors, token_losses
from trainer.stream import Batch, PackedRows

ROW = Segments((("a", 0, (5, 6, 7, 0)), ("b", 1, (8, 9, 0))))


def batch_of(folder: Path) -> Batch:
    manifest = make_corpus(folder, [[ROW]], [], 8, 16)
    return PackedRows(str(folder), manifest, manifest.packed("train"), 1).read(np.array([0]))


def test_targets_stay_inside_segments_and_leave_padding_out(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    assert target_mask(batch).tolist() == [[True, True, True, False, True, True, False, False]]
    tensors = to_tensors(batch, slice(None), torch.device("cpu"))
    assert tensors.inputs.tolist() == [[5, 6, 7, 0, 8, 9, 0, 0]]
    assert tensors.target.tolist() == [[6, 7, 0, IGNORED, 9, 0, IGNORED, IGNORED]]


def test_a_model_that_knows_nothing_loses_the_log_of_the_vocabulary_for_each_target(tmp_path: Path) -> None:
    tensors = to_tensors(batch_of(tmp_path), slice(None), torch.device("cpu"))
    model = Decoder(ModelConfig(layers=1, width=8, heads=1, kv_heads=1, hidden=8), vocab_size=16, seed=0)
    with torch.no_grad():
        model.model.embed_tokens.weight.zero_()
        losses = token_losses(model, tensors)
    uniform = math.log(16)
    expected = torch.tensor([[uniform, uniform, uniform, 0, uniform, uniform, 0, 0]])
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-6)


def test_losses_are_added_up_by_the_source_of_the_target(tmp_path: Path) -> None:
    tensors = to_tensors(batch_of(tmp_path), slice(None), torch.device("cpu"))
    losses = torch.tensor([[1.0, 2.0, 4.0, 0.0, 8.0, 16.0, 0.0, 0.0]])
    assert by_source(losses, tensors, 3).tolist() == [[7.0, 24.0, 0.0], [3.0, 2.0, 0.0]]
