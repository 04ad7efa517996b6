"""A few steps of a small decoder, alone or as one of two real processes; what they end with, as whole tensors."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from trainer.config import ModelConfig, OptimizerConfig
from trainer.ema import Ema
from trainer.model import Decoder
from trainer.optim import make_optimizers, shrink_l1

SHAPE = ModelConfig(layers=2, width=16, heads=2, kv_heads=2, hidden=24, tied=False)
STEPS = 4
LAYOUTS, NAMES = ("shard", "tensor"), ("adamw", "sgd", "muon")

Results = dict[tuple[str, str], dict[str, Tensor]]


def two_workers(folder: Path) -> Results:
    """What two processes end with, by layout ("shard" is FSDP2, "tensor" splits feed-forward layers) and optimiser."""
    command = [sys.executable, "-m", "tests.trainer.optim_workers", str(folder)]
    workers = [subprocess.Popen([*command, str(rank)], cwd=Path(__file__).parents[2]) for rank in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    found: Results = torch.load(folder / "results.pt")
    return found


def config_of(name: str) -> OptimizerConfig:
    return OptimizerConfig.model_validate({"name": name, "lr": 0.003, "l1": 0.05, "weight_decay": 0.1})


def split_over_workers(model: Decoder, layout: str) -> None:
    mesh = init_device_mesh("cpu", (2,))
    if layout == "shard":
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        return
    plan = {"gate_proj": ColwiseParallel(), "up_proj": ColwiseParallel(), "down_proj": RowwiseParallel()}
    for layer in model.model.layers:
        parallelize_module(layer.get_submodule("mlp"), mesh, plan)


def work(folder: str, rank: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = {}
    for layout, name in itertools.product(LAYOUTS, NAMES):
        model = Decoder(SHAPE, 23, seed=1)
        split_over_workers(model, layout)
        results[layout, name] = run_steps(model, config_of(name))
    if rank == 0:
        torch.save(results, f"{folder}/results.pt")
    dist.barrier()


def run_steps(model: nn.Module, config: OptimizerConfig) -> dict[str, Tensor]:
    """Weights, averages (ema:) and the loss with these after STEPS steps; every worker sees all rows."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(23, (8, 33), generator=generator)
    optimizers = make_optimizers(model, config)
    ema = Ema(model, 0.5)
    for _ in range(STEPS):
        _loss(model, tokens).backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        shrink_l1(model.parameters(), config.lr * config.l1)
        ema.update(model)
    with ema.swapped(model), torch.no_grad():
        loss = _loss(model, tokens)
    weights = {name: whole(parameter) for name, parameter in model.named_parameters()}
    averages = {f"ema:{name}": whole(average) for name, average in ema.shadow.items()}
    return weights | averages | {"loss": loss}


def _loss(model: nn.Module, tokens: Tensor) -> Tensor:
    logits = model(tokens[:, :-1], torch.zeros_like(tokens[:, :-1]))
    return nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def whole(tensor: Any) -> Tensor:
    """A copy of all of a tensor, on every worker."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().clone()


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads abort a process now and then while the interpreter is taken down
