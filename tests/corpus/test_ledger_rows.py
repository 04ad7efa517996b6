"""Ledgers are read a bounded number of rows at a time, and rows keep their places."""

import polars as pl
import pyarrow as pa
import pytest

from corpus import ledger_rows
from corpus.ledger_rows import Tally, batches, columns_of, host_of, take_rows, top_level_domain_of
from manifests import shards


def write(path, values):
    """One row group for each list in values."""
    with shards.TableWriter(
        str(path), pa.schema([("x", pa.int64()), ("y", pa.string())]), cut_each_write=True
    ) as writer:
        for group in values:
            writer.write(pa.table({"x": group, "y": [str(value) for value in group]}, schema=writer.schema))
    return str(path)


def test_batches_name_the_file_and_row_of_each_row(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_rows, "BATCH_ROWS", 3)
    paths = [write(tmp_path / "a", [[10, 11], [12, 13]]), write(tmp_path / "b", []), write(tmp_path / "c", [[14]])]
    frames = list(batches(paths, ["x"]))
    assert [frame.rows() for frame in frames] == [[(10, 0, 0), (11, 0, 1), (12, 0, 2), (13, 0, 3)], [(14, 2, 0)]]


def test_rows_are_taken_across_row_groups_in_ascending_order(tmp_path):
    path = write(tmp_path / "a", [[10, 11], [12], [13, 14]])
    assert take_rows(path, [4, 0, 2, 2], ["y"]).to_pydict() == {"y": ["10", "12", "14"]}
    assert take_rows(path, [], ["x"]).to_pydict() == {"x": []}


def test_columns_are_those_of_the_first_file(tmp_path):
    assert columns_of([write(tmp_path / "a", [[1]])]) == ["x", "y"]
    assert columns_of([]) == []


@pytest.mark.parametrize(
    ("url", "host", "domain"),
    [
        ("https://User:pw@WWW.Example.CO.UK.:8080/a@b", "www.example.co.uk", "uk"),
        ("http://10.0.0.1/x", "10.0.0.1", "(address)"),
        ("http://[::1]:80/", "[::1]", "(address)"),
        ("https://bücher.example?q", "bücher.example", "example"),
        ("javascript:alert(1)", None, "(none)"),
        ("http:///path", None, "(none)"),
        (None, None, "(none)"),
    ],
)
def test_hosts_and_top_level_domains_of_urls(url, host, domain):
    frame = pl.DataFrame({"url": [url]}, schema={"url": pl.String})
    assert frame.select(host_of(pl.col("url")), tld=top_level_domain_of(pl.col("url"))).rows() == [(host, domain)]


def test_a_tally_sums_by_key_over_batches():
    tally = Tally(["k"], ["n"])
    for _ in range(40):
        tally.add(pl.DataFrame({"k": ["b", "a", "b", None], "n": [1, 1, 1, 1]}))
    assert tally.table().rows() == [(None, 40), ("a", 40), ("b", 80)]
    assert Tally(["k"], ["n"]).table().is_empty()


def test_a_tally_with_a_limit_forgets_the_rarest_keys():
    tally = Tally(["k"], ["n"], max_rows=4)
    for batch in range(16):
        tally.add(pl.DataFrame({"k": ["often", "often", f"once {batch:02}"], "n": [1, 1, 1]}))
    assert tally.table().rows() == [("often", 32), ("once 00", 1)]
