"""Models whose likelihoods can be worked out by hand, and a tokenizer that needs no file."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.evaluation.scoring import LanguageModel

END_OF_TEXT = 256


class Bytes:
    """Ids are the UTF-8 bytes of a text."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")


class Bigram(nn.Module):
    """The next id depends on the last alone: logits_VV[last]."""

    def __init__(self, logits_VV: Tensor) -> None:
        super().__init__()
        self.logits_VV = logits_VV

    def forward(self, tokens_BT: Tensor, segment_BT: Tensor) -> Tensor:
        return self.logits_VV[tokens_BT]


def probable(after: dict[tuple[int, int], float], vocab_size: int = 257) -> Bigram:
    """A bigram model with these probabilities for (last, next); the rest of each row is shared evenly."""
    table = torch.full((vocab_size, vocab_size), math.nan, dtype=torch.float64)
    for (last, following), probability in after.items():
        table[last, following] = probability
    named = torch.nan_to_num(table)
    share = (1.0 - named.sum(dim=1)) / table.isnan().sum(dim=1)
    return Bigram(torch.where(table.isnan(), share[:, None], named).log().float())


def uniform(vocab_size: int = 257) -> Bigram:
    return probable({}, vocab_size)


def language_model(model: nn.Module, length: int = 64, rows: int = 2, start_id: int | None = None) -> LanguageModel:
    return LanguageModel(model, Bytes(), length, END_OF_TEXT, start_id, rows)
