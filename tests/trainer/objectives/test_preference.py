import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainer.tiny import tuning, write_hugging_face, write_jsonl, write_tokenizer
from trainer.data import Data, open_data
from trainer.models import make_model
from trainer.objectives import make_objective
from trainer.objectives.preference import Preference
from trainer.stream import Batch

CPU = torch.device("cpu")
RECORDS = [
    {"prompt": f"what is {one}", "chosen": two, "rejected": three}
    for one, two, three in (("red", "one", "two"), ("green", "two", "one"), ("blue", "three three", "four"))
]


class Table(nn.Module):
    """The next token depends on the one before it alone: logits are a row of a table."""

    def __init__(self, logits_VV: list[list[float]]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(logits_VV))

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor) -> Tensor:
        return self.table[tokens_BT]


def pair() -> Batch:
    """One row: prompt 1, chosen 2 0; prompt 1, rejected 0; a place of padding."""
    ones = np.ones(2, np.int64)
    return Batch(
        np.array([[1, 2, 0, 1, 0, 0]]),
        np.array([2]),
        np.array([3, 2]),
        0 * ones,
        ones,
        np.array([[0, 1, 1, 0, 1, 0]], np.bool_),
    )


def test_the_loss_of_a_pair_is_what_the_formula_says() -> None:
    zeros = [[0.0, 0.0, 0.0] for _ in range(3)]
    reference = Table(zeros)  # every token has probability 1/3
    model = Table([zeros[0], [0.0, 0.0, math.log(2.0)], [math.log(4.0), 0.0, 0.0]])
    objective = Preference(0.5, reference)
    losses = objective.losses(model, objective.tensors(pair(), CPU))
    # After 1: probabilities 1/4, 1/4, 2/4; after 2: 4/6, 1/6, 1/6.
    chosen = math.log(1 / 2) + math.log(2 / 3) - 2 * math.log(1 / 3)
    rejected = math.log(1 / 4) - math.log(1 / 3)
    margin = 0.5 * (chosen - rejected)
    assert losses.values.tolist() == pytest.approx([math.log(1 + math.exp(-margin))])
    assert (losses.is_target.tolist(), losses.segment.tolist()) == ([True], [0])
    assert losses.measures["margin"].tolist() == pytest.approx([margin])
    assert losses.measures["accuracy"].tolist() == [1.0]
    losses.values.sum().backward()  # type: ignore[no-untyped-call]
    assert model.table.grad is not None
    assert model.table.grad[1, 2] < 0 < model.table.grad[1, 0]  # the chosen answer's token up, the rejected one's down
    assert reference.table.grad is None


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    return str(write_tokenizer(tmp_path / "tokenizer"))


def likelihoods(model: nn.Module, data: Data) -> list[float]:
    """Log-likelihood of the chosen answer less that of the rejected one, by pair."""
    objective = Preference(1.0, make_uniform(model))
    tensors = objective.tensors(data.train.reader.read(np.arange(data.train.num_rows)), CPU)
    with torch.no_grad():
        found: list[float] = objective.losses(model.eval(), tensors).measures["margin"].tolist()
    return found


def make_uniform(model: nn.Module) -> nn.Module:
    """A reference without an opinion."""

    class Uniform(nn.Module):
        def forward(self, tokens_BT: Tensor, segment_BT: Tensor) -> Tensor:
            return torch.zeros_like(model(tokens_BT, segment_BT))

    return Uniform()


def test_the_first_loss_is_ln_2_and_tuning_prefers_the_chosen_answers(tmp_path: Path, tokenizer: str) -> None:
    config = tuning("preference", examples={"tokenizer": tokenizer, "length": 64})
    data = open_data([write_jsonl(tmp_path / "data.jsonl", RECORDS)], config)
    model, objective = make_model(config, data), make_objective(config, data)
    tensors = objective.tensors(data.train.batch(1, 0, 1), CPU)
    num_pairs = tensors.num_segments // 2
    assert objective.losses(model, tensors).values.tolist() == pytest.approx([math.log(2)] * num_pairs)
    before = likelihoods(model, data)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        objective.losses(model, tensors).values.mean().backward()
        optimizer.step()
    assert all(late > early + 1 for early, late in zip(before, likelihoods(model, data), strict=True))
    assert objective.losses(model, tensors).measures["accuracy"].tolist() == [1.0] * num_pairs


def test_without_its_low_rank_updates_the_model_is_its_own_reference(tmp_path: Path) -> None:
    init = write_hugging_face(tmp_path / "gpt2", "gpt2")  # with dropout: the reference must see none
    path = write_jsonl(tmp_path / "data.jsonl", RECORDS)
    plain = tuning("preference", init=init, examples={"length": 64})
    low_rank = tuning("preference", init=init, lora={"rank": 2}, examples={"length": 64})
    data = open_data([path], plain)
    model, objective = make_model(low_rank, data), make_objective(low_rank, data)
    tensors = objective.tensors(data.train.batch(1, 0, 1), CPU)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.1)
    whole = make_objective(plain, data)
    found = objective.losses(model.eval(), tensors)
    assert found.values.tolist() != pytest.approx([math.log(2)] * len(found.values))
    assert found.values.tolist() == pytest.approx(whole.losses(model, tensors).values.tolist(), abs=1e-6)
    assert not model.training
    objective.losses(model.train(), tensors)
    assert model.training
