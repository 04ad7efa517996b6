"""How workers share a model: data, tensor and pipeline parallelism, any mix whose product is the number of workers.

Workers are numbered pipeline stage by stage, in a stage by their share of the rows, and there by their share of each
matrix. Gradients are sums over all workers, never means: the loop divides by the number of targets of all of them.
"""

import functools
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    RowwiseParallel,
    parallelize_module,
)
from torch.utils.checkpoint import checkpoint

from manifests.errors import RecipeError
from trainer.config import ParallelConfig, TrainConfig
from trainer.context import Context
from trainer.model import Decoder, Elsewhere
from trainer.objectives.base import Objective
from trainer.objectives.causal import Causal

# Gradients are sent in messages of about this size, so that summing needs little memory beside them.
BUCKET_BYTES = 25 * 1024 * 1024


@dataclass(frozen=True)
class Grid:
    """Place of a worker: rank and number of workers along each dimension. mesh: None where there is one worker.

    tied: the group of the first and the last stage's workers of one place, which both hold a tied embedding matrix.
    """

    mesh: DeviceMesh | None = None
    stage: int = 0
    num_stages: int = 1
    data_rank: int = 0
    num_data: int = 1
    tensor_rank: int = 0
    num_tensor: int = 1
    tied: Any = None

    @property
    def has_losses(self) -> bool:
        """One worker of each share of the rows counts its losses: the first of the last stage."""
        return self.stage == self.num_stages - 1 and self.tensor_rank == 0

    def group(self, name: str) -> Any:
        """The process group along "pipeline", "data" or "tensor"."""
        assert self.mesh is not None
        return self.mesh.get_group(name)


def make_grid(config: ParallelConfig, context: Context) -> Grid:
    """Arrange all workers. Raises RecipeError if tensor * pipeline does not divide their number."""
    num_data, rest = divmod(context.world_size, config.tensor * config.pipeline)
    if rest:
        raise RecipeError(
            f"parallel: tensor {config.tensor} * pipeline {config.pipeline} = {config.tensor * config.pipeline} does "
            f"not divide the number of workers, {context.world_size}. Change one of them."
        )
    if context.world_size == 1:
        return Grid()
    shape = (config.pipeline, num_data, config.tensor)
    mesh = init_device_mesh(context.device.type, shape, mesh_dim_names=("pipeline", "data", "tensor"))
    stage, data_rank, tensor_rank = (int(place) for place in mesh.get_coordinate() or ())
    tied = None
    if config.pipeline > 1:
        ends = [
            [int(mesh.mesh[place, d, t]) for place in (0, -1)] for d in range(num_data) for t in range(config.tensor)
        ]
        tied, _ = dist.new_subgroups_by_enumeration(ends)  # type: ignore[no-untyped-call]
    return Grid(mesh, stage, config.pipeline, data_rank, num_data, tensor_rank, config.tensor, tied)


def num_micro_steps(config: TrainConfig, grid: Grid) -> int:
    """Forward passes of every worker in a step: what the largest share of the rows needs."""
    return math.ceil(math.ceil(config.global_batch / grid.num_data) / config.micro_batch)


def check_parallel(config: TrainConfig, model: nn.Module, objective: Objective, grid: Grid) -> None:
    """Raise RecipeError for a mix that this model, objective or batch cannot be trained with."""
    parallel = config.parallel
    if parallel.tensor == 1 and parallel.pipeline == 1:
        return
    if not isinstance(model, Decoder):
        raise RecipeError(
            f"parallel: tensor {parallel.tensor} and pipeline {parallel.pipeline} are for this project's decoder; "
            f"{type(model).__name__} is trained with data parallelism only. Set both to 1; shard = true saves memory."
        )
    shape = model.config
    for name in ("heads", "kv_heads", "hidden"):
        if getattr(shape, name) % parallel.tensor:
            raise RecipeError(
                f"parallel: tensor {parallel.tensor} does not divide the model's {name}, {getattr(shape, name)}."
            )
    if parallel.pipeline > shape.layers:
        raise RecipeError(f"parallel: pipeline {parallel.pipeline} is more than the model's {shape.layers} layers.")
    if parallel.pipeline > 1:
        _check_pipeline(config, objective, grid)


def _check_pipeline(config: TrainConfig, objective: Objective, grid: Grid) -> None:
    stages, num_steps = config.parallel.pipeline, num_micro_steps(config, grid)
    if type(objective) is not Causal:  # others look at more than the logits of one pass
        told = "[distill]" if config.distill is not None else f"objective {config.objective!r}"
        raise RecipeError(f"parallel: pipeline {stages} cannot be used with {told}. Set it to 1.")
    if num_steps < stages:
        raise RecipeError(
            f"parallel: pipeline {stages} needs as many forward passes in a step; global_batch "
            f"{config.global_batch} over {grid.num_data} shares of micro_batch {config.micro_batch} makes {num_steps}. "
            "Lower micro_batch or raise global_batch."
        )


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The layers that this worker holds of a decoder or a transformers model: the members of its longest lists."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    longest = max((len(members) for members in lists), default=0)
    found = [member for members in lists if len(members) == longest for member in members]
    return [block for block in found if not isinstance(block, Elsewhere)]


