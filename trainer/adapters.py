"""The stream for other training loops: torch's DataLoader with any number of workers, and transformers' Trainer.

Datasets hold paths and a config, so that each process opens its own files; what is read is the plan's, as in our loop.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from trainer.config import TrainConfig
from trainer.data import Data, open_data
from trainer.stream import Batch
from trainer.token_losses import IGNORED


class Batches(IterableDataset[Batch]):
    """The batches of steps first to last of one rank, for DataLoader(batches, batch_size=None, num_workers=n).

    The n workers take turns, and DataLoader asks them in turn: every batch comes once, in order, for any n.
    """

    def __init__(
        self, paths: Sequence[str], config: TrainConfig, first: int, last: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.paths, self.config = paths, config
        self.steps = range(first, last + 1)
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        mine = self.steps if worker is None else self.steps[worker.id :: worker.num_workers]
        stream = open_data(self.paths, self.config).train
        return (stream.batch(step, self.rank, self.world_size) for step in mine)


class Samples(Dataset[dict[str, Tensor]]):
    """The rows of a run, one by one, as transformers' decoders take them: see `example`.

    With DataLoader or transformers' Trainer, sequential sampling (`train_sampling_strategy="sequential"`) and batches
    of global_batch over all processes, steps read the rows of our loop; both resume by skipping samples.
    """

    def __init__(self, paths: Sequence[str], config: TrainConfig) -> None:
        self.paths, self.config = paths, config

    @cached_property
    def data(self) -> Data:
        """Opened where it is used first: in each worker."""
        return open_data(self.paths, self.config)

    def __getstate__(self) -> dict[str, object]:
        return {"paths": self.paths, "config": self.config}

    def __len__(self) -> int:
        return self.config.steps * self.config.global_batch

    def __getitem__(self, sample: int) -> dict[str, Tensor]:
        step, place = divmod(sample, self.config.global_batch)
        return example(self.data.train.batch(step + 1, place, self.config.global_batch))


def example(row: Batch) -> dict[str, Tensor]:
    """A batch of one row of length + 1 tokens as keyword arguments of a transformers decoder, without the batch axis.

    input_ids, labels, position_ids: int64 (length + 1,). labels are not shifted, since the models do that; the first
    token of each segment, padding, and what a loss mask leaves out are IGNORED. position_ids begin again with each
    segment. attention_mask: bool (1, length + 1, length + 1), True where a token sees an earlier one of its segment or
    itself; transformers takes a mask of this form as it is with its attention "sdpa", the default.
    """
    tokens, segment = torch.from_numpy(row.tokens[0].astype(np.int64)), torch.from_numpy(row.segment[0])
    is_first = torch.ones_like(segment, dtype=torch.bool)
    is_first[1:] = segment[1:] != segment[:-1]
    place = torch.arange(len(tokens))
    is_target = ~is_first & (segment >= 0)
    if row.loss_mask is not None:
        is_target &= torch.from_numpy(row.loss_mask[0])
    return {
        "input_ids": tokens,
        "labels": torch.where(is_target, tokens, IGNORED),
        "position_ids": place - torch.cummax(torch.where(is_first, place, 0), dim=0).values,
        "attention_mask": ((segment[:, None] == segment) & (place[:, None] >= place))[None],
    }
