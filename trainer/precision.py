"""What a run computes in: 32-bit floats, or bfloat16 for the products of matrices."""

from collections.abc import Sequence
from typing import Literal

import torch

from manifests.errors import RecipeError
from trainer.context import Context

Precision = Literal["fp32", "bf16"]


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def common_precision(setting: Literal["auto"] | Precision, stored: Precision | None, context: Context) -> Precision:
    """The precision of all workers; each calls this with the same arguments. Raises what `choose_precision` raises."""
    found = torch.zeros(context.world_size, dtype=torch.int64, device=context.device)
    found[context.rank] = has_bf16(context.device)
    context.add_over_workers(found)
    return choose_precision(setting, stored, found.tolist())


def choose_precision(
    setting: Literal["auto"] | Precision, stored: Precision | None, native: Sequence[int]
) -> Precision:
    """What a setting means: "auto" goes on as the run began, and begins in bf16 where the hardware multiplies it.

    stored: of the run's checkpoint, None for a new run; native: of each worker, 1 if it multiplies bf16 natively.
    Raises RecipeError where "auto" would need bf16 of a worker that does not.
    """
    if setting != "auto":
        return setting
    wanted = stored or ("bf16" if any(native) else "fp32")
    if wanted == "bf16" and not all(native):
        workers = [rank for rank, is_native in enumerate(native) if not is_native]
        which = "the run began in bf16" if stored else "bf16 on the other workers"
        repair = "" if stored else ', or "fp32"'
        raise RecipeError(
            f'precision = "auto" is fp32 on workers {workers}, which do not multiply bf16 natively, but {which}. '
            f'Set precision = "bf16", which they emulate slowly{repair}; or use other machines.'
        )
    return wanted
