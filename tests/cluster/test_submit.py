import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import types
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from cluster import submit
from cluster.submit import submit_build
from manifests.errors import JobFailed, RecipeError
from manifests.manifest import read_manifest

TOKEN = "0123456789abcdef0123456789abcdef"
WAIT_SECONDS = 60.0


class FakeClient:
    """A Jobs API that takes any job and ends it as told."""

    def __init__(self, status="SUCCEEDED", code=0, message="", log=("one\n", "two\n")):
        self.status, self.code, self.message, self.log = status, code, message, log
        self.submitted = []

    def submit_job(self, entrypoint, runtime_env):
        recipe = Path(runtime_env["working_dir"], "recipe.toml").read_text("utf-8")
        self.submitted.append((entrypoint, recipe))
        return "job-1"

    async def tail_job_logs(self, job):
        for line in self.log:
            if isinstance(line, BaseException):
                raise line
            await asyncio.sleep(0)
            yield line

    def get_job_status(self, job):
        return types.SimpleNamespace(value=self.status)

    def get_job_info(self, job):
        return types.SimpleNamespace(driver_exit_code=self.code, message=self.message)


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "recipe.toml").write_text(
        'name = "a"\n[[source]]\nname = "s"\nformat = "text"\npaths = ["*.txt"]\n[tokenize]\ntokenizer = "train:300"\n'
    )
    return tmp_path / "recipe.toml"


def submitted(monkeypatch, recipe, client, follow=True):
    monkeypatch.setattr(submit, "_client", lambda address: client)
    return submit_build(str(recipe), str(recipe.parent / "out put"), "http://head:8265", follow=follow, overrides=[])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_the_job_gets_the_resolved_recipe_with_absolute_paths(monkeypatch, recipe, capsys):
    client = FakeClient()
    assert submitted(monkeypatch, recipe, client) == 0
    ((entrypoint, text),) = client.submitted
    assert entrypoint == (f"python -m cluster.cli build recipe.toml --out '{recipe.parent}/out put' --address auto")
    assert f'"{recipe.parent}/*.txt"' in text
    assert capsys.readouterr() == (
        "one\ntwo\n",
        "job-1: submitted to http://head:8265\njob-1: succeeded\n",
    )


@pytest.mark.parametrize(
    ("client", "code", "last_line"),
    [
        (FakeClient("FAILED", 1), 1, "job-1: failed, exit code 1"),
        (FakeClient("FAILED", 137), 137, "job-1: failed, exit code 137"),
        (FakeClient("FAILED", None, "runtime env\nsetup failed"), 1, "job-1: failed, runtime env setup failed"),
        (FakeClient("STOPPED", None, "stopped by user"), 1, "job-1: stopped, stopped by user"),
    ],
)
def test_the_end_of_the_job_is_the_exit_code(monkeypatch, recipe, capsys, client, code, last_line):
    assert submitted(monkeypatch, recipe, client) == code
    assert capsys.readouterr().err.splitlines()[-1].startswith(last_line)


def test_of_the_log_only_what_the_build_says_is_shown(monkeypatch, recipe, capsys):
    env = "2026-11-21 11:50:52,035\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
    started = "Running entrypoint for job job-1: python -m cluster.cli build recipe.toml\n"
    failed = "2026-11-21 11:50:52,035\tERROR job_manager.py:600 -- no such package\n"
    submitted(monkeypatch, recipe, FakeClient(log=[env, f"{started}one\ntwo: Running entrypoint\n", failed]))
    assert capsys.readouterr().out == f"one\ntwo: Running entrypoint\n{failed}"


def test_a_job_that_is_not_followed_is_left_alone(monkeypatch, recipe, capsys):
    assert submitted(monkeypatch, recipe, FakeClient("FAILED", 1), follow=False) == 0
    assert capsys.readouterr() == ("", "job-1: submitted to http://head:8265\n")


def test_who_stops_following_hears_that_the_job_goes_on(monkeypatch, recipe):
    with pytest.raises(JobFailed, match="job-1: is followed no longer and goes on; `ray job stop job-1` ends it"):
        submitted(monkeypatch, recipe, FakeClient(log=["one", KeyboardInterrupt()]))


def test_a_lost_connection_says_that_the_job_goes_on(monkeypatch, recipe):
    with pytest.raises(JobFailed, match="lost sight of job-1, which goes on: closed"):
        submitted(monkeypatch, recipe, FakeClient(log=["one", RuntimeError("closed")]))


