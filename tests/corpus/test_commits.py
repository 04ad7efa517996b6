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
    record, damaged = commits.find_committed(made, f"{made}/work/commit.json", "abc")
    assert (record["note"], commits.entries(record)[0].path, damaged) == (1, "work/data.bin", [])
    assert commits.find_committed(made, f"{made}/work/commit.json", "other") == (None, [])
    assert commits.find_committed(made, f"{made}/work/none.json", "abc") == (None, [])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"dat", "damaged (3 bytes, 4 were written)"),
        (b"dat4", "damaged (SHA-256 differs)"),
        (None, "missing"),
    ],
)
def test_a_lost_short_or_changed_file_makes_the_record_worthless_and_is_named(made, tmp_path, data, problem):
    (tmp_path / "work" / "data.bin").unlink()
    if data is not None:
        (tmp_path / "work" / "data.bin").write_bytes(data)
    found = commits.find_committed(made, f"{made}/work/commit.json", "abc")
    assert found == (None, [f"work/data.bin: {problem}"])
    assert commits.find_committed(made, f"{made}/work/commit.json", "other") == (None, [])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_broken_record_is_no_record_and_is_named(made, tmp_path, content):
    (tmp_path / "work" / "commit.json").write_bytes(content)
    assert commits.read_commit(f"{made}/work/commit.json") is None
    found = commits.find_committed(made, f"{made}/work/commit.json", "abc")
    assert found == (None, ["work/commit.json: damaged (no whole record)"])


def test_a_record_with_any_bit_flipped_is_no_record(made, tmp_path):
    path = tmp_path / "work" / "commit.json"
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        assert commits.read_commit(f"{made}/work/commit.json") is None, data
    path.write_bytes(whole)
    assert commits.read_commit(f"{made}/work/commit.json")["note"] == 1


def test_changed_and_missing_files_are_named(made, tmp_path):
    entry = commits.entries(commits.read_commit(f"{made}/work/commit.json"))[0]
    commits.check_entry(made, entry)
    (tmp_path / "work" / "data.bin").write_bytes(b"dat4")
    with pytest.raises(IntegrityError, match=r"work/data.bin: SHA-256 is [0-9a-f]{16}…, recorded is [0-9a-f]{16}…"):
        commits.check_entry(made, entry)
    (tmp_path / "work" / "data.bin").unlink()
    with pytest.raises(IntegrityError, match=r"work/data.bin: is missing"):
        commits.check_entry(made, entry)
