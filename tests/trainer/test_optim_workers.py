"""Sharded and split parameters are updated as whole ones are: two real processes against one."""

import pytest
import torch

from tests.trainer.optim_workers import LAYOUTS, NAMES, SHAPE, Results, config_of, run_steps, two_workers
from trainer.model import Decoder


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return two_workers(tmp_path_factory.mktemp("workers"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_two_workers_end_with_the_weights_of_one(together: Results, name: str, layout: str) -> None:
    alone = run_steps(Decoder(SHAPE, 23, seed=1), config_of(name))
    assert max(float((weights == 0.0).float().mean()) for weights in alone.values()) > 0.001  # L1 made zeros
    torch.testing.assert_close(together[layout, name], alone, rtol=0, atol=1e-6)
