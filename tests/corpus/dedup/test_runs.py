from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.dedup import runs
from corpus.dedup.runs import nodes_of, partition_of, read_run, read_unit, rows_of, write_by_node, write_run

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


def test_each_partition_of_a_run_is_found_also_when_it_is_empty(tmp_path: Path) -> None:
    uri = str(tmp_path / "run.parquet")
    table = pa.table({"key": pa.array([3, 5, 9], pa.uint64())})
    entry = write_run(uri, table, np.array([1, 1, 4]), 6, "run.parquet")
    assert (entry.path, entry.rows) == ("run.parquet", 3)
    found = [read_run(uri, partition, 6)["key"].to_pylist() for partition in range(6)]
    assert found == [[], [3, 5], [], [], [9], []]


def test_a_run_of_nothing_has_all_its_partitions(tmp_path: Path) -> None:
    uri = str(tmp_path / "run.parquet")
    write_run(uri, pa.table({"key": pa.array([], pa.uint64())}), np.zeros(0, np.int64), 2, "run.parquet")
    assert [read_run(uri, partition, 2).num_rows for partition in range(2)] == [0, 0]


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
    write_by_node(uri, pa.table({"node": nodes}))
    found = {unit: rows_of(read_unit(uri, unit)["node"].to_numpy()).tolist() for unit in [0, 1, 2, 3, 4, (1 << 31) - 1]}
    assert found == {1: [], 4: [], **units}


def test_a_file_without_rows_has_no_rows_of_any_unit(tmp_path: Path) -> None:
    uri = str(tmp_path / "nodes.parquet")
    write_by_node(uri, pa.table({"node": pa.array([], pa.uint64())}))
    assert read_unit(uri, 0).num_rows == 0
