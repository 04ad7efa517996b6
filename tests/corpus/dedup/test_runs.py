from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.dedup import runs
from corpus.dedup.runs import nodes_of, partition_of, read_nodes, read_part, rows_of, write_by_node, write_cut

LAST_KEY = (1 << 64) - 1


def test_partitions_are_equal_ranges_of_keys() -> None:
    keys = np.array([0, (1 << 62) - 1, 1 << 62, 1 << 63, LAST_KEY], np.uint64)
    assert partition_of(keys, 4).tolist() == [0, 0, 1, 2, 3]
    assert partition_of(keys, 1).tolist() == [0] * 5
    assert partition_of(keys, 4096).tolist() == [0, 1023, 1024, 2048, 4095]


@given(st.lists(st.integers(0, LAST_KEY)), st.integers(1, 4096))
def test_partitions_rise_with_keys_and_stay_in_range(keys: list[int], num_partitions: int) -> None:
    found = partition_of(np.array(sorted(keys), np.uint64), num_partitions)
    assert (np.diff(found) >= 0).all()
    assert all(0 <= partition < num_partitions for partition in found.tolist())


def test_each_partition_is_found_also_when_it_is_empty_and_keeps_its_order(tmp_path: Path) -> None:
    uri = str(tmp_path / "run.parquet")
    keys = np.array([9, 1, 8, 2], np.uint64) << np.uint64(60)
    entry = write_cut(uri, pa.table({"key": keys, "row": [1, 2, 3, 4]}), keys, 4, "run.parquet")
    assert (entry.path, entry.rows) == ("run.parquet", 4)
    assert [read_part(uri, partition)["row"].to_pylist() for partition in range(4)] == [[2, 4], [], [1, 3], []]


def test_a_file_of_nothing_has_all_its_partitions(tmp_path: Path) -> None:
    uri = str(tmp_path / "run.parquet")
    write_cut(uri, pa.table({"key": pa.array([], pa.uint64())}), np.zeros(0, np.uint64), 2, "run.parquet")
    assert [read_part(uri, partition).num_rows for partition in range(2)] == [0, 0]


def test_nodes_hold_unit_and_row() -> None:
    rows = np.array([0, 7, (1 << 32) - 1], np.uint32)
    nodes = nodes_of(3, rows)
    assert nodes.tolist() == [3 << 32, (3 << 32) + 7, (4 << 32) - 1]
    assert rows_of(nodes).tolist() == rows.tolist()


@pytest.mark.parametrize("group_rows", [1, 2, 100])
def test_rows_of_a_unit_are_found_across_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_rows: int
) -> None:
    monkeypatch.setattr(runs, "NODE_GROUP_ROWS", group_rows)
    units = {0: [0, 5], 2: [1, 2, 3], 3: [0], (1 << 31) - 1: [(1 << 32) - 1]}
    nodes = np.concatenate([nodes_of(unit, np.array(rows, np.uint32)) for unit, rows in units.items()])
    uri = str(tmp_path / "nodes.parquet")
    write_by_node(uri, pa.table({"node": nodes}), "nodes.parquet")
    asked = [0, 1, 2, 3, 4, (1 << 31) - 1]
    found = {unit: rows_of(read_nodes(uri, unit << 32, (unit + 1) << 32)["node"].to_numpy()).tolist() for unit in asked}
    assert found == {1: [], 4: [], **units}


def test_a_file_without_rows_has_no_rows_of_any_unit(tmp_path: Path) -> None:
    uri = str(tmp_path / "nodes.parquet")
    write_by_node(uri, pa.table({"node": pa.array([], pa.uint64())}), "nodes.parquet")
    assert read_nodes(uri, 0, 1 << 32).num_rows == 0
