"""Next-sentence pairs from the documents of packed rows, beside masked language modelling.

The documents of a row are coupled by length, the longest with the second longest and so on. Each is cut into A and B,
B of the same number of tokens in both, and a coin decides for the couple: both keep their B (label 0, B follows A) or
they swap (label 1, B is of another document). So half of the pairs are swapped, nothing but the text tells which, every
token is used once, and a row needs no other. A document that is left over (the only one of its row, or the shortest of
an odd number) is a sequence without a pair: [CLS] text [SEP].

Every target counts once in the loss that is reported, and the measures `masked_loss`, `pair_loss` and `pair_accuracy`
tell both kinds apart. In the gradient a pair counts as much as the tokens that are
expected to be hidden in its sequence: this is the sum of the two means of Devlin et al. 2019, section A.2.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trainer.draws import below
from trainer.objectives.base import Losses, on_device
from trainer.objectives.masked import Masking
from trainer.order import Rows
from trainer.stream import Batch
from trainer.token_losses import IGNORED, cross_entropy

IS_NEXT, IS_OTHER = 0, 1  # transformers' labels
# Rows of sequences are as long as the batch needs, in steps: few different shapes to compile and to allocate.
WIDTH_STEP = 64


@dataclass(frozen=True)
class Sequence:
    """[CLS] first [SEP] second [SEP], or without a second. Arrays int64: positions in the packed row.

    segments: number within the row of the segment that each of the two comes from.
    """

    first: Rows
    second: Rows
    segments: tuple[int, int]

    @property
    def label(self) -> int:
        """IGNORED without a second."""
        if not len(self.second):
            return IGNORED
        return IS_NEXT if self.segments[0] == self.segments[1] else IS_OTHER


def sequences_of(texts: list[Rows], draws: npt.NDArray[np.uint64]) -> list[Sequence]:
    """The sequences of one row, in order of the segments that they begin with.

    texts: of each segment the positions of its text tokens; draws: uint64 (2, num_segments).
    """
    by_length = sorted((i for i, text in enumerate(texts) if len(text)), key=lambda i: (-len(texts[i]), i))
    couples = [(i, j) for i, j in zip(by_length[::2], by_length[1::2], strict=False) if len(texts[j]) > 1]
    single = set(by_length) - {i for couple in couples for i in couple}
    found = [Sequence(texts[i], texts[i][:0], (i, i)) for i in single]
    for i, j in couples:
        num_second = 1 + int(below(draws[0, i], len(texts[j]) - 1))  # j is the shorter one
        swapped = bool(below(draws[1, i], 2))
        for a, b in ((i, j), (j, i)):
            other = b if swapped else a
            found.append(Sequence(texts[a][:-num_second], texts[other][-num_second:], (a, other)))
    return sorted(found, key=lambda sequence: sequence.segments[0])


@dataclass(frozen=True)
class Tensors:
    """Rows of sequences on a device, int64. (B, W): what is seen; sequence within the row, -1 for padding; part (0 up
    to the first [SEP], 1 after it); target, IGNORED where there is none; number of the segment over the batch.
    (S,), of all sequences: row and place of [CLS]; label; number of the segment of A; number of tokens.
    """

    inputs: Tensor
    sequence: Tensor
    part: Tensor
    target: Tensor
    number: Tensor
    row: Tensor
    place: Tensor
    label: Tensor
    first_number: Tensor
    num_tokens: Tensor


@dataclass(frozen=True)
class NextSentence:
    """The objective of a PairBert."""

    masking: Masking

    def sequences(self, batch: Batch) -> list[list[Sequence]]:
        """The sequences of each row."""
        is_text = self.masking.is_text(batch)
        counters = np.arange(int(batch.num_segments.max(initial=0)))
        cuts, coins = (self.masking.draw(what, batch, counters) for what in ("cut", "swap"))
        found = []
        for row, num_segments in enumerate(batch.num_segments.tolist()):
            segment = np.where(is_text[row], batch.segment[row], -1)
            texts = [np.flatnonzero(segment == number) for number in range(num_segments)]
            found.append(sequences_of(texts, np.stack([cuts[row], coins[row]])))
        return found

    def tensors(self, batch: Batch, device: torch.device) -> Tensors:
        seen, target = self.masking.hide(batch)
        # Three places after each row: [CLS], [SEP] and padding, which are taken as its tokens are.
        extra = np.array([self.masking.ids.classify, self.masking.ids.separate, self.masking.end_of_text_id])
        nothing = np.full_like(extra, IGNORED)
        layout = _lay_out(self.sequences(batch), batch)
        taken = [
            np.take_along_axis(np.hstack([values, np.tile(more, (len(values), 1))]), layout.source, axis=1)
            for values, more in ((seen, extra), (target, nothing), (batch.segment_number, nothing))
        ]
        arrays = (taken[0], layout.sequence, layout.part, taken[1], taken[2], *layout.heads)
        return Tensors(*on_device(arrays, device))

    def losses(self, model: nn.Module, tensors: Tensors) -> Losses:
        logits_BTV, label_logits_BT2 = model(tensors.inputs, tensors.sequence, tensors.part)
        tokens = cross_entropy(logits_BTV.flatten(0, 1), tensors.target.flatten())
        label_logits_S2 = label_logits_BT2[tensors.row, tensors.place]
        pairs = cross_entropy(label_logits_S2, tensors.label)
        is_right = (label_logits_S2.argmax(dim=1) == tensors.label).to(tokens.dtype)
        no_token, no_pair = (torch.full_like(values.detach(), math.nan) for values in (tokens, pairs))
        measures = {
            "masked_loss": torch.cat([tokens.detach(), no_pair]),
            "pair_loss": torch.cat([no_token, pairs.detach()]),
            "pair_accuracy": torch.cat([no_token, is_right]),
        }
        weight = self.masking.config.ratio * tensors.num_tokens
        pairs = pairs.detach() + weight * (pairs - pairs.detach())
        target = torch.cat([tensors.target.flatten(), tensors.label])
        number = torch.cat([tensors.number.flatten(), tensors.first_number])
        return Losses(torch.cat([tokens, pairs]), target != IGNORED, number, measures)


@dataclass(frozen=True)
class _Layout:
    """Where sequences lie. (num_rows, width): source (position in the row with its three extra places), sequence, part;
    heads: the last five arrays of Tensors.
    """

    source: Rows
    sequence: Rows
    part: Rows
    heads: tuple[Rows, ...]


def _lay_out(rows: list[list[Sequence]], batch: Batch) -> _Layout:
    classify, separate, padding = batch.tokens.shape[1] + np.arange(3)
    first_segment = np.cumsum(batch.num_segments) - batch.num_segments
    used = max((sum(_size(sequence) for sequence in row) for row in rows), default=0)
    shape = (len(rows), -(-max(used, 1) // WIDTH_STEP) * WIDTH_STEP)
    source, number = np.full(shape, padding), np.full(shape, -1)
    part = np.zeros(shape, np.int64)
    heads = []
    for row, sequences in enumerate(rows):
        place = 0
        for index, sequence in enumerate(sequences):
            pieces = [[classify], sequence.first, [separate], sequence.second]
            end = place + _size(sequence)
            source[row, place:end] = np.concatenate([*pieces, [separate] if len(sequence.second) else []])
            number[row, place:end] = index
            part[row, place + len(sequence.first) + 2 : end] = 1
            num_text = len(sequence.first) + len(sequence.second)
            heads.append((row, place, sequence.label, first_segment[row] + sequence.segments[0], num_text))
            place = end
    columns = np.array(heads, np.int64).reshape(-1, 5).T
    return _Layout(source, number, part, tuple(columns))


def _size(sequence: Sequence) -> int:
    """Tokens of a sequence with its [CLS] and [SEP]."""
    return len(sequence.first) + len(sequence.second) + (3 if len(sequence.second) else 2)
