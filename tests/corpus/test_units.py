import os
from pathlib import Path

import fsspec
import pytest

from corpus.recipe import Source
from corpus.units import plan_units, unit_of
from manifests.digest import unit_id
from manifests.errors import InputError


def _source(*paths: str | Path) -> Source:
    return Source(name="crawl", format="text", paths=[str(path) for path in paths])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "c.md", "deep/d.txt", "deep/er/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("*.txt", ["a.txt", "b.txt"]),
        ("**/*.txt", ["a.txt", "b.txt", "deep/d.txt", "deep/er/a.txt"]),
        ("d*/**/*.txt", ["deep/d.txt", "deep/er/a.txt"]),
        ("deep/*", ["d.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("?.md", ["c.md"]),
        ("deep/d.txt", ["d.txt"]),
    ],
)
def test_names_are_below_the_part_before_the_first_wildcard(folder: Path, pattern: str, files: list[str]) -> None:
    assert [unit.file for unit in plan_units(_source(folder / pattern))] == files


def test_a_unit_has_id_size_mark_and_address(folder: Path) -> None:
    (unit,) = plan_units(_source(folder / "a.txt"))
    assert unit.unit_id == unit_id("crawl", "a.txt")
    assert (unit.source, unit.num_bytes, unit.uri) == ("crawl", 5, str(folder / "a.txt"))
    os.utime(folder / "a.txt", (1, 1))
    assert plan_units(_source(folder / "a.txt"))[0].mark != unit.mark


def test_names_do_not_depend_on_where_the_folder_lies(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "place"
    folder.rename(other)
    units = plan_units(_source(f"{other}/*.txt"))
    assert [unit.unit_id for unit in units] == [unit_id("crawl", "a.txt"), unit_id("crawl", "b.txt")]


def test_a_file_named_by_two_paths_is_one_unit(folder: Path) -> None:
    units = plan_units(_source(folder / "*.txt", folder / "a.txt", f"file://{folder}/b.txt"))
    assert [unit.file for unit in units] == ["a.txt", "b.txt"]


def test_files_of_several_paths_are_sorted_together(folder: Path) -> None:
    assert [unit.file for unit in plan_units(_source(folder / "c.md", folder / "a.txt"))] == ["a.txt", "c.md"]


def test_object_stores_are_listed_by_their_address() -> None:
    fsspec.filesystem("memory").pipe({"/units-test/x/1.txt": b"1", "/units-test/y/2.txt": b"22"})
    units = plan_units(_source("memory://units-test/*/*.txt"))
    assert [(unit.file, unit.num_bytes) for unit in units] == [("x/1.txt", 1), ("y/2.txt", 2)]
    assert [unit_of(_source("memory://units-test/*/*.txt"), unit.uri) for unit in units] == units


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.txt", "none.txt': not found"),
        ("*.xml", r"\*\.xml': no file matches"),
        ("deep", r"deep': is a folder. Name its files, for example '.*deep/\*'"),
        ("deep/e*", "no file matches"),
    ],
)
def test_paths_without_files_are_errors_that_name_them(folder: Path, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_units(_source(folder / "a.txt", folder / path))


def test_an_unknown_file_system_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match="nowhere://a/b"):
        plan_units(_source("nowhere://a/b"))


def test_two_files_with_one_name_are_an_error_that_names_both(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt and .*deep/er/a\.txt both have the name 'a\.txt'"):
        plan_units(_source(folder / "*.txt", folder / "deep/er/*.txt"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_an_error(folder: Path) -> None:
    (folder / "a.txt").chmod(0)
    with pytest.raises(InputError, match=r"a\.txt cannot be read"):
        plan_units(_source(folder / "*.txt"))
