import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup import nodes
from corpus.dedup.nodes import (
    BYTES_PER_NODE,
    MEMBER_ROWS,
    distinct_nodes,
    merge_members,
    pair_blocks,
    write_members,
)
from manifests.shards import read_table, write_table
from tests.corpus.dedup.memory import peak_bytes

LAST_NODE = (1 << 64) - 1


def members(found: list[int]) -> pa.Table:
    return pa.table([np.array(found, np.uint64), np.array(found, np.uint64) // np.uint64(2)], schema=MEMBER_ROWS)


def test_distinct_nodes_are_sorted_and_keep_all_their_bits() -> None:
    pieces = [np.array([7, LAST_NODE, 7], np.uint64), np.array([3, 7], np.uint64)]
    assert distinct_nodes(pieces).tolist() == [3, 7, LAST_NODE]


def test_no_pieces_have_no_nodes() -> None:
    assert distinct_nodes([]).tolist() == []
    assert distinct_nodes([]).dtype == np.uint64


@given(st.lists(st.lists(st.integers(0, 40)), max_size=12), st.integers(0, 5))
def test_nodes_that_come_in_pieces_are_those_of_the_whole(pieces: list[list[int]], waiting: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "MIN_WAITING_NODES", waiting)
        found = distinct_nodes(np.array(piece, np.uint64) for piece in pieces)
    assert found.tolist() == sorted({node for piece in pieces for node in piece})


def test_looking_for_nodes_stops_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MIN_WAITING_NODES", 9)
    pieces = iter(np.arange(40, dtype=np.uint64).reshape(4, 10))
    assert distinct_nodes(pieces, 15).tolist() == list(range(20))
    assert next(pieces).tolist() == list(range(20, 30))
    assert distinct_nodes(iter(np.arange(40, dtype=np.uint64).reshape(4, 10)), 40).tolist() == list(range(40))


def test_distinct_nodes_take_16_bytes_each() -> None:
    num_nodes = 2_000_000
    # Each node comes three times, in pieces that overlap in another way each time.
    mixed = [np.random.default_rng(seed).permutation(num_nodes).astype(np.uint64) for seed in range(3)]
    pieces = [piece for order in mixed for piece in np.array_split(order, 100)]
    peak = peak_bytes(lambda: distinct_nodes(pieces))
    assert peak <= BYTES_PER_NODE * num_nodes + (1 << 21)
    assert peak > 8 * num_nodes  # numpy's arrays are counted


def test_pairs_of_a_node_with_itself_are_left_out(tmp_path: Path) -> None:
    uri = str(tmp_path / "pairs.parquet")
    write_table(uri, pa.table({"first": pa.array([1, 5, 2], pa.uint64()), "node": pa.array([2, 5, 3], pa.uint64())}))
    assert [(firsts.tolist(), others.tolist()) for firsts, others in pair_blocks([uri, uri])] == [([1, 2], [2, 3])] * 2


@pytest.mark.parametrize("cuts", [[], [1], [5, 5, 8], list(range(11))])
def test_members_are_the_same_bytes_however_they_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: list[int]
) -> None:
    monkeypatch.setattr(nodes, "NODE_GROUP_ROWS", 4)
    whole = members(list(range(10)))
    bounds = [0, *cuts, 10]
    tables = [whole.slice(first, last - first) for first, last in pairwise(bounds)]
    assert write_members(str(tmp_path / "cut"), tables, "x") == write_members(str(tmp_path / "whole"), [whole], "x")
    metadata = pq.read_metadata(tmp_path / "cut")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [4, 4, 2]


def test_no_members_are_a_file_without_rows(tmp_path: Path) -> None:
    write_members(str(tmp_path / "none"), [], "none")
    assert read_table(str(tmp_path / "none")) == MEMBER_ROWS.empty_table()


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 5))
def test_members_in_several_files_are_merged_by_node(owners: list[int], group_rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(nodes, "NODE_GROUP_ROWS", group_rows)
        uris = [f"{folder}/{number}" for number in range(4)]
        for number, uri in enumerate(uris):
            write_members(uri, [members([node for node, owner in enumerate(owners) if owner == number])], uri)
        tables = list(merge_members(uris))
    merged = pa.concat_tables([MEMBER_ROWS.empty_table(), *tables])
    assert merged.equals(members(list(range(len(owners)))))
    assert all(table.num_rows <= 4 * group_rows for table in tables)