def test_a_wrong_recipe_is_found_before_the_cluster_is_asked(monkeypatch, recipe):
    client = FakeClient()
    recipe.write_text(recipe.read_text() + "[pack]\nlenght = 5\n")
    with pytest.raises(RecipeError, match="did you mean 'length'"):
        submitted(monkeypatch, recipe, client)
    assert client.submitted == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:1", "^http://127.0.0.1:1: the cluster takes no job: .*http://HEAD:8265"),
        ("127.0.0.1:6379", "^127.0.0.1:6379: is not the URL of a Ray dashboard; give one as http://HEAD:8265"),
    ],
)
def test_an_address_that_takes_no_job_is_named(recipe, address, message):
    with pytest.raises(JobFailed, match=message):
        submit_build(str(recipe), str(recipe.parent / "out"), address, follow=True, overrides=[])


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(holds, what, seconds=0.2):
    """Other processes take their time: ask them every few seconds until they are there."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come up"
        time.sleep(seconds)


def answers(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def num_nodes(dashboard):
    request = urllib.request.Request(
        f"http://127.0.0.1:{dashboard}/nodes?view=summary", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            nodes = json.load(response)["data"]["summary"]
    except (urllib.error.URLError, ConnectionError):
        return 0
    return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)


def end(process):
    """Kill a process and everything that it started."""
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.kill()
    process.wait()


@pytest.fixture(scope="module")
def environment():
    """Paths and variables for processes that neither know of nor are known to other Rays of this machine."""
    folder = Path(tempfile.mkdtemp(prefix="gm-"))  # sockets below it must have short names
    (folder / "token").write_text(TOKEN)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield {**kept, "PATH": path, "RAY_TMPDIR": str(folder), "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def dashboard(environment):
    """The dashboard's port of a Ray cluster of two nodes with one CPU each, which asks for a token."""
    gcs, port, *agents = free_ports(4)
    nodes = []

    def start(number, *options):
        folder = f"{environment['RAY_TMPDIR']}/{number}"  # nodes of one machine must not share what they unpack
        call = ["ray", "start", "--block", "--num-cpus=1", "--node-ip-address=127.0.0.1", "--disable-usage-stats"]
        call += [f"--temp-dir={folder}", f"--dashboard-agent-listen-port={agents[number]}", *options]
        with open(f"{environment['RAY_TMPDIR']}/{number}.log", "wb") as log:
            env = {**environment, "RAY_AUTH_MODE": "token"}
            nodes.append(subprocess.Popen(call, env=env, stdout=log, stderr=subprocess.STDOUT))

    try:
        start(0, "--head", f"--port={gcs}", f"--dashboard-port={port}")
        wait_until(lambda: answers(gcs), "the head")
        start(1, f"--address=127.0.0.1:{gcs}")
        wait_until(lambda: num_nodes(port) == 2, "the cluster")
        yield port
    finally:
        for node in reversed(nodes):
            end(node)


def gristmill_submit(environment, recipe, out, port):
    call = [sys.executable, "-m", "cluster.cli", "submit", str(recipe), "--out", str(out)]
    call += ["--address", f"http://127.0.0.1:{port}", "--follow"]
    return subprocess.run(call, env=environment, capture_output=True, text=True, timeout=180)


@pytest.mark.slow
def test_a_cluster_of_two_nodes_builds_what_this_process_builds(
    environment, dashboard, sample_recipe, sample_corpus, tmp_path
):
    ended = gristmill_submit(environment, sample_recipe, tmp_path / "out", dashboard)
    digest = read_manifest(str(sample_corpus)).digest
    assert ended.returncode == 0, ended.stdout
    assert read_manifest(str(tmp_path / "out")).digest == digest
    assert "entrypoint" not in ended.stdout
    assert "job_manager" not in ended.stdout
    assert "read, measure, decide: 5/5" in ended.stdout
    assert f"digest {digest}" in ended.stdout
    first, last = ended.stderr.splitlines()
    assert first.endswith(f": submitted to http://127.0.0.1:{dashboard}")
    assert last == f"{first.split(':')[0]}: succeeded"


@pytest.mark.slow
def test_a_job_that_fails_shows_one_line_and_its_exit_code(environment, dashboard, sample_recipe, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letters.txt").touch()
    ended = gristmill_submit(environment, sample_recipe, tmp_path / "out", dashboard)
    assert ended.returncode == 1
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("gristmill: ")]
    assert "holds other files (letters.txt)" in line
    assert "Traceback" not in ended.stdout
    assert ended.stderr.endswith(": failed, exit code 1\n")


@pytest.mark.slow
def test_without_the_token_the_cluster_takes_no_job(environment, dashboard, sample_recipe, tmp_path):
    other = {**environment, "RAY_AUTH_TOKEN_PATH": "", "HOME": str(tmp_path)}
    ended = gristmill_submit(other, sample_recipe, tmp_path / "out", dashboard)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert "is it in RAY_AUTH_TOKEN?" in ended.stderr
