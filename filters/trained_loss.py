"""Loss of a model that was trained on the document: what a training run found hard or easy, for the next recipe.

What it measures: `trained_loss.bits_per_byte`, the bits that a training run needed for each byte of the document when a
step read it for the last time, and `trained_loss.excess_bits_per_byte`, how far that is above (or below) all that was
read in the same steps; `trained_loss.num_times`, how often steps read it, 0 for a document that the run did not read.

Why such documents are removed: what stays far harder than everything around it is often no text (encoded bytes, broken
extraction, shuffled words) or a poisoned source; what is far easier is often said many times over. Pruning by the
perplexity of a small model trained on the same corpus made a larger one better in Ankner et al. 2024, where the middle
or the hard end was kept, by corpus; Marion et al. 2023 found the middle best.

Known harm: loss is surprise, not fault. A language, dialect or subject of which the corpus has little stays hard, so an
upper limit takes away first what there is least of, and a lower one takes forms, laws, verse that many quote, and
scripture. Short documents are all beginning, where nothing is known yet. After a run of 300 steps on the made-up sample
crawl, in which half of the pages are English and all are written by the same rules, `max_excess_bits_per_byte = 0.5`
rejects 0.2 % of the 423 English documents and 45 % (French) to 96 % (Polish) of those in seven other languages. Bytes
are no fair measure either: Arabic and Russian write a letter with two bytes, and hardly any of theirs fall (0 and 2 %).
Look at fates by language and source (`gristmill whatif`) before use, and train on both corpora (`gristmill ablate`).

Kept: (max_excess_bits_per_byte = 2.0) a page that needed 1.9 bits per byte where its steps needed 1.6 on average.

Dropped: a page of base64 that needed 5.8 where its steps needed 1.6 (trained_loss.too_hard).

Definitions:
- The file is what `gristmill losses RUN --out FILE` writes. Documents are found in it by their id, so it serves any
  recipe with sources of the same names and files; others are unknown.
- An unknown document is taken for an average one: bits_per_byte and excess_bits_per_byte are 0.0, which no limit
  rejects.
- Losses are those before the update of the step that read the document, so that of a document's first reading is one
  that the model had not seen. Parts of a long document count by their bytes, each when it was read for the last time.
- A run's loss falls as it goes on: a document that was read early needed more bits than the same one read late.
  bits_per_byte shows that, excess_bits_per_byte does not: limits are best set on it.

Parameters: `losses`: the file. `max_bits_per_byte`, `max_excess_bits_per_byte` (0 or above), `min_excess_bits_per_byte`
(0 or below): off unless set; inclusive. A document takes 56 bytes of memory in each process.

Sources: Marion et al. 2023 (When Less is More, arXiv:2309.04564); Ankner et al. 2024 (Perplexed by Perplexity,
arXiv:2405.20541).
"""

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from filters.base import Bound, Columns, Documents, FilePath, Filter
from manifests import shards
from manifests.errors import ModelError, SchemaMismatch
from manifests.schemas import DOCUMENT_LOSSES, require

ID_CHARS = 32
MEASURES = ("bits_per_byte", "excess_bits_per_byte", "num_times")


class TrainedLoss(Filter):
    """Drops documents that a training run found much harder, or much easier, than the rest."""

    rule: ClassVar[str] = "trained_loss"
    measures: ClassVar[tuple[str, ...]] = MEASURES
    bounds: ClassVar[tuple[Bound, ...]] = (
        Bound("bits_per_byte", "max", "max_bits_per_byte", "too_many_bits"),
        Bound("excess_bits_per_byte", "max", "max_excess_bits_per_byte", "too_hard"),
        Bound("excess_bits_per_byte", "min", "min_excess_bits_per_byte", "too_easy"),
    )

    losses: FilePath
    max_bits_per_byte: float | None = Field(default=None, ge=0.0)
    max_excess_bits_per_byte: float | None = Field(default=None, ge=0.0)
    min_excess_bits_per_byte: float | None = Field(default=None, le=0.0)

    def check(self) -> None:
        """Read the file; raise InputError if it is missing, ModelError if it is not one of `gristmill losses`."""
        self._read()

    def score(self, documents: Documents) -> Columns:
        """For each measure float64 (num_documents,); 0.0 for documents that the run did not read."""
        known = self._read()
        ids = _fixed(documents.table["doc_id"])
        place = np.minimum(np.searchsorted(known.ids, ids), len(known.ids) - 1)
        found = known.ids[place] == ids
        return {name: np.where(found, values[place], 0.0) for name, values in zip(MEASURES, known.values, strict=True)}

    def _read(self) -> "Losses":
        return _read(self.losses, shards.file_digest(self.losses))


@dataclass(frozen=True, eq=False)
class Losses:
    """Of documents with text, by id: ids S32 (num_documents,), sorted; values float64 (3, num_documents), MEASURES."""

    ids: npt.NDArray[np.bytes_]
    values: npt.NDArray[np.float64]


@functools.lru_cache(maxsize=2)
def _read(path: str, digest: str) -> Losses:  # digest: a file that changes is read again
    ids, values = [], []
    for group in shards.row_groups(path):
        try:
            table = require(group, DOCUMENT_LOSSES, path)
        except SchemaMismatch as error:
            raise ModelError(f"{error} Name a file that `gristmill losses RUN --out FILE` has written.") from None
        known = table.filter(pc.is_valid(table["bits_per_byte"]))
        strange = pc.not_equal(pc.binary_length(known["doc_id"]), ID_CHARS)
        if pc.any(strange).as_py():
            document = known["doc_id"].filter(strange)[0].as_py()
            raise ModelError(f"{path}: {document!r} is no document of a corpus. Name losses of a run on a corpus.")
        ids.append(_fixed(known["doc_id"]))
        values.append(np.stack([known[name].to_numpy().astype(np.float64) for name in MEASURES]))
    if not sum(map(len, ids)):
        raise ModelError(f"{path}: has no document with bits per byte. Name a run that predicted text.")
    joined = np.concatenate(ids)
    if (joined[1:] <= joined[:-1]).any():
        raise ModelError(f"{path}: its documents are not sorted by id. Write it anew with `gristmill losses`.")
    return Losses(joined, np.concatenate(values, axis=1))


def _fixed(ids: pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    """Document ids as S32."""
    return ids.cast(pa.binary()).to_numpy().astype(f"S{ID_CHARS}")  # type: ignore[no-any-return]
