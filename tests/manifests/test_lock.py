"""One writer at a time in an output folder, and nothing in the way after a writer was killed."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time

import fsspec
import pyarrow.fs
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper

from manifests import shards
from manifests.errors import StorageError
from manifests.lock import locked
from tests.shared import ROOT

HELD = r"another process writes to this folder \(host \S+, process {}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)\. "


class Hdfs(ArrowFSWrapper):
    """The local disk behind the class that HDFS has, which knows no exclusive writes."""

    protocol = "lockhdfs"

    def __init__(self, **kwargs):
        super().__init__(pyarrow.fs.LocalFileSystem(), **kwargs)


fsspec.register_implementation("lockhdfs", Hdfs, clobber=True)


@pytest.fixture(params=["local", "memory", "hdfs"])
def out(request, tmp_path):
    """A folder on a disk, in an object store, and in a store without exclusive writes."""
    folder = {"local": f"{tmp_path}/a/out", "memory": f"memory://{tmp_path}/out", "hdfs": f"lockhdfs://{tmp_path}"}
    return folder[request.param]


def test_a_second_writer_is_refused_and_told_who_the_first_is(out):
    with locked(out), pytest.raises(StorageError, match=f"^{out}: {HELD.format(os.getpid())}"), locked(out):
        pass
    with locked(out):  # the refused one took nothing away, and the first has gone
        assert shards.exists(f"{out}/.lock")
    assert not shards.exists(f"{out}/.lock")


def test_the_lock_goes_when_the_work_fails(out):
    with pytest.raises(RuntimeError, match="stop"), locked(out):
        raise RuntimeError("stop")
    with locked(out):
        pass


def test_folders_beside_each_other_are_locked_alone(tmp_path):
    with locked(str(tmp_path / "a")), locked(str(tmp_path / "b")):
        pass


def test_a_folder_that_is_removed_meanwhile_is_no_error(tmp_path):
    with locked(str(tmp_path / "out")):
        (tmp_path / "out" / ".lock").unlink()
        with locked(str(tmp_path / "out")):
            pass
    assert os.listdir(tmp_path / "out") == []


def test_the_lock_object_of_a_killed_writer_is_told_of_with_the_remedy(tmp_path):
    out = f"memory://{tmp_path}/stale"
    text = b"host far, process 7, since 2026-01-02 03:04:05 UTC, 0123"
    shards.write_bytes(f"{out}/.lock", text)
    remedy = f"If it was killed, remove {out}/.lock and run this again"
    with pytest.raises(StorageError, match=rf"\(host far, process 7, since 2026-01-02 03:04:05 UTC\)\..*{remedy}"):
        locked(out).__enter__()
    assert shards.read_bytes(f"{out}/.lock") == text
    shards.remove(f"{out}/.lock")
    with locked(out):
        pass


def test_a_disk_without_flock_is_locked_as_an_object_store_is(tmp_path, monkeypatch):
    def unknown(file, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    out = str(tmp_path / "out")
    with (
        locked(out),
        pytest.raises(StorageError, match=HELD.format(os.getpid()) + f".*remove {out}/.lock"),
        locked(out),
    ):
        pass
    assert os.listdir(out) == []


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(StorageError, match=r"^/proc/nowhere/\.lock: cannot be written"), locked("/proc/nowhere"):
        pass


RECIPE = """
name = "tiny"
[[source]]
name = "lines"
format = "text"
paths = ["*.txt"]
[tokenize]
tokenizer = "train:300"
[pack]
length = 16
"""


def command(folder):
    call = [sys.executable, "-m", "cluster.cli", "build", f"{folder}/recipe.toml"]
    return [*call, "--out", f"{folder}/out", "--runner", "local"]


def wait_for(path, process):
    """Until the process has made the file; a process that has ended never will."""
    while not path.exists():
        assert process.poll() is None, "the build ended without a lock"
        time.sleep(0.01)


def test_a_second_build_is_refused_and_goes_on_where_a_killed_one_left_off(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "page.txt").write_text("A quiet harbour town wakes early. Boats leave before the sun is up.")
    lock = tmp_path / "out" / ".lock"
    with subprocess.Popen(command(tmp_path), cwd=ROOT, stderr=subprocess.DEVNULL) as first:
        try:
            wait_for(lock, first)
            first.send_signal(signal.SIGSTOP)  # it must still be at work when the second has started
            second = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False)
        finally:
            first.kill()
    assert (second.returncode, second.stdout) == (1, "")
    (line,) = [line for line in second.stderr.splitlines() if "kernels" not in line]
    assert line.startswith(f"gristmill: {tmp_path}/out: another process writes to this folder (host ")
    assert f", process {first.pid}, since " in line
    assert lock.exists()  # kill -9 leaves the file, but not the lock
    third = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False)
    assert third.returncode == 0, third.stderr
    assert (tmp_path / "out" / "manifest.json").exists()
    assert not lock.exists()
    verify = [sys.executable, "-m", "cluster.cli", "verify", f"{tmp_path}/out"]
    lock.touch()
    assert subprocess.run(verify, cwd=ROOT, capture_output=True, check=False).returncode == 0
