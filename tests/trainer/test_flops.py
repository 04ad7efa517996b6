from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer.tiny import vocab_size, write_hugging_face
from trainer.config import LoraConfig, ModelConfig
from trainer.flops import Cost, cost_of, peak_flops
from trainer.hugging_face import from_folder
from trainer.lora import add_lora
from trainer.model import Decoder
from trainer.stream import Batch

# Each layer: q 8*8, k and v 8*4, o 8*8, three matrices of 8*16. Without the embedding's 10*8.
SHAPE = ModelConfig(layers=2, width=8, heads=2, kv_heads=1, hidden=16)
LAYER = 64 + 32 + 32 + 64 + 3 * 128


def batch(*lengths: int) -> Batch:
    """One row of documents of these lengths."""
    sizes = np.array(lengths)
    return Batch(np.zeros((1, 20), np.uint16), np.array([len(lengths)]), sizes, sizes * 0, sizes)


@pytest.mark.parametrize("tied", [True, False])
def test_a_weight_costs_six_operations_for_each_token(tied: bool) -> None:
    cost = cost_of(Decoder(SHAPE.model_copy(update={"tied": tied}), 10, 0))
    assert cost == Cost(per_token=6 * (2 * LAYER + 80), per_pair=12 * 2 * 8)


def test_attention_costs_by_the_tokens_that_see_each_other() -> None:
    cost = Cost(per_token=1000, per_pair=1)
    assert cost.flops(batch(3, 4)) == 7 * 1000 + (1 + 2 + 3) + (1 + 2 + 3 + 4)
    assert Cost(1000, 1, causal=False).flops(batch(3, 4)) == 7 * 1000 + 9 + 16
    assert cost.flops(batch(7).cut(0, 0)) == 0


def test_a_whole_row_of_one_document_costs_what_palm_s_formula_says_with_half_of_its_attention() -> None:
    shape = ModelConfig(layers=3, width=64, heads=4, kv_heads=4, hidden=128, tied=False)
    cost = cost_of(Decoder(shape, 100, 0))
    assert cost is not None
    num_weights = 3 * (4 * 64 * 64 + 3 * 64 * 128) + 64 * 100
    context = 1999
    palm = context * (6 * num_weights + 12 * 3 * 4 * 16 * context)
    half = context * 6 * 3 * 4 * 16 * (context - 1)
    assert cost.flops(batch(context)) == palm - half


@pytest.mark.parametrize(
    ("kind", "layer"), [("llama", 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64), ("gpt2", 12 * 32 * 32)]
)
def test_models_of_transformers_are_counted_by_the_same_formula(tmp_path: Path, kind: str, layer: int) -> None:
    folder = write_hugging_face(tmp_path, kind)
    size = vocab_size(tmp_path / "tokenizer.json")
    assert cost_of(from_folder(folder, "causal", (), 0, 0)) == Cost(6 * (2 * layer + 32 * size), 12 * 2 * 32)


def test_frozen_weights_cost_no_gradient_of_their_own() -> None:
    model = add_lora(Decoder(SHAPE, 10, 0), LoraConfig(rank=2), 0, train_head=False)
    cost = cost_of(model)
    assert cost is not None
    updates = 2 * (2 * (8 + 8) + 2 * (8 + 4) + 3 * (8 + 16)) * 2  # of rank 2, in two layers
    assert cost.per_token == 4 * (2 * LAYER + 80) + 6 * updates


def test_nothing_is_said_of_models_that_the_formula_does_not_hold_for(tmp_path: Path) -> None:
    translator = write_hugging_face(tmp_path / "t5", "t5")
    assert cost_of(from_folder(translator, "seq2seq", (), 0, 0)) is None
    recurrent = write_hugging_face(tmp_path / "mamba", "mamba")
    assert cost_of(from_folder(recurrent, "causal", (), 0, 0)) is None


def test_a_cpu_has_no_known_peak() -> None:
    assert peak_flops(torch.device("cpu")) is None
