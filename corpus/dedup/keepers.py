"""Who stays: facts of the members of components go to partitions of the components, decisions go from there to units.

Members are decided in the order of preference (documents of older corpora first, then by the recipe's policy, then by
document id), each against the keepers before it: see filters.kernels.keepers. Components only bring together what may
be tied; a duplicate is always tied to its keeper itself.
"""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.dedup.pairs import kinds_of
from corpus.dedup.plan import numbered_task
from corpus.dedup.runs import (
    UInt64s,
    read_nodes,
    read_part,
    rows_of,
    uint64s,
    write_by_node,
    write_cut,
)
from corpus.dedup.signatures import signature_values, signatures_schema, take_rows
from corpus.dedup.work import MEMBERS, TWINS, Work
from corpus.recipe import Dedup
from filters.kernels.keepers import choose_keepers
from filters.kernels.minhash import Values, band_keys
from manifests.schemas import DUPLICATES
from manifests.shards import FileEntry, join, open_parquet, write_table

DECIDED = DUPLICATES.append(pa.field("node", pa.uint64(), nullable=False))

# Sort keys that put the preferred first; nulls come last, as sort_indices does by itself. doc_id settles equal ones.
POLICIES = {
    "longest": ("num_bytes", "descending"),
    "best_quality": ("quality", "descending"),
    "earliest": ("date", "ascending"),
    "latest": ("date", "descending"),
}
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: components of neighbouring nodes go far apart
_COMPARE_ROWS = 4096

Int64s = npt.NDArray[np.int64]


@numbered_task(Work)
def send_facts(work: Work, number: int) -> list[FileEntry]:
    """Write the facts and signatures of a group's members by partition of their components."""
    # Those of this recipe: an older corpus may have keys of more kinds.
    names = signatures_schema(Dedup.model_validate(work.config)).names
    tables = []
    for ordinal in work.groups[number]:
        members = read_nodes(work.file(MEMBERS), ordinal << 32, (ordinal + 1) << 32)
        twins = read_nodes(work.file(TWINS), ordinal << 32, (ordinal + 1) << 32)
        facts = _facts_of(work.unit_file(ordinal, "signatures.parquet"), uint64s(members, "node"), names)
        facts = facts.append_column("node", members["node"]).append_column("component", members["component"])
        tables.append(_with_twins(facts, twins))
    joined = pa.concat_tables(tables)
    file = f"facts-{number:05}.parquet"
    spread = uint64s(joined, "component") * _SPREAD
    return [write_cut(work.file(file), joined, spread, work.partitions, work.path(file))]


@numbered_task(Work)
def decide(work: Work, partition: int) -> list[FileEntry]:
    """Decide the members of one partition of the components; writes what becomes of those of this corpus."""
    parts = [read_part(work.file(f"facts-{number:05}.parquet"), partition) for number in range(len(work.groups))]
    file = f"decided-{partition:05}.parquet"
    decided = decisions(pa.concat_tables(parts), work)
    return [write_by_node(work.file(file), decided.sort_by("node"), work.path(file))]


@numbered_task(Work)
def write_units(work: Work, number: int) -> list[FileEntry]:
    """Write the duplicates tables of a group of units of this corpus."""
    group = work.groups[number]
    if group.start < work.num_old:
        return []
    first, stop = group.start << 32, group.stop << 32
    parts = [
        read_nodes(work.file(f"decided-{partition:05}.parquet"), first, stop) for partition in range(work.partitions)
    ]
    table = pa.concat_tables(parts).sort_by("node")
    bounds = np.searchsorted(uint64s(table, "node"), [np.uint64(unit << 32) for unit in [*group, group.stop]]).tolist()
    entries = []
    for ordinal, (start, end) in zip(group, pairwise(bounds), strict=True):
        path = f"duplicates/{work.units[ordinal].unit_id}.parquet"
        rows = table.slice(start, end - start).select(DUPLICATES.names).cast(DUPLICATES)
        entries.append(write_table(join(work.out, path), rows, path))
    return entries


def decisions(facts: pa.Table, work: Work) -> pa.Table:
    """DECIDED rows of the documents of this corpus that are duplicates or have some, in no particular order.

    facts: see send_facts; whole components only.
    """
    is_new = uint64s(facts, "node") >= np.uint64(work.num_old << 32)
    facts = facts.append_column("is_new", pa.array(is_new))
    policy, direction = POLICIES[work.config["keep"]]
    order = [("is_new", "ascending"), (policy, direction), ("doc_id", "ascending"), ("node", "ascending")]
    facts = facts.take(pc.sort_indices(facts, sort_keys=order)).combine_chunks()
    is_new = facts["is_new"].to_numpy()
    kinds = kinds_of(work)
    values, places = _signatures(facts)
    min_equal = math.ceil(values.shape[1] * ((work.config["minhash"] or {}).get("threshold", 1.0)) - 1e-9)
    signatures = (values, _bands(values, work), places)
    keepers, tied_by = choose_keepers(_classes(facts, kinds), signatures, min_equal, ~is_new)
    sizes = np.bincount(keepers, minlength=len(keepers))[keepers]
    columns = {
        "row": pa.array(rows_of(uint64s(facts, "node"))),
        "doc_id": facts["doc_id"],
        "kept_doc_id": facts["doc_id"].take(pa.array(keepers)),
        "kept_in": _corpora(uint64s(facts, "node"), work).take(pa.array(keepers)),
        "kind": pa.array([*kinds, "near", "keeper"]).take(pa.array(tied_by % (len(kinds) + 2))),
        "jaccard": _jaccard(values, places, keepers, _same_words(kinds, tied_by)),
        "component_size": pa.array(sizes, pa.int64()),
        "node": facts["node"],
    }
    return pa.table(columns, schema=DECIDED).filter(pa.array(is_new & (sizes > 1)))


