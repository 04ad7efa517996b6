"""What packed segments are told apart by: language, and decile of quality among all kept documents."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests import shards

NUM_DECILES = 10


@dataclass(frozen=True)
class Slices:
    """languages: labels of kept documents, sorted; `segment_language` is the position.

    quality_edges: the 9 scores between the deciles (see decile_edges); none where no document has a score.
    """

    languages: list[str] = field(default_factory=list)
    quality_edges: list[float] = field(default_factory=list)

    def language_numbers(self, labels: pa.Array) -> npt.NDArray[np.int16]:
        """int16 (num_documents,): the position of each label in `languages`; -1 for null."""
        found = pc.index_in(labels, value_set=pa.array(self.languages, pa.string()))
        numbers: npt.NDArray[np.int16] = pc.fill_null(found, -1).cast(pa.int16()).to_numpy(zero_copy_only=False)
        return numbers

    def deciles(self, scores: pa.Array) -> npt.NDArray[np.int8]:
        """int8 (num_documents,): the number of edges below each score, 0 to 9; -1 for null. scores: float64."""
        values = scores.to_numpy(zero_copy_only=False)  # nulls become NaN
        return np.where(np.isnan(values), -1, np.searchsorted(self.quality_edges, values)).astype(np.int8)


def find_slices(out: str, unit_ids: Sequence[str], quality: str | None) -> Slices:
    """Go through the ledgers of these units once. quality: a score column, or None.

    8 bytes are held for each kept document that has a score.
    """
    columns = ["fate", "language.label", *([quality] if quality else [])]
    labels: set[str] = set()
    scores = [np.empty(0)]
    for unit_id in unit_ids:
        table = shards.read_table(shards.join(out, "ledger", f"{unit_id}.parquet"), columns)
        kept = table.filter(pc.equal(table["fate"], "kept"))
        labels.update(pc.unique(kept["language.label"].drop_null()).to_pylist())
        if quality:
            scores.append(kept[quality].drop_null().cast(pa.float64()).to_numpy())
    return Slices(sorted(labels), decile_edges(np.concatenate(scores)))


def decile_edges(scores: npt.NDArray[np.float64]) -> list[float]:
    """The 9 scores that part deciles: of n sorted scores those at the positions ceil(k n / 10) - 1 for k = 1 to 9.

    scores: float64 (n,), finite, in any order; without one there are no edges. With s scores below its own a document
    is in decile floor(10 s / n), which is the number of edges below its score: equal scores share the lowest decile
    that one of them could have, and some deciles stay empty then.
    """
    if not len(scores):
        return []
    positions = [-(-k * len(scores) // NUM_DECILES) - 1 for k in range(1, NUM_DECILES)]
    # 0.0 in place of -0.0: which of the two lies at a position would depend on the order of documents.
    return [float(edge) + 0.0 for edge in np.partition(scores, positions)[positions]]
