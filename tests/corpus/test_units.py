import os
from pathlib import Path

import fsspec
import pytest

from corpus.recipe import Source
from corpus.units import plan_units, unit_of
from manifests.digest import unit_id
from manifests.errors import InputError
from manifests.shards import version_mark


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


def test_links_to_files_and_folders_are_followed(folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder / "a.txt")
    (folder / "zlink").symlink_to(folder / "deep")
    assert [unit.file for unit in plan_units(_source(folder / "*.txt"))] == ["a.txt", "b.txt", "link.txt"]
    assert [unit.file for unit in plan_units(_source(folder / "*/*.txt"))] == ["deep/d.txt", "zlink/d.txt"]
    below = ["deep/d.txt", "deep/er/a.txt", "zlink/d.txt", "zlink/er/a.txt"]
    assert [unit.file for unit in plan_units(_source(folder / "**/*.txt"))] == [
        "a.txt",
        "b.txt",
        *below[:2],
        "link.txt",
        *below[2:],
    ]
    assert [unit.file for unit in plan_units(_source(folder / "zlink/**"))] == ["d.txt", "er/a.txt"]


def test_a_link_has_the_size_and_the_mark_of_what_it_leads_to(folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder / "a.txt")
    target, _, link = plan_units(_source(folder / "*.txt"))
    assert (link.num_bytes, link.mark) == (5, target.mark)
    os.utime(folder / "a.txt", (1, 1))
    assert plan_units(_source(folder / "*.txt"))[2].mark != link.mark


def test_a_link_to_a_folder_around_itself_is_not_entered(folder: Path) -> None:
    (folder / "deep" / "up").symlink_to(folder)
    assert [unit.file for unit in plan_units(_source(folder / "**/d.txt"))] == ["deep/d.txt"]


@pytest.mark.parametrize("pattern", ["*.txt", "**/*.txt", "deep/*/a.txt", "gone.txt"])
def test_a_link_to_nothing_is_an_error_that_names_it(folder: Path, pattern: str) -> None:
    for name in ("gone.txt", "deep/gone"):
        (folder / name).symlink_to(folder / "nowhere")
    with pytest.raises(InputError, match=r"gone.*: not found. Mend or remove the link"):
        plan_units(_source(folder / pattern))


@pytest.mark.parametrize("name", ["x[1].txt", "a::b.txt", "what?.txt", "*.txt"])
def test_a_file_is_named_by_its_characters_before_they_are_wildcards(folder: Path, name: str) -> None:
    (folder / "d[1]").mkdir()
    (folder / "d[1]" / name).write_text("here")
    (folder / "d[1]" / "x1.txt").write_text("not this one")
    source = _source(folder / "d[1]" / name)
    (unit,) = plan_units(source)
    assert (unit.file, unit.uri, unit.num_bytes) == (name, str(folder / "d[1]" / name), 4)
    assert unit_of(source, unit.uri) == unit


def test_a_wildcard_in_a_folders_name_is_put_in_brackets(folder: Path) -> None:
    (folder / "d[1]").mkdir()
    (folder / "d[1]" / "x.txt").write_text("x")
    assert [unit.file for unit in plan_units(_source(folder / "d[[]1]" / "*.txt"))] == ["d[1]/x.txt"]


def test_a_name_that_is_not_utf8_is_an_error_that_says_to_rename(folder: Path) -> None:
    name = os.fsencode(folder) + b"/\xff.txt"
    try:
        with open(name, "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(InputError, match=r"\\udcff\.txt' is not UTF-8\. Rename the file"):
        plan_units(_source(folder / "*.txt"))


def test_what_is_no_regular_file_is_left_out_of_globs_and_an_error_by_name(folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    assert [unit.file for unit in plan_units(_source(folder / "*.txt"))] == ["a.txt", "b.txt"]
    with pytest.raises(InputError, match=r"pipe\.txt is no regular file"):
        plan_units(_source(folder / "pipe.txt"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_without_permission_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "deep").chmod(0)
    try:
        with pytest.raises(InputError, match="deep.*: permission denied"):
            plan_units(_source(folder / "**/*.txt"))
    finally:
        (folder / "deep").chmod(0o755)
    assert len(plan_units(_source(folder / "*.txt"))) == 2


def test_a_file_system_without_marks_gives_an_empty_one() -> None:
    assert version_mark({"size": 5, "type": "file"}) == ""
    assert version_mark({"mtime": 7, "ETag": '"a"'}) == '"a"'
