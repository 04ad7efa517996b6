"""Lines, or paragraphs, that an earlier document has too are taken out, over all documents that deduplication keeps.

Lines are equal if they are once normalized (see filters.kernels.normalized_lines), and long enough to be told from
chance. Documents are in the order of (unit id, row); the first that has a line keeps it, however often it stands there,
and all later ones lose it. A document of which less is left than one such line is dropped: it holds no line that
another has lost for it. Three maps with files between them:

    texts of a unit -> keys of its lines, by partition -> of equal keys those after the first document, by node
    -> what each unit loses, as spans of its texts

The result depends on the texts alone: not on workers, order of completion or the number of partitions. A run that
breaks off goes on with the tasks that were not committed. A task holds 20 bytes for each line of a unit, a partition or
what a unit loses, and one batch of texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.dedup.plan import Plan, RunMap, numbered_task
from corpus.dedup.runs import (
    UInt32s,
    nodes_of,
    read_nodes,
    read_part,
    rows_of,
    uint32s,
    uint64s,
    write_by_node,
    write_cut,
)
from corpus.recipe import Dedup
from corpus.score import stored_texts, unit_folder
from corpus.texts import document_rows, lines_file
from filters.kernels.buffers import TextBuffers, text_buffers
from filters.kernels.cut_lines import cuts_of
from filters.kernels.lines import Lines, find_lines
from filters.kernels.normalized_lines import line_keys
from manifests.digest import digest_json
from manifests.schemas import LINES_FOLDER, REMOVED_LINES
from manifests.shards import FileEntry, TableWriter, join

# A partition of so much text has some ten million lines, which take half a gigabyte while they are sorted.
PARTITION_BYTES = 1 << 30

KEYS = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("line", pa.uint32(), nullable=False),  # of the document, from 0; of a paragraph its first one
    ]
)
REPEATS = pa.schema([pa.field("node", pa.uint64(), nullable=False), pa.field("line", pa.uint32(), nullable=False)])


@dataclass(frozen=True)
class LinesPlan(Plan):
    """What every task knows. unit_ids: sorted."""

    RESULT: ClassVar[str] = LINES_FOLDER

    unit_ids: list[str]
    partitions: int
    by_paragraph: bool
    min_chars: int

    def texts(self, number: int) -> Iterator[tuple[UInt32s, pa.Array]]:
        """Rows of documents that are still kept, and their texts, batch by batch."""
        unit_id = self.unit_ids[number]
        keep = document_rows(self.out, unit_id)
        for first_row, batch, text in stored_texts(join(self.out, unit_folder(unit_id))):
            places = np.flatnonzero(keep[first_row : first_row + batch.num_rows])
            yield (places + first_row).astype(np.uint32), text.take(pa.array(places))


def deduplicate_lines(out: str, units: dict[str, int], config: Dedup, digest: str, run_map: RunMap) -> list[FileEntry]:
    """Write OUT/duplicates/lines/<unit_id>.parquet (schema REMOVED_LINES, in row order) for each unit.

    units: bytes of text that the filters keep, by unit id; document deduplication is done. digest: of all that decides
    the result; what a run with the same digest left is used again, what another one left is removed first. Returns the
    files' entries, sorted by path; intermediate files are left for `LinesPlan.clean`.
    """
    assert config.lines is not None
    partitions = config.partitions or min(4096, max(1, -(-sum(units.values()) // PARTITION_BYTES)))
    settings = (config.lines.unit == "paragraph", config.lines.min_chars)
    plan = LinesPlan(out, digest_json([digest, partitions]), sorted(units), partitions, *settings)
    plan.save()
    by_unit = plan.items(len(units))
    for task, items in ((hash_lines, by_unit), (find_repeats, plan.items(partitions)), (write_removed, by_unit)):
        for _ in run_map(task, items):
            pass
    return plan.made(write_removed, len(units))


@numbered_task(LinesPlan)
def hash_lines(plan: LinesPlan, number: int) -> list[FileEntry]:
    """Keys of the lines of a unit's documents, by partition."""
    found = [KEYS.empty_table()]
    for rows, texts in plan.texts(number):
        keys, documents, lines = _keyed_lines(text_buffers(texts), plan)
        found.append(pa.table([keys, rows[documents], lines], schema=KEYS))
    name = f"keys-{number:05}.parquet"
    table = pa.concat_tables(found)
    return [write_cut(plan.file(name), table, uint64s(table, "key"), plan.partitions, plan.path(name))]


