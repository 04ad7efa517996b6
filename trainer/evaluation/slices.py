"""Loss, perplexity and bits per byte of packed rows and of texts, over all of them and by slice.

Bits per byte = nats over all targets / ln 2 / bytes of all targets. It compares models with different tokenizers. The
first token of a segment is not predicted, so its bytes must not count either: a segment's bytes are spread evenly
over its text tokens (end of text stands for none) and only those of targets are added up.
Perplexity = exp(nats / targets): by token, so it compares only models with one tokenizer.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trainer.context import Context
from trainer.data import RowReader
from trainer.evaluation.scoring import LanguageModel, evaluation_mode, score_texts
from trainer.objectives.base import Objective
from trainer.objectives.causal import Causal
from trainer.stream import Batch

UNKNOWN = "unknown"
QUALITY_DECILES = tuple(str(decile) for decile in range(10))
MAX_LOSS = 700.0  # exp of more is no float

Figures = dict[str, float]


class SliceNames(Protocol):
    """The part of Data that names slices."""

    @property
    def sources(self) -> tuple[str, ...]: ...

    @property
    def languages(self) -> tuple[str, ...]: ...

    @property
    def end_of_text_id(self) -> int: ...


def figures(nats: float, num_targets: float, num_bytes: float) -> Figures:
    """Loss (nats per target), perplexity, num_targets; bits_per_byte where the bytes are known; {} for no target."""
    if not num_targets:
        return {}
    loss = nats / num_targets
    found = {"loss": loss, "perplexity": math.exp(min(loss, MAX_LOSS)), "num_targets": num_targets}
    return found | ({"bits_per_byte": nats / math.log(2) / num_bytes} if num_bytes else {})


class SliceSums:
    """Nats, targets and bytes of targets: of all segments, and by source, language and quality decile."""

    def __init__(self, names: SliceNames, device: torch.device) -> None:
        self.kinds = {
            "source": (*names.sources, UNKNOWN),
            "language": (*names.languages, UNKNOWN),
            "quality": (*QUALITY_DECILES, UNKNOWN),
        }
        self.totals = {
            kind: torch.zeros(3, len(names), dtype=torch.float64, device=device) for kind, names in self.kinds.items()
        }
        self.measures: dict[str, Tensor] = {}

    def add(self, batch: Batch, sums: Tensor, measures: Mapping[str, Tensor]) -> None:
        """sums: float64 (3, total_segments) of the batch: nats, targets, bytes.

        measures: float64 (2,), see Losses.measure_sums.
        """
        for name, value in measures.items():
            self.measures[name] = self.measures.get(name, torch.zeros_like(value)) + value
        numbers = {
            "source": batch.segment_source,
            "language": batch.segment_language,
            "quality": batch.segment_quality,
        }
        for kind, number in numbers.items():
            place = np.where(number < 0, len(self.kinds[kind]) - 1, number)
            self.totals[kind].index_add_(1, torch.from_numpy(place).to(sums.device), sums)

    def add_over_workers(self, context: Context, *others: Tensor) -> None:
        """Add up what all workers have seen; others: float64, added up in the same message. Nothing is added after it.

        The sums are brought to the host at once: asked for later, they wait for all that an accelerator has to do.
        """
        measures = (self.measures[name] for name in sorted(self.measures))
        context.add_over_workers(*self.totals.values(), *measures, *others)
        self.totals = {kind: total.cpu() for kind, total in self.totals.items()}
        self.measures = {name: total.cpu() for name, total in self.measures.items()}

    def all(self) -> Figures:
        """The figures of all segments."""
        return figures(*self.totals["source"].sum(dim=1).tolist())

    def means(self) -> dict[str, float]:
        """Of each figure beside the loss the mean over the targets that have it; left out where there is none."""
        sums = {name: total.tolist() for name, total in self.measures.items()}
        return {name: total / number for name, (total, number) in sums.items() if number}

    def by(self, kind: str) -> dict[str, Figures]:
        """Figures of each slice that has targets; {} where no segment is in a named slice."""
        columns = self.totals[kind].T.tolist()
        found = {name: figures(*column) for name, column in zip(self.kinds[kind], columns, strict=True) if column[1]}
        return {} if set(found) <= {UNKNOWN} else found

    def metrics(self) -> dict[str, Any]:
        """What a metrics line says of the validation rows; {} where they hold no target.

        validation_loss (nats per target), validation_bits_per_byte, what the objective reports beside them, and
        validation_by_source, _by_language and _by_quality: the figures of each slice, where it is known.
        """
        overall = self.all()
        found: dict[str, Any] = {
            f"validation_{key}": overall[key] for key in ("loss", "bits_per_byte") if key in overall
        }
        if overall:
            found |= {f"validation_{name}": mean for name, mean in self.means().items()}
        slices = {f"validation_by_{kind}": self.by(kind) for kind in self.kinds}
        return found | {key: each for key, each in slices.items() if each}


def sums_by_slice(
    model: nn.Module, objective: Objective, rows: RowReader, names: SliceNames, micro_batch: int, device: torch.device
) -> SliceSums:
    """Read all rows in one process, micro_batch at a time."""
    found = SliceSums(names, device)
    for start in range(0, rows.num_rows, micro_batch):
        batch = rows.read(np.arange(start, min(start + micro_batch, rows.num_rows), dtype=np.int64))
        with evaluation_mode(model):
            losses = objective.losses(model, objective.tensors(batch, device))
        num_bytes = torch.from_numpy(target_bytes(objective, batch, names.end_of_text_id)).to(device)
        found.add(batch, torch.cat([losses.by_segment(batch.total_segments), num_bytes[None]]), losses.measure_sums())
    return found


def target_bytes(objective: Objective, batch: Batch, end_of_text_id: int) -> npt.NDArray[np.float64]:
    """float64 (total_segments,): bytes that the targets of each segment stand for; 0 for all but next-token targets."""
    if not isinstance(objective, Causal) or not batch.total_segments:
        return np.zeros(batch.total_segments)
    is_text = batch.tokens != end_of_text_id
    num_text = batch.count_by_segment(is_text)
    if batch.loss_mask is not None:
        is_text &= batch.loss_mask
    is_text.flat[batch.segment_starts] = False  # nothing predicts the first token
    num_bytes: npt.NDArray[np.float64] = batch.segment_bytes / np.maximum(num_text, 1)
    return num_bytes * batch.count_by_segment(is_text)


def text_figures(language_model: LanguageModel, texts: Sequence[str], slices: Sequence[str]) -> dict[str, Figures]:
    """Figures by slice of texts, each read as a document of a corpus: with an end of text, its first token given.

    slices: the name of each text's slice. Texts without a target are in no figure.
    """
    ids = [[*tokens, language_model.end_of_text_id] for tokens in language_model.encode(texts)]
    nats = -score_texts(language_model, ids)
    num_given = 0 if language_model.start_id is not None else 1
    sums: dict[str, npt.NDArray[np.float64]] = {}
    for name, text, tokens, loss in zip(slices, texts, ids, nats.tolist(), strict=True):
        num_text = len(tokens) - 2 + num_given  # without start_id and end of text
        num_bytes = len(text.encode()) * (num_text - num_given) / num_text if num_text else 0.0
        sums[name] = sums.get(name, np.zeros(3)) + np.array([loss, len(tokens) - 1, num_bytes])
    return {name: found for name, total in sums.items() if (found := figures(*total.tolist()))}
