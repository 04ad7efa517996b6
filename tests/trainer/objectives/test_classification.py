import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainer.objectives.classification import Classification
from trainer.stream import Batch

CPU = torch.device("cpu")


class Echo(nn.Module):
    """Logits of three labels: ln 6 for the token's number, else 0: probabilities 6/8, 1/8, 1/8."""

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor) -> Tensor:
        return math.log(6.0) * torch.nn.functional.one_hot(tokens_BT % 3, 3).float()


def texts() -> Batch:
    """Two rows: texts 5 5 1 and 5 2 and padding; text 0."""
    zeros = np.zeros(3, np.int64)
    return Batch(
        np.array([[5, 5, 1, 5, 2, 7], [0, 7, 7, 7, 7, 7]]),
        np.array([2, 1]),
        np.array([3, 2, 1]),
        zeros,
        zeros,
        np.zeros((2, 6), np.bool_),
        labels=np.array([1, 0, 0]),
    )


def test_the_last_token_of_each_text_decides_its_label() -> None:
    objective = Classification()
    losses = objective.losses(Echo(), objective.tensors(texts(), CPU))
    assert losses.values.tolist() == pytest.approx([math.log(8 / 6), math.log(8), math.log(8 / 6)])
    assert losses.measures["accuracy"].tolist() == [1.0, 0.0, 1.0]
    assert (losses.segment.tolist(), losses.is_target.tolist()) == ([0, 1, 2], [True] * 3)


def test_rows_without_texts_have_no_target() -> None:
    objective = Classification()
    empty = texts().cut(0, 0)
    batch = Batch(
        np.zeros((1, 6), np.int64), np.array([0]), *[empty.segment_length] * 3, np.zeros((1, 6), np.bool_),
        labels=empty.labels,
    )  # fmt: skip
    losses = objective.losses(Echo(), objective.tensors(batch, CPU))
    assert (losses.values.tolist(), losses.measures["accuracy"].tolist()) == ([], [])
