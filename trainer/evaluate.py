"""Loss and bits per byte on the validation rows.

Bits per byte = nats over all targets / ln 2 / bytes of all targets. It compares models with different tokenizers. The
first token of a segment is not predicted, so its bytes must not count either: a segment's bytes are spread evenly
over its text tokens (end of text stands for none) and only those of targets are added up.
"""

import math

import numpy as np
import torch

from trainer.context import Context
from trainer.model import Decoder
from trainer.objectives.causal import Causal, target_mask
from trainer.packed import PackedRows


@torch.no_grad()
def evaluate(
    model: Decoder, rows: PackedRows, end_of_text_id: int, micro_batch: int, context: Context
) -> dict[str, float]:
    """{validation_loss: nats per target, validation_bits_per_byte} over all rows; workers take every n-th batch.

    Empty where the rows hold no target.
    """
    totals = torch.zeros(3, dtype=torch.float64, device=context.device)
    starts = range(context.rank * micro_batch, rows.num_rows, context.world_size * micro_batch)
    for start in starts:
        batch = rows.read(np.arange(start, min(start + micro_batch, rows.num_rows), dtype=np.int64))
        targets = target_mask(batch)
        losses = Causal().losses(model, Causal().tensors(batch, context.device)).values
        num_bytes = float(batch.token_bytes(end_of_text_id)[:, 1:][targets].sum())
        facts = [float(losses.double().sum()), float(targets.sum()), num_bytes]
        totals += torch.tensor(facts, dtype=torch.float64, device=context.device)
    context.add_over_workers(totals)
    nats, num_targets, num_bytes = totals.tolist()
    if not num_targets or not num_bytes:  # every segment is one token long: there is nothing to predict
        return {}
    return {
        "validation_loss": nats / num_targets,
        "validation_bits_per_byte": nats / math.log(2) / num_bytes,
    }
