import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from manifests.errors import RecipeError
from tests.trainer.synthetic import END_OF_TEXT, Segments, make_corpus, small_config
from trainer.config import DistillConfig, ModelConfig
from trainer.context import Context
from trainer.loop import train
from trainer.objectives.causal import Tensors
from trainer.objectives.distill import Distill
from trainer.token_losses import IGNORED

# Three tokens of two documents; the last of the first document and the padding have no target.
TENSORS = Tensors(
    inputs=torch.tensor([[3, 4, 5, 0]]),
    segment=torch.tensor([[0, 0, 1, -1]]),
    target=torch.tensor([[1, IGNORED, 0, IGNORED]]),
    number=torch.tensor([[0, 0, 1, -1]]),
)


class Fixed(nn.Module):
    """The same logits for every token."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log())

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor) -> Tensor:
        return self.logits.expand(*tokens_BT.shape, -1)


def test_the_loss_by_hand() -> None:
    student, teacher = Fixed(0.5, 0.5), Fixed(0.9, 0.1)
    losses = Distill(teacher, DistillConfig(teacher="-", weight=0.25)).losses(student, TENSORS)
    divergence = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    value = 0.75 * math.log(2) + 0.25 * divergence
    assert losses.values.tolist() == [pytest.approx([value, 0.0, value, 0.0])]
    assert losses.measures["cross_entropy"].tolist() == [pytest.approx([math.log(2), 0.0, math.log(2), 0.0])]
    assert losses.measures["teacher_kl"].tolist() == [pytest.approx([divergence, 0.0, divergence, 0.0])]


def test_a_temperature_softens_both_and_its_square_weighs_the_divergence() -> None:
    student, teacher = Fixed(0.5, 0.5), Fixed(0.9, 0.1)
    config = DistillConfig(teacher="-", weight=1.0, temperature=2.0)
    soft = 3.0 / 4.0  # the square roots of 0.9 and 0.1 are as 3 to 1
    divergence = soft * math.log(soft / 0.5) + (1 - soft) * math.log((1 - soft) / 0.5)
    losses = Distill(teacher, config).losses(student, TENSORS)
    assert losses.values[0, 0].item() == pytest.approx(4.0 * divergence)


def test_a_student_that_is_its_teacher_has_no_divergence_and_the_teacher_gets_no_gradient() -> None:
    student, teacher = Fixed(0.7, 0.3), Fixed(0.7, 0.3)
    losses = Distill(teacher, DistillConfig(teacher="-", weight=1.0)).losses(student, TENSORS)
    losses.values.sum().backward()  # type: ignore[no-untyped-call]
    assert losses.values.abs().max().item() < 1e-7
    assert teacher.logits.grad is None
    assert student.logits.grad is not None


def test_without_gradients_the_loss_is_the_cross_entropy() -> None:
    with torch.no_grad():
        losses = Distill(Fixed(0.9, 0.1), DistillConfig(teacher="-")).losses(Fixed(0.5, 0.5), TENSORS)
    assert losses.values.tolist() == [pytest.approx([math.log(2), 0.0, math.log(2), 0.0])]


def test_a_teacher_with_another_vocabulary_is_refused() -> None:
    distill = Distill(Fixed(0.2, 0.3, 0.5), DistillConfig(teacher="runs/large"))
    with pytest.raises(RecipeError, match="'runs/large': has a vocabulary of 3, the student of 2"):
        distill.losses(Fixed(0.5, 0.5), TENSORS)


def chance_rows(num_rows: int, seed: int) -> list[Segments]:
    """Documents of 32 tokens, each followed by one of four others by chance: what follows is learnt by counting."""
    generator = np.random.default_rng(seed)
    rows = []
    for row in range(num_rows):
        token, ids = int(generator.integers(1, 64)), []
        for draw in generator.choice(4, size=32, p=[0.55, 0.25, 0.15, 0.05]).tolist():
            ids.append(token)
            token = 1 + (token * 5 + 11 * draw) % 63
        rows.append(Segments(((f"document-{seed}-{row}", 0, (*ids, END_OF_TEXT)),)))
    return rows


def final_loss(folder: Path, name: str, corpus: str, **changes: Any) -> float:
    config = small_config(optimizer={"lr": 0.01}, eval_every=1000, checkpoint_every=1000, **changes)
    metrics = train([str(folder / corpus)], config, str(folder / name), Context())
    return float(metrics["validation_loss"])


def test_a_student_with_a_teacher_is_ahead_of_one_without_at_equal_steps(tmp_path: Path) -> None:
    validation = chance_rows(40, seed=0)
    make_corpus(tmp_path / "large", [chance_rows(800, seed=1)], validation, 32, 64)
    make_corpus(tmp_path / "small", [chance_rows(12, seed=2)], validation, 32, 64)
    model = ModelConfig(layers=1, width=64, heads=2, kv_heads=1, hidden=64)
    teacher = final_loss(tmp_path, "teacher", "large", model=model, steps=100, global_batch=8, micro_batch=8)
    alone = final_loss(tmp_path, "alone", "small", steps=60)
    taught = final_loss(tmp_path, "taught", "small", steps=60, distill={"teacher": str(tmp_path / "teacher")})
    assert teacher < alone
    assert taught < alone - 0.2


def test_objectives_that_do_not_predict_next_tokens_have_no_teacher(tmp_path: Path) -> None:
    make_corpus(tmp_path / "corpus", [chance_rows(4, seed=0)], [], 32, 64)
    model = ModelConfig(layers=1, width=16, heads=2, kv_heads=2, hidden=32)
    train([str(tmp_path / "corpus")], small_config(model=model, steps=2), str(tmp_path / "teacher"), Context())
    config = small_config(model=model, objective="masked", distill={"teacher": str(tmp_path / "teacher")})
    with pytest.raises(RecipeError, match="distill: objective 'masked' does not predict next tokens"):
        train([str(tmp_path / "corpus")], config, str(tmp_path / "run"), Context())
