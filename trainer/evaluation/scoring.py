"""Log-likelihoods of texts, and their greedy continuations: many short texts in one packed row, kept apart by segment.

A long text is read in windows of the model's context. Each window starts half a context after the one before, and
only targets that no earlier window had are counted: every target sees all of its text or at least half a context.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from trainer.objectives.causal import Causal, Tensors
from trainer.token_losses import IGNORED

Ids = list[int]

LOGITS_PER_PASS = 1 << 26  # float32: 256 MiB, and as much again for their logarithms


class Tokenizer(Protocol):
    """Texts to token ids and back; adds no special token of its own and reads none in a text."""

    def encode(self, texts: Sequence[str]) -> list[Ids]: ...

    def decode(self, ids: Ids) -> str: ...


def rows_per_pass(vocab_size: int, length: int) -> int:
    """How many rows of `length` tokens go into one forward pass."""
    return max(1, LOGITS_PER_PASS // (vocab_size * length))


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Without dropout and gradients; the model is as it was after the block."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


@dataclass(frozen=True)
class LanguageModel:
    """A causal model and what is needed to ask it about texts.

    model: (tokens_BT, segment_BT) -> logits_BTV, each segment by itself; length: its context in tokens.
    start_id: stands before every text; None for models that never saw such a token: then nothing predicts the first
    token of a text, and it is not counted, as in training. rows: of `length` tokens, in one forward pass.
    """

    model: nn.Module
    tokenizer: Tokenizer
    length: int
    end_of_text_id: int
    start_id: int | None = None
    rows: int = 4
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a torch.device is immutable

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text, after start_id where there is one."""
        start = [] if self.start_id is None else [self.start_id]
        return [start + ids for ids in self.tokenizer.encode(texts)]


@dataclass(frozen=True)
class Piece:
    """A window of a text: ids that are read, and what each predicts (IGNORED where it does not count)."""

    text: int
    inputs: Ids
    targets: Ids


def windows(text: int, ids: Ids, first: int, length: int) -> Iterator[Piece]:
    """The windows of a text that are needed to predict ids[first:]; first is at least 1."""
    stride = max(1, length // 2)
    begin, end, counted = 0, min(length, len(ids) - 1), first
    while counted < len(ids):
        if end >= counted:
            targets = [IGNORED] * (counted - begin - 1) + ids[counted : end + 1]
            yield Piece(text, ids[begin:end], targets)
            counted = end + 1
        end = min(end + stride, len(ids) - 1)
        begin = max(0, end - length)


def score_texts(
    language_model: LanguageModel, ids: Sequence[Ids], first: Sequence[int] | None = None
) -> npt.NDArray[np.float64]:
    """Log-likelihood in nats of ids[i][first[i]:] given what stands before, float64 (num_texts,); 0 if that is empty.

    first: at least 1, which is the default: the first id of a text is given, not predicted. Texts may be of any
    length. The same for any number of rows, but for the rounding of float32.
    """
    begins = [1] * len(ids) if first is None else [max(1, number) for number in first]
    pieces = [
        piece
        for text, (tokens, begin) in enumerate(zip(ids, begins, strict=True))
        for piece in windows(text, tokens, begin, language_model.length)
    ]
    sums = torch.zeros(len(ids), dtype=torch.float64, device=language_model.device)
    with evaluation_mode(language_model.model):
        for tensors in packed(language_model, pieces):
            losses = Causal().losses(language_model.model, tensors)
            sums -= losses.by_segment(len(ids))[0]
    result: npt.NDArray[np.float64] = sums.cpu().numpy()
    return result


def continue_texts(
    language_model: LanguageModel, ids: Sequence[Ids], max_tokens: int, stop_at_newline: bool
) -> list[Ids]:
    """The likeliest next tokens of each text, one after another: at most max_tokens, to the end of text or of the line.

    What ends a text is not part of it. The model sees the last `length` tokens. Each text holds at least one id.
    """
    found: list[Ids] = [[] for _ in ids]
    growing = list(range(len(ids)))
    for _ in range(max_tokens):
        contexts = [(ids[text] + found[text])[-language_model.length :] for text in growing]
        going_on = []
        for text, following in zip(growing, _next_tokens(language_model, contexts), strict=True):
            ends = following == language_model.end_of_text_id
            if ends or (stop_at_newline and "\n" in language_model.tokenizer.decode([following])):
                continue
            found[text].append(following)
            going_on.append(text)
        growing = going_on
        if not growing:
            break
    return found


def _next_tokens(language_model: LanguageModel, contexts: list[Ids]) -> list[int]:
    pieces = [
        Piece(number, context, [IGNORED] * (len(context) - 1) + [0])  # any target: it marks where to look
        for number, context in enumerate(contexts)
    ]
    chosen = torch.zeros(len(contexts), dtype=torch.int64, device=language_model.device)
    with evaluation_mode(language_model.model):
        for tensors in packed(language_model, pieces):
            logits_BTV = language_model.model(tensors.inputs, tensors.segment)
            last = tensors.target != IGNORED
            chosen[tensors.number[last]] = logits_BTV[last].argmax(dim=-1)
    following: list[int] = chosen.tolist()
    return following


def packed(language_model: LanguageModel, pieces: Sequence[Piece]) -> Iterator[Tensors]:
    """The pieces in rows of at most `length` tokens, some rows at a time; `number` is the piece's text."""
    rows = _fill_rows(pieces, language_model.length)
    for start in range(0, len(rows), language_model.rows):
        yield _tensors(rows[start : start + language_model.rows], language_model.device)


def _fill_rows(pieces: Sequence[Piece], length: int) -> list[list[Piece]]:
    """Longest pieces first, each into the row that is being filled: pieces of a row are of about one length."""
    rows: list[list[Piece]] = []
    room = 0
    for piece in sorted(pieces, key=lambda piece: -len(piece.inputs)):
        if len(piece.inputs) > room:
            rows.append([])
            room = length
        rows[-1].append(piece)
        room -= len(piece.inputs)
    return rows


def _tensors(rows: list[list[Piece]], device: torch.device) -> Tensors:
    width = max(sum(len(piece.inputs) for piece in row) for row in rows)
    arrays = np.zeros((4, len(rows), width), dtype=np.int64)
    inputs, segment, target, number = arrays
    segment[:], target[:] = -1, IGNORED
    for place, row in enumerate(rows):
        start = 0
        for index, piece in enumerate(row):
            span = slice(start, start + len(piece.inputs))
            inputs[place, span], target[place, span] = piece.inputs, piece.targets
            segment[place, span], number[place, span] = index, piece.text
            start = span.stop
    tensors: list[Tensor] = list(torch.from_numpy(arrays).to(device))
    return Tensors(*tensors)
