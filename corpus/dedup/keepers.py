"""One keeper for each component, and what each unit must know of its duplicates.

Facts of the members go from units to partitions of the components, decisions go from there back to units.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.dedup.runs import UInt64s, partition_of, read_run, read_unit, rows_of, uint64s, write_by_node, write_run
from corpus.dedup.signatures import signature_values, take_rows
from corpus.dedup.work import MEMBERS, Work
from manifests.schemas import DUPLICATES
from manifests.shards import join, open_parquet, write_table

DECIDED = DUPLICATES.append(pa.field("node", pa.uint64(), nullable=False))

# Sort keys that put the keeper first; nulls come last, as sort_indices does by itself. doc_id settles equal ones.
POLICIES = {
    "longest": ("num_bytes", "descending"),
    "best_quality": ("quality", "descending"),
    "earliest": ("date", "ascending"),
}
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: components of neighbouring nodes go far apart
_COMPARE_ROWS = 4096


def send_facts(item: dict[str, Any]) -> dict[str, Any]:
    """Write a unit's members of components, with facts and signatures, as a run by component.

    item: `out`, `ordinal` of the unit. Returns {}.
    """
    work = Work.open(item["out"])
    members = read_unit(work.file(MEMBERS), item["ordinal"])
    facts = _facts_of(work.unit_file(item["ordinal"], "signatures.parquet"), uint64s(members, "node"))
    facts = facts.append_column("node", members["node"]).append_column("component", members["component"])
    spread = uint64s(facts, "component") * _SPREAD
    order = np.argsort(spread, kind="stable")
    uri = work.file(_facts_file(work.unit_ids[item["ordinal"]]))
    partitions = partition_of(spread[order], work.partitions)
    write_run(uri, facts.take(pa.array(order)), partitions, work.partitions, uri)
    return {}


def decide(item: dict[str, Any]) -> dict[str, Any]:
    """Pick the keepers of one partition of the components and write what becomes of each member.

    item: `out`, `partition`. Returns {}.
    """
    work = Work.open(item["out"])
    runs = [read_run(work.file(_facts_file(unit)), item["partition"], work.partitions) for unit in work.unit_ids]
    decided = decisions(pa.concat_tables(runs), work.keep)
    write_by_node(work.file(_decided_file(item["partition"])), decided.sort_by("node"))
    return {}


def write_unit(item: dict[str, Any]) -> dict[str, Any]:
    """Write a unit's duplicates table. item: `out`, `ordinal`. Returns the fields of its FileEntry."""
    work = Work.open(item["out"])
    partitions = range(work.partitions)
    tables = [read_unit(work.file(_decided_file(partition)), item["ordinal"]) for partition in partitions]
    table = pa.concat_tables(tables).sort_by("node").select(DUPLICATES.names)
    path = f"duplicates/{work.unit_ids[item['ordinal']]}.parquet"
    return asdict(write_table(join(work.out, path), table.cast(DUPLICATES), path))


def decisions(facts: pa.Table, keep: str) -> pa.Table:
    """DECIDED rows, one for each row of facts, grouped by component.

    facts: FACTS (and `signature` with MinHash), `node`, `component`; whole components only.
    """
    policy, direction = POLICIES[keep]
    order = [("component", "ascending"), (policy, direction), ("doc_id", "ascending"), ("node", "ascending")]
    facts = facts.take(pc.sort_indices(facts, sort_keys=order)).combine_chunks()
    components = uint64s(facts, "component")
    firsts = np.flatnonzero(np.diff(components, prepend=~components[:1]) != 0)
    sizes = np.diff(firsts, append=len(components))
    keepers = np.repeat(firsts, sizes)
    same_text = _equals_keeper(uint64s(facts, "exact_hi"), keepers) & _equals_keeper(
        uint64s(facts, "exact_lo"), keepers
    )
    is_keeper = keepers == np.arange(len(keepers))
    columns = {
        "doc_id": facts["doc_id"],
        "kept_doc_id": facts["doc_id"].take(pa.array(keepers)),
        "kind": pa.array(np.where(is_keeper, "keeper", np.where(same_text, "exact", "near")), pa.string()),
        "jaccard": pa.array(np.where(same_text, 1.0, _jaccard(facts, keepers))),
        "component_size": pa.array(np.repeat(sizes, sizes), pa.int64()),
        "node": facts["node"],
    }
    return pa.table(columns, schema=DECIDED)


def _equals_keeper(values: UInt64s, keepers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    equal: npt.NDArray[np.bool_] = values == values[keepers]
    return equal


def _jaccard(facts: pa.Table, keepers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Share of equal positions in the signatures of each row and its keeper; 1.0 without signatures (equal texts)."""
    shares = np.ones(len(keepers))
    if "signature" not in facts.column_names:
        return shares
    values = signature_values(facts)
    for start in range(0, len(keepers), _COMPARE_ROWS):
        block = slice(start, start + _COMPARE_ROWS)
        shares[block] = np.count_nonzero(values[block] == values[keepers[block]], axis=1) / values.shape[1]
    return shares


def _facts_of(uri: str, nodes: UInt64s) -> pa.Table:
    """Rows of a unit's signatures.parquet, only the row groups that hold some, one at a time."""
    rows = rows_of(nodes)
    with open_parquet(uri) as file:
        found = [file.schema_arrow.empty_table()]
        column = file.schema_arrow.get_field_index("row")
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            present = rows[(rows >= statistics.min) & (rows <= statistics.max)]
            if len(present):
                found.append(take_rows(file.read_row_group(group), present))
    facts = pa.concat_tables(found)
    assert facts.num_rows == len(rows), f"{uri}: lacks rows that its runs name"
    return facts


def _facts_file(unit_id: str) -> str:
    return f"facts-{unit_id}.parquet"


def _decided_file(partition: int) -> str:
    return f"decided-{partition:05}.parquet"
