"""Magnitude pruning: the smallest weights become zeros, and a table says what that costs.

Only the matrices of the layers are pruned, together, so that one threshold holds for all of them: embeddings and output
rows of rare tokens are small because they were seen seldom, not because they are needless.
Source: Han et al. 2015; LeCun et al. 1990 on why one should look at the loss and not at the weights alone.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn
from torch.nn.utils import prune

from manifests import shards
from manifests.errors import RecipeError
from trainer.export import Trained, read_trained, write_rest
from trainer.held_out import HeldOut
from trainer.llama_layout import write_json, write_model
from trainer.model import Decoder
from trainer.optim import hidden_linears

REPORT = "prune.json"


@dataclass(frozen=True)
class Pruned:
    """sparsity: share of zeros in the layers' matrices; zero_ratio: in all weights; folder: None for sparsity 0."""

    sparsity: float
    zero_ratio: float
    loss: float
    bits_per_byte: float | None
    folder: str | None


def prune_run(path: str, sparsities: Sequence[float], out: str) -> dict[str, Any]:
    """Prune the model of a checkpoint or run to each sparsity, without training it again; returns the report.

    Each pruned model goes to `out/sparsity-<share>` in the Hugging Face layout, which `init` can name, the report to
    `out/prune.json`: {checkpoint, step, rows: one for each sparsity from 0 up}. Raises RecipeError for a sparsity
    outside (0, 1) or data without validation rows.
    """
    outside = [sparsity for sparsity in sparsities if not 0.0 < sparsity < 1.0]
    if outside or not sparsities:
        raise RecipeError(f"sparsity {outside or 'list is empty'}: give shares between 0 and 1, such as 0.3,0.5.")
    trained = read_trained(path)
    held_out = HeldOut(trained)
    rows = [_row(trained, held_out, 0.0, None)]
    # Rising, so that one model serves for all: what a lower sparsity made zero stays among the smallest.
    for sparsity in sorted(set(sparsities)):
        prune_matrices(trained.decoder, sparsity)
        folder = shards.join(out, f"sparsity-{sparsity:g}")
        write_model(trained.decoder, trained.state.length, trained.state.end_of_text_id, folder)
        write_rest(trained, folder, [f"pruned: {sparsity:.1%} of the weights of the layers' matrices are zeros"])
        rows.append(_row(trained, held_out, sparsity, folder))
    report = {"checkpoint": trained.folder, "step": trained.state.step, "rows": [asdict(row) for row in rows]}
    write_json(shards.join(out, REPORT), report)
    return report


def prune_matrices(model: nn.Module, sparsity: float) -> None:
    """Set the smallest weights of the layers' matrices to zero until their share is `sparsity`; changes the model."""
    matrices = [(linear, "weight") for linear in hidden_linears(model)]
    prune.global_unstructured(matrices, prune.L1Unstructured, amount=sparsity)
    for linear, name in matrices:
        prune.remove(linear, name)  # type: ignore[no-untyped-call]


def zero_ratio(model: Decoder) -> float:
    """Share of all weights that are exactly zero."""
    return sum(int((parameter == 0).sum()) for parameter in model.parameters()) / model.num_parameters


def _row(trained: Trained, held_out: HeldOut, sparsity: float, folder: str | None) -> Pruned:
    figures = held_out.figures(trained.decoder)
    return Pruned(sparsity, zero_ratio(trained.decoder), figures["loss"], figures.get("bits_per_byte"), folder)