def _same_words(kinds: list[str], tied_by: Int64s) -> npt.NDArray[np.bool_]:
    """Where a document is its own keeper, or has the keeper's text or words."""
    same = np.array([kind in ("exact", "normalized") for kind in kinds] + [False, True])
    found: npt.NDArray[np.bool_] = same[tied_by % len(same)]
    return found


def _classes(facts: pa.Table, kinds: list[str]) -> Int64s:
    """int64 (num_kinds, num_rows): equal numbers for equal keys, -1 without one."""
    classes = np.full((len(kinds), facts.num_rows), -1)
    for number, kind in enumerate(kinds):
        has_key = facts[f"{kind}_high"].is_valid().to_numpy()
        high, low = (uint64s(facts.filter(has_key), f"{kind}_{half}") for half in ("high", "low"))
        order = np.lexsort((low, high))
        new = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
        classes[number, np.flatnonzero(has_key)[order]] = np.cumsum(np.concatenate([[0], new]))[: len(order)]
    return classes


def _signatures(facts: pa.Table) -> tuple[Values, Int64s]:
    """Values, and the signature of each row: its own, or the one of the document with the same words; -1 without."""
    if "signature" not in facts.column_names:
        return np.zeros((0, 0), np.uint32), np.full(facts.num_rows, -1)
    values, places = signature_values(facts)
    nodes = uint64s(facts, "node")
    order = np.argsort(nodes)
    return values, places[order[np.searchsorted(nodes[order], uint64s(facts, "twin"))]]


def _bands(values: Values, work: Work) -> Int64s:
    """int64 (num_signatures, bands): equal numbers for equal bands, -1 where no other signature has it."""
    minhash = work.config["minhash"]
    if minhash is None:
        return np.zeros((0, 0), np.int64)
    keys = band_keys(values, minhash["bands"], minhash["rows"])
    _, numbers, counts = np.unique(keys.ravel(), return_inverse=True, return_counts=True)
    shared = np.where(counts > 1, np.cumsum(counts > 1) - 1, -1)
    found: Int64s = shared[numbers].reshape(keys.shape)
    return found


def _jaccard(values: Values, places: Int64s, keepers: Int64s, same: npt.NDArray[np.bool_]) -> pa.Array:
    """Share of equal values in the signatures of each row and its keeper: 1.0 for `same`, else null without them."""
    shares = np.ones(len(places))
    theirs = places[keepers]
    rows = np.flatnonzero(~same & (places >= 0) & (theirs >= 0))
    for start in range(0, len(rows), _COMPARE_ROWS):
        block = rows[start : start + _COMPARE_ROWS]
        shares[block] = np.mean(values[places[block]] == values[theirs[block]], axis=1)
    return pa.array(shares, mask=~same & ((places < 0) | (theirs < 0)))


def _corpora(nodes: UInt64s, work: Work) -> pa.Array:
    """The older corpus that each node is in; null for this one."""
    names = pa.array([unit.corpus for unit in work.units], pa.string())
    return names.take(pa.array(nodes >> np.uint64(32)))


def _with_twins(facts: pa.Table, twins: pa.Table) -> pa.Table:
    """Append `twin`: the node whose signature a document has, its own or the first's with equal words.

    A signature that another document sends is left out.
    """
    nodes = uint64s(facts, "node")
    twin = nodes.copy()
    places = np.searchsorted(nodes, uint64s(twins, "node"))
    twin[places] = uint64s(twins, "component")
    if "signature" in facts.column_names:
        kept = pc.if_else(pa.array(twin == nodes), facts["signature"], pa.scalar(None, facts["signature"].type))
        facts = facts.set_column(facts.column_names.index("signature"), facts.schema.field("signature"), kept)
    return facts.append_column("twin", pa.array(twin))


def _facts_of(uri: str, nodes: UInt64s, names: list[str]) -> pa.Table:
    """Columns of the rows of a unit's signatures.parquet, only the row groups that hold some, one at a time."""
    rows = rows_of(nodes)
    with open_parquet(uri) as file:
        found = [file.schema_arrow.empty_table().select(names)]
        column = file.schema_arrow.get_field_index("row")
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            present = rows[(rows >= statistics.min) & (rows <= statistics.max)]
            if len(present):
                found.append(take_rows(file.read_row_group(group, columns=names), present))
    facts = pa.concat_tables(found)
    assert facts.num_rows == len(rows), f"{uri}: lacks rows that its runs name"
    return facts