@numbered_task(LinesPlan)
def find_repeats(plan: LinesPlan, number: int) -> list[FileEntry]:
    """Lines of one partition that an earlier document has."""
    keys, nodes, lines = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)]
    for ordinal in range(len(plan.unit_ids)):
        part = read_part(plan.file(f"keys-{ordinal:05}.parquet"), number)
        keys.append(uint64s(part, "key"))
        nodes.append(nodes_of(ordinal, uint32s(part, "row")))
        lines.append(uint32s(part, "line"))
    key, node, line = np.concatenate(keys), np.concatenate(nodes), np.concatenate(lines)
    order = np.argsort(key, kind="stable")  # parts are in the order of units and rows: nodes rise within equal keys
    key, node, line = key[order], node[order], line[order]
    is_first = np.append(True, key[1:] != key[:-1])[: len(key)]
    repeats = node != node[is_first][np.cumsum(is_first) - 1]
    node, line = node[repeats], line[repeats]
    by_node = np.lexsort((line, node))
    name = f"repeats-{number:05}.parquet"
    found = pa.table([node[by_node], line[by_node]], schema=REPEATS)
    return [write_by_node(plan.file(name), found, plan.path(name))]


@numbered_task(LinesPlan)
def write_removed(plan: LinesPlan, number: int) -> list[FileEntry]:
    """What the documents of a unit lose."""
    first, stop = number << 32, (number + 1) << 32
    files = [plan.file(f"repeats-{partition:05}.parquet") for partition in range(plan.partitions)]
    repeats = pa.concat_tables([read_nodes(file, first, stop) for file in files])
    losing, lines = rows_of(uint64s(repeats, "node")), uint32s(repeats, "line")
    order = np.lexsort((lines, losing))
    losing, lines = losing[order], lines[order]
    unit_id = plan.unit_ids[number]
    path = f"{LINES_FOLDER}/{unit_id}.parquet"
    with TableWriter(lines_file(plan.out, unit_id), REMOVED_LINES, path=path) as writer:
        for rows, texts in plan.texts(number):
            touched = np.flatnonzero(np.isin(rows, losing))
            here = np.isin(losing, rows)
            documents = np.searchsorted(rows[touched], losing[here])
            if len(touched):
                writer.write(_removed(rows[touched], texts.take(pa.array(touched)), (documents, lines[here]), plan))
    assert writer.entry is not None
    return [writer.entry]


def _keyed_lines(text: TextBuffers, plan: LinesPlan) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], UInt32s]:
    """Key, document and line number of each line, or paragraph, that is long enough."""
    lines = find_lines(text)
    first, last = _bounds(lines, plan.by_paragraph)
    keys, num_chars = line_keys(text.data, lines.starts[first], lines.ends[last])
    enough = num_chars >= plan.min_chars
    places = first[enough]
    documents = _documents(lines)[places]
    return keys[enough], documents, (places - lines.offsets[documents]).astype(np.uint32)


def _bounds(lines: Lines, by_paragraph: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and last line of what is compared: each line with content, or each run of them between blank lines."""
    content = lines.has_content
    if not by_paragraph:
        places = np.flatnonzero(content)
        return places, places
    before, after = np.append(False, content[:-1]), np.append(content[1:], False)
    before[lines.offsets[:-1]] = after[lines.offsets[1:] - 1] = False
    return np.flatnonzero(content & ~before), np.flatnonzero(content & ~after)


def _documents(lines: Lines) -> npt.NDArray[np.int64]:
    """The document of each line."""
    return np.repeat(np.arange(len(lines.offsets) - 1), np.diff(lines.offsets))


def _removed(
    rows: UInt32s, texts: pa.Array, repeats: tuple[npt.NDArray[np.int64], UInt32s], plan: LinesPlan
) -> pa.Table:
    """Rows of REMOVED_LINES for documents that lose some. repeats: document (of these) and line, of each such line."""
    text = text_buffers(texts)
    lines = find_lines(text)
    removed = np.zeros(len(lines.starts), np.bool_)
    removed[lines.offsets[repeats[0]] + repeats[1]] = True
    cuts, gone = cuts_of(text, lines, removed, plan.by_paragraph)
    _, num_chars = line_keys(text.data, lines.starts, lines.ends)
    documents = _documents(lines)
    num_left = np.bincount(documents, num_chars * ~gone, len(rows))
    offsets = pa.array(cuts.offsets, pa.int32())
    columns = {
        "row": pa.array(rows),
        "starts": pa.ListArray.from_arrays(offsets, pa.array(cuts.starts), type=REMOVED_LINES.field("starts").type),
        "ends": pa.ListArray.from_arrays(offsets, pa.array(cuts.ends), type=REMOVED_LINES.field("ends").type),
        "num_lines_removed": pa.array(np.bincount(documents[gone & lines.has_content], minlength=len(rows))),
        "num_bytes_removed": pa.array(cuts.num_bytes),
        "dropped": pa.array(num_left < plan.min_chars),
    }
    return pa.table(columns, schema=REMOVED_LINES)
