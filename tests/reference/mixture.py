"""Which source each sample is of, by going through all samples from the first: the slow twin of trainer.mixture."""

from collections.abc import Iterator

BLOCK_SAMPLES = 65536


def walk(phases: list[tuple[int, list[int]]], num_samples: int) -> Iterator[tuple[int, int]]:
    """(source, samples of that source before) of each sample. phases: first sample, and quotas of a block."""
    counts = [0] * len(phases[0][1])
    for sample in range(num_samples):
        start, quotas = next(phase for phase in reversed(phases) if phase[0] <= sample)
        place = (sample - start) % BLOCK_SAMPLES * 40503 % BLOCK_SAMPLES
        source = next(number for number in range(len(quotas)) if place < sum(quotas[: number + 1]))
        yield source, counts[source]
        counts[source] += 1
