"""Which row is read for which sample of a run, and the other way round: a function of manifests, seed and schedule.

Without a mixture all rows form one lane, read in one order: each row once an epoch. With one, each source is a lane
with an order and epochs of its own, so changed weights change when a row is read, never which row comes next.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from manifests.errors import ManifestMismatch, RecipeError
from trainer.config import MixtureConfig, TrainConfig
from trainer.mixture import BLOCK_SAMPLES, Mixture, Phase, check_repeats, make_mixture
from trainer.order import Blocks, Order, Rows

WINDOW_BYTES = 256 * 1024 * 1024  # of tokens, shared out over the lanes
_SCHEDULE = TypeAdapter(tuple[MixtureConfig, ...])


class Plan:
    """Rows by sample. sources: names by number; source_of_shard: of each training shard, int64 (num_shards,).

    row_bytes: bytes of the tokens of one row. Raises RecipeError for a mixture that cannot be read, or that reads a
    source more often than config.max_repeats.
    """

    def __init__(
        self,
        config: TrainConfig,
        digest: str,
        sources: Sequence[str],
        blocks: Blocks,
        source_of_shard: Rows,
        row_bytes: int,
    ) -> None:
        self.digest = digest
        self.schedule = config.mixture
        strata = source_of_shard[blocks.shards]
        rows = np.bincount(strata, weights=blocks.sizes, minlength=len(sources)).astype(np.int64)
        self.source_rows = dict(zip(sources, rows.tolist(), strict=True))
        self.num_rows = int(rows.sum())
        self.mixture = self._mixture(config.mixture)
        self.lanes = source_of_shard if config.mixture else np.zeros_like(source_of_shard)
        num_lanes = len(sources) if config.mixture else 1
        window_rows = max(1, WINDOW_BYTES // num_lanes // row_bytes)
        names = [f"{config.seed}\0{name}" for name in sources] if config.mixture else [str(config.seed)]
        self.orders = []
        for lane, name in enumerate(names):
            mine = self.lanes[blocks.shards] == lane
            self.orders.append(Order(name, blocks.first_rows[mine], blocks.sizes[mine], strata[mine], window_rows))
        # Rows are found for many samples at once; of a small corpus for an epoch or so.
        self._chunk_samples = min(BLOCK_SAMPLES, max(1024, self.num_rows))
        self._chunk = functools.lru_cache(maxsize=4)(self._make_chunk)
        if config.max_repeats is not None:
            self._check_repeats(config.steps * config.global_batch, config.max_repeats)

    def rows(self, first: int, last: int) -> Rows:
        """int64: the numbers of the rows of the samples first to last - 1."""
        size = self._chunk_samples
        parts = [
            self._chunk(number)[max(0, first - number * size) : last - number * size]
            for number in range(first // size, -(-last // size))
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def samples(self, rows: Rows, num_samples: int) -> list[tuple[int, int]]:
        """(sample, row) of each of the first num_samples samples that reads one of these different rows, in order.

        Found row by row and epoch by epoch, not by going through the samples.
        """
        found: list[tuple[int, int]] = []
        for lane, count in enumerate(self.mixture.counts(num_samples).tolist()):
            order = self.orders[lane]
            mine = order.held(rows)
            for epoch in range(-(-count // order.num_rows) if len(mine) else 0):
                cursors = order.positions(mine, epoch)
                read = cursors < count
                found += zip(self.mixture.samples(lane, cursors[read]).tolist(), mine[read].tolist(), strict=True)
        return sorted(found)

    def state(self, samples_consumed: int) -> dict[str, Any]:
        """samples_consumed, manifest_digest, and the schedule as JSON values."""
        schedule = _SCHEDULE.dump_python(self.schedule, mode="json")
        return {"samples_consumed": samples_consumed, "manifest_digest": self.digest, "schedule": schedule}

    def check_state(self, saved: dict[str, Any]) -> None:
        """Raise ManifestMismatch for a state of other data, RecipeError for one whose samples were other rows."""
        if saved["manifest_digest"] != self.digest:
            raise ManifestMismatch(
                f"the checkpoint was trained on data with the digest {saved['manifest_digest']}, this data has "
                f"{self.digest}. Give the data that it was trained on, or start in another --out."
            )
        schedule, consumed = _SCHEDULE.validate_python(saved["schedule"]), int(saved["samples_consumed"])
        if bool(schedule) != bool(self.schedule):
            first: int | None = 0
        else:
            first = self.mixture.first_difference(self._mixture(schedule))
        if first is not None and first < consumed:
            raise RecipeError(
                f"mixture: differs from sample {first} on from the one that the checkpoint's {consumed} samples were "
                f"read by. Keep what it says of them, and give new weights as an entry with from_sample = {consumed} "
                "or more" + ("." if schedule else "; a run without a mixture cannot go on with one.")
            )

    def _mixture(self, schedule: tuple[MixtureConfig, ...]) -> Mixture:
        if not schedule:
            return Mixture([Phase(0, (BLOCK_SAMPLES,))])
        return make_mixture(schedule, self.source_rows)

    def _check_repeats(self, num_samples: int, max_repeats: float) -> None:
        if self.schedule:
            check_repeats(self.mixture, num_samples, self.source_rows, max_repeats)
        else:
            check_repeats(self.mixture, num_samples, {", ".join(self.source_rows): self.num_rows}, max_repeats)

    def _make_chunk(self, number: int) -> Rows:
        samples = np.arange(number * self._chunk_samples, (number + 1) * self._chunk_samples, dtype=np.int64)
        lanes, cursors = self.mixture.locate(samples)
        result = np.empty_like(samples)
        for lane in np.unique(lanes).tolist():
            mine = lanes == lane
            result[mine] = self.orders[lane].rows(cursors[mine])
        return result
