"""What a build says besides its progress."""

import io
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from cluster import run
from cluster.run import build_corpus, progress, tell_compiling
from filters.kernels.cache import kernel_folder


def test_compiling_is_told_where_it_took_long(capsys):
    tell_compiling(0.4)
    tell_compiling(37.6)
    line = f"compiled kernels for this machine in 38 s, once: they are kept in {kernel_folder()}\n"
    assert capsys.readouterr().err == line


def test_without_a_folder_nothing_is_said_to_be_kept(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "file"))
    tell_compiling(37.6)
    assert capsys.readouterr().err == "compiled kernels for this machine in 38 s\n"


@pytest.mark.parametrize(("num_kernels", "said"), [(0, True), (12, False)])
def test_a_build_that_finds_no_kernels_says_so_first(capsys, monkeypatch, sample_recipe, num_kernels, said):
    monkeypatch.setattr("cluster.run.kept_kernels", lambda: (num_kernels, 0))
    monkeypatch.setattr("cluster.run.build_from", lambda *recipe_out_runner_watch: print("built", file=sys.stderr))
    build_corpus(str(sample_recipe), "corpus", "local", None, None, [])
    before = capsys.readouterr().err.split("built\n")[0]
    assert before == ("no compiled kernels yet: compiling them takes up to a minute\n" if said else "")


class Clock:
    """A clock that tests set."""

    now = 100.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(run.time, "monotonic", lambda: clock.now)
    return clock


def events(clock, watch, num_reused=0, stage="encode", sizes=(10, 30, 40, 20)):
    """Send the events of units of these bytes, each byte 5 seconds of work; those of an earlier run take none."""
    for number, size in enumerate(sizes, start=1):
        reused = number <= num_reused
        clock.now += 0.0 if reused else 5 * (size or 1)
        yield watch(stage, number, len(sizes), (sum(sizes[:number]), sum(sizes)), {"reused": reused})


def test_the_time_left_is_told_by_bytes_from_the_end_of_the_first_unit_on(clock, capsys):
    with progress() as watch:
        assert capsys.readouterr().err == ""
        list(events(clock, watch))
    lines = capsys.readouterr().err.splitlines()
    # 10 of 100 bytes in 50 seconds; by units it would have been 150 seconds.
    assert lines[0].startswith("encode, write the ledger: 1/4, ")
    assert [line.partition("about ")[2] for line in lines] == ["0:07:30 left", "0:05:00 left", "0:01:40 left", ""]


def test_what_an_earlier_run_left_says_nothing_about_the_time_left(clock, capsys):
    with progress() as watch:
        list(events(clock, watch, num_reused=2))
    # The first two took no time and print nothing; 40 bytes in 200 seconds leave 100 for the last 20.
    assert [line.partition("about ")[2] for line in capsys.readouterr().err.splitlines()] == ["0:01:40 left", ""]


def test_items_without_bytes_are_counted(clock, capsys):
    with progress() as watch:
        list(events(clock, watch, stage="pack", sizes=(0, 0)))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["shuffle and pack: 1/2, about 0:00:05 left", "shuffle and pack: 2/2"]


@pytest.mark.parametrize("stage", ["dedup", "lines", "tokenizer"])
def test_damage_of_a_stage_without_items_is_told_in_words(capsys, stage):
    with progress() as watch:
        watch(stage, 1, 1, (0, 0), {"damaged": ["duplicates/u.parquet: missing"]})
    damage, line = capsys.readouterr().err.splitlines()
    assert damage == "duplicates/u.parquet: missing; made again"
    assert line.startswith("check earlier ")


def test_a_bar_counts_down_from_the_first_unit_on(clock):
    column = run.TimeLeft()
    bars = Progress(column, console=Console(file=io.StringIO()), auto_refresh=False)
    seen = []
    for _ in events(clock, run.bars_watch(bars), num_reused=1):
        seen += [column.render(bars.tasks[0]).plain]
        clock.now += 7
        seen += [column.render(bars.tasks[0]).plain]
        clock.now -= 7
    assert seen == ["", "", "0:05:00 left", "0:04:53 left", "0:01:40 left", "0:01:33 left", "", ""]
