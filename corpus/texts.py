"""Which documents a corpus keeps in the end, and their texts as they are encoded."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.removed import removed_documents
from corpus.rows import SparseRows
from corpus.score import stored_texts, unit_folder
from filters.kernels.buffers import text_buffers
from filters.kernels.cut_lines import Cuts, cut_texts
from manifests import shards
from manifests.schemas import LINES_FOLDER


def document_rows(out: str, unit_id: str) -> npt.NDArray[np.bool_]:
    """Boolean (num_records,): kept by the filters, not a duplicate of another, and not taken out."""
    decisions = shards.read_table(shards.join(out, unit_folder(unit_id), "decisions.parquet"), ["fate"])
    kept = pc.equal(decisions["fate"], "kept").to_numpy()
    duplicates = shards.read_table(shards.join(out, "duplicates", f"{unit_id}.parquet"), ["row", "kind"])
    kept[duplicates.filter(pc.not_equal(duplicates["kind"], "keeper"))["row"].to_numpy()] = False
    kept[removed_documents(out, unit_id)["row"].to_numpy()] = False
    return np.asarray(kept)


def kept_rows(out: str, unit_id: str) -> npt.NDArray[np.bool_]:
    """Boolean (num_records,): documents of the corpus, without those that lost all they had to say."""
    kept = document_rows(out, unit_id)
    uri = lines_file(out, unit_id)
    if shards.exists(uri):
        lines = shards.read_table(uri, ["row", "dropped"])
        kept[lines.filter(lines["dropped"])["row"].to_numpy()] = False
    return kept


def lines_file(out: str, unit_id: str) -> str:
    """Where it stands what a unit's documents lose to earlier ones (schema REMOVED_LINES), if that was asked for."""
    return shards.join(out, LINES_FOLDER, f"{unit_id}.parquet")


def removed_lines(out: str, unit_id: str) -> SparseRows | None:
    """A reader of that file; None if there is none."""
    uri = lines_file(out, unit_id)
    return SparseRows(uri) if shards.exists(uri) else None


def final_texts(out: str, unit_id: str) -> Iterator[tuple[int, pa.Table, pa.Array]]:
    """The records of a unit: first row, batch (schema RECORD), and final texts, without lines of earlier documents."""
    lines = removed_lines(out, unit_id)
    for first_row, batch, text in stored_texts(shards.join(out, unit_folder(unit_id))):
        if lines is not None:
            found = lines.between(first_row, first_row + batch.num_rows)
            text = cut_lines(text, found, found["row"].to_numpy().astype(np.int64) - first_row)
        yield first_row, batch, text


def cut_lines(text: pa.Array, lines: pa.Table, places: npt.NDArray[np.int64]) -> pa.Array:
    """Texts, large_string, without the spans of some rows of REMOVED_LINES; places: of the text of each row, rising."""
    if lines.num_rows == 0:
        return text
    num_spans = np.zeros(len(text) + 1, np.int64)
    num_spans[places + 1] = pc.list_value_length(lines["starts"]).to_numpy()
    starts, ends = (pc.list_flatten(lines[name]).to_numpy() for name in ("starts", "ends"))
    return cut_texts(text_buffers(text), Cuts(starts, ends, np.cumsum(num_spans)))