def distribute(model: nn.Module, config: TrainConfig, grid: Grid, device: torch.device, half: bool) -> nn.Module:
    """Give this worker its part of a model that every worker has made whole, on the device; changes the model.

    half: with sharded weights, compute in bf16 and add gradients up in fp32; else the caller's autocast does so.
    """
    parallel = config.parallel
    if grid.num_stages > 1:
        assert isinstance(model, Decoder)
        model.keep_stage(grid.stage, grid.num_stages)
    model.to(device)
    if half and device.type == "cuda":
        # What autocast leaves in fp32 may be rounded in matrix products too (TF32); precision = "fp32" means it.
        torch.set_float32_matmul_precision("high")
    if grid.num_tensor > 1:
        assert isinstance(model, Decoder)
        assert grid.mesh is not None
        _split_matrices(model, grid.mesh["tensor"])
    blocks = blocks_of(model)
    if config.activation_checkpointing:
        for block in blocks:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    if config.compile and isinstance(model, Decoder):
        model.compile_parts(device.type)
    elif config.compile:
        for block in blocks:
            block.compile()
    if parallel.shard and grid.num_data > 1:
        assert grid.mesh is not None
        _shard(model, blocks, grid.mesh["data"], half)
    return model


def _split_matrices(model: Decoder, mesh: DeviceMesh) -> None:
    """Heads, hidden units and words of the vocabulary are divided among the workers; norms are with all of them."""
    whole = PrepareModuleInput(
        input_layouts=(Replicate(), None), desired_input_layouts=(Replicate(), None), use_local_output=False
    )
    plan: dict[str, Any] = {
        "self_attn": whole,
        "self_attn.o_proj": RowwiseParallel(),
        "mlp": PrepareModuleInput(input_layouts=Replicate(), desired_input_layouts=Replicate()),
        "mlp.down_proj": RowwiseParallel(),
    }
    plan |= {f"self_attn.{name}_proj": ColwiseParallel() for name in "qkv"}
    plan |= {f"mlp.{name}_proj": ColwiseParallel() for name in ("gate", "up")}
    for block in blocks_of(model):
        parallelize_module(block, mesh, plan, src_data_rank=None)
    if model.model.embed_tokens is not None:
        words = RowwiseParallel(input_layouts=Replicate())
        parallelize_module(model.model, mesh, {"embed_tokens": words}, src_data_rank=None)
    if model.lm_head is not None:
        parallelize_module(model, mesh, {"lm_head": ColwiseParallel()}, src_data_rank=None)


def _shard(model: nn.Module, blocks: Iterable[nn.Module], mesh: DeviceMesh, half: bool) -> None:
    # Warns of changes in place to what a split output layer returns; nothing here makes any.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor", category=UserWarning)
    half_policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    policy = half_policy if half else MixedPrecisionPolicy()
    for module in (*blocks, model):
        fully_shard(module, mesh=mesh, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # Plain sums; gloo knows no other kind.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this worker has, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def sum_gradients(model: nn.Module, grid: Grid) -> None:
    """Add up what sharding has not: over the shares of the rows, and for a tied matrix over the ends of a pipeline."""
    for parameter in model.parameters():
        # The gradient of a looked-up embedding comes whole to every worker, its parameter is cut.
        gradient = parameter.grad
        if isinstance(parameter, DTensor) and isinstance(gradient, DTensor):
            parameter.grad = gradient.redistribute(placements=parameter.placements)
    if grid.num_data > 1 and not isinstance(model, FSDPModule):
        add_up([local(p.grad) for p in model.parameters() if p.grad is not None], grid.group("data"))
    tied = tied_weight(model, grid)
    if tied is not None and tied.grad is not None:
        dist.all_reduce(local(tied.grad), group=grid.tied)


def tied_weight(model: nn.Module, grid: Grid) -> Tensor | None:
    """The matrix that both ends of a pipeline hold, if this worker is at one and there is one."""
    if grid.stage not in (0, grid.num_stages - 1) or grid.num_stages == 1 or not isinstance(model, Decoder):
        return None
    return model.model.embed_tokens.weight if model.config.tied and model.model.embed_tokens is not None else None


def add_up(tensors: Sequence[Tensor], group: Any) -> None:
    """Replace each tensor by its sum over a group, several tensors in one message."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        num_bytes = tensor.numel() * tensor.element_size()
        if bucket and (size + num_bytes > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            _add_up_bucket(bucket, group)
            bucket, size = [], 0
        bucket.append(tensor)
        size += num_bytes
    if bucket:
        _add_up_bucket(bucket, group)


def _add_up_bucket(bucket: list[Tensor], group: Any) -> None:
    flat = torch.cat([tensor.flatten() for tensor in bucket])
    dist.all_reduce(flat, group=group)
    for tensor, total in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
        tensor.copy_(total.view_as(tensor))


@torch.no_grad()
def scale_and_clip(model: nn.Module, grid: Grid, context: Context, scale: float, clip: float) -> float:
    """Multiply all gradients by `scale`, then clip their norm over the whole model; returns the norm before clipping.

    A part of a gradient that several workers hold alike counts once.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    parts = [local(gradient) for gradient in gradients]
    tied = tied_weight(model, grid)
    num_alike = [
        grid.num_data
        * grid.num_tensor
        / _num_parts(gradient)
        * (2 if tied is not None and gradient is tied.grad else 1)
        for gradient in gradients
    ]
    squares = torch.stack(torch._foreach_norm(parts)).double().square() / torch.tensor(num_alike, device=context.device)
    squares = squares.sum()
    context.add_over_workers(squares)
    norm = float(squares.sqrt()) * scale
    # As torch.nn.utils.clip_grad_norm_ has it; NaN compares as false and goes on to the caller.
    factor = scale * min(1.0, clip / (norm + 1e-6))
    torch._foreach_mul_(parts, factor)
    return norm


def _num_parts(tensor: Tensor) -> int:
    """Into how many different parts a tensor is cut."""
    if not isinstance(tensor, DTensor):
        return 1
    sizes = zip(tensor.device_mesh.shape, tensor.placements, strict=True)
    return math.prod(size for size, placement in sizes if not placement.is_replicate())
