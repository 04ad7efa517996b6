import pytest

from corpus import commits
from manifests import shards
from manifests.errors import IntegrityError


@pytest.fixture
def made(tmp_path):
    root = str(tmp_path)
    entry = shards.write_bytes(f"{root}/work/data.bin", b"data", "work/data.bin")
    commits.write_commit(f"{root}/work/commit.json", "abc", [entry], note=1)
    return root


def test_a_committed_piece_of_work_is_found_by_its_digest(made):
    record = commits.committed(made, f"{made}/work/commit.json", "abc")
    assert (record["note"], commits.entries(record)[0].path) == (1, "work/data.bin")
    assert commits.committed(made, f"{made}/work/commit.json", "other") is None


def test_a_lost_or_short_file_makes_the_record_worthless(made, tmp_path):
    (tmp_path / "work" / "data.bin").write_bytes(b"dat")
    assert commits.committed(made, f"{made}/work/commit.json", "abc") is None
    (tmp_path / "work" / "data.bin").unlink()
    assert commits.committed(made, f"{made}/work/commit.json", "abc") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_broken_record_is_no_record(made, tmp_path, content):
    (tmp_path / "work" / "commit.json").write_bytes(content)
    assert commits.read_commit(f"{made}/work/commit.json") is None


def test_changed_and_missing_files_are_named(made, tmp_path):
    entry = commits.entries(commits.read_commit(f"{made}/work/commit.json"))[0]
    commits.check_entry(made, entry)
    (tmp_path / "work" / "data.bin").write_bytes(b"dat4")
    with pytest.raises(IntegrityError, match=r"work/data.bin: SHA-256 is [0-9a-f]{16}…, recorded is [0-9a-f]{16}…"):
        commits.check_entry(made, entry)
    (tmp_path / "work" / "data.bin").unlink()
    with pytest.raises(IntegrityError, match=r"work/data.bin: is missing"):
        commits.check_entry(made, entry)
