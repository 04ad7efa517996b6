import pytest

from trainer.config import ModelConfig, OptimizerConfig, ScheduleConfig
from trainer.model import Decoder
from trainer.optim import lr_ratio, make_optimizer, set_lr


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine() -> None:
    schedule = ScheduleConfig(warmup_steps=4, decay="cosine", min_ratio=0.1)
    ratios = [lr_ratio(step, 12, schedule) for step in (1, 4, 8, 12)]
    assert ratios == pytest.approx([0.25, 1.0, 0.55, 0.1])


def test_linear_decay_without_warm_up_reaches_zero_at_the_last_step() -> None:
    schedule = ScheduleConfig(warmup_steps=0, decay="linear", min_ratio=0.0)
    assert [lr_ratio(step, 4, schedule) for step in (1, 2, 3, 4)] == pytest.approx([0.75, 0.5, 0.25, 0.0])


def test_warm_up_may_last_to_the_end() -> None:
    assert lr_ratio(5, 5, ScheduleConfig(warmup_steps=5)) == 1.0


def test_norms_are_not_decayed_and_the_rate_reaches_every_group() -> None:
    model = Decoder(ModelConfig(layers=1), vocab_size=10, seed=0)
    optimizer = make_optimizer(model, OptimizerConfig(weight_decay=0.3))
    set_lr(optimizer, 0.5)
    facts = [(group["weight_decay"], group["lr"], len(group["params"])) for group in optimizer.param_groups]
    assert facts == [(0.3, 0.5, 8), (0.0, 0.5, 3)]
