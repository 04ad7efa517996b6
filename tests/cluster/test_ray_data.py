import json
import os
import signal
from functools import partial

import pytest
import ray

from cluster import ray_data
from cluster.ray_data import MAX_TASK_BYTES, RayRunner, connect, shares_of
from corpus.plan import build
from corpus.recipe_file import read_recipe
from manifests.errors import InputError, JobFailed
from manifests.manifest import read_manifest
from tests.conftest import build_local, unwatched

# Ray warns about settings of its own when it is imported.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]


@pytest.fixture(scope="module")
def one_cpu():
    with connect(num_cpus=1):
        yield


@pytest.fixture
def die_once(tmp_path):
    """A folder in which a task leaves a mark before it kills its worker."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def mapped(task, items):
    return sorted(json.dumps(result, sort_keys=True) for result in RayRunner().map(task, items))


@pytest.mark.usefixtures("one_cpu")
def test_one_worker_builds_what_this_process_builds(sample_recipe, sample_corpus, tmp_path):
    events = []
    manifest = build(read_recipe(str(sample_recipe)), str(tmp_path), RayRunner(), lambda *event: events.append(event))
    assert manifest.digest == read_manifest(str(sample_corpus)).digest
    assert manifest.run["runner"] == "ray"
    assert [event[1:3] for event in events if event[0] == "score"] == [(number, 5) for number in range(1, 6)]


@pytest.mark.usefixtures("one_cpu")
def test_lines_are_cut_alike_in_workers(sample_recipe, tmp_path):
    setting = ["dedup.lines.min_chars=12"]
    manifest = build(read_recipe(str(sample_recipe), setting), str(tmp_path / "ray"), RayRunner(), unwatched)
    assert manifest.digest == build_local(sample_recipe, tmp_path / "local", *setting).digest
    assert sum(file.rows for file in manifest.files if file.path.startswith("duplicates/lines/")) > 100


@pytest.mark.usefixtures("one_cpu")
def test_a_worker_killed_in_the_middle_of_a_unit_changes_no_byte(
    sample_recipe, sample_corpus, tmp_path, die_once, capfd
):
    class DyingRunner(RayRunner):
        def map(self, task, items):
            def dying(item):
                mark = die_once / item["unit"]["unit_id"]
                first = not any(die_once.iterdir())
                result = task(item)
                if first:
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            yield from super().map(dying if "unit" in items[0] else task, items)

    manifest = build(read_recipe(str(sample_recipe)), str(tmp_path / "out"), DyingRunner(), unwatched)
    assert manifest.digest == read_manifest(str(sample_corpus)).digest
    (died,) = die_once.iterdir()
    told = capfd.readouterr().err
    assert told.startswith("1 workers died over ")
    assert told.endswith("; it was done again\n")
    assert died.name in told
    assert manifest.run["reused"]["score"] == 1


@pytest.mark.usefixtures("one_cpu")
def test_damaged_files_that_workers_find_are_told_here(sample_recipe, corpus_copy):
    before = read_manifest(str(corpus_copy)).digest
    path = sorted(corpus_copy.glob("units/*/scores.parquet"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    told = []
    watch = lambda stage, number, total, num_bytes, result: told.extend(result.get("damaged", []))  # noqa: E731
    manifest = build(read_recipe(str(sample_recipe)), str(corpus_copy), RayRunner(), watch)
    assert told == [f"{path.relative_to(corpus_copy)}: damaged (SHA-256 differs)"]
    assert manifest.digest == before


@pytest.mark.usefixtures("one_cpu")
def test_an_item_that_kills_every_worker_is_named_and_given_up(monkeypatch, capfd):
    def die(item):
        if item["number"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    monkeypatch.setattr(ray_data, "MAX_ATTEMPTS", 2)
    with pytest.raises(JobFailed, match=r'^2 workers died over \{"number": 2\}.*run the same command again'):
        mapped(die, [{"number": number} for number in range(3)])
    assert capfd.readouterr().err == ""


SMALL = [{"number": number, "input_bytes": 1} for number in range(32)]  # four of them share a task of one CPU


@pytest.mark.usefixtures("one_cpu")
def test_a_worker_that_dies_over_items_that_share_it_costs_none_of_them(die_once, capfd):
    def dying(item):
        done, died = die_once / str(item["number"]), die_once / "died"
        reused = done.exists()
        if item["number"] == 5 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        done.touch()
        return {**item, "reused": reused}

    runner = RayRunner()
    results, waiting = zip(*((result, runner.num_waiting) for result in runner.map(dying, SMALL)), strict=True)
    assert sorted(result["number"] for result in results) == list(range(32))
    assert [result["number"] for result in results if result["reused"]] == [4]  # of its task, done before
    assert sorted(waiting) == [0] * (7 + 4) + [1] * 7 + [2] * 7 + [3] * 7
    assert capfd.readouterr().err == "1 workers died over one of 4 items; each is done again alone\n"


@pytest.mark.usefixtures("one_cpu")
def test_of_items_that_share_a_task_the_one_that_kills_is_named(monkeypatch, tmp_path):
    def die(item):
        if item["number"] == 5:
            with (tmp_path / "deaths").open("a") as deaths:
                deaths.write("died\n")
            os.kill(os.getpid(), signal.SIGKILL)
        (tmp_path / str(item["number"])).touch()
        return item

    monkeypatch.setattr(ray_data, "MAX_ATTEMPTS", 2)
    with pytest.raises(JobFailed, match=r'^2 workers died over \{"number": 5, '):
        mapped(die, SMALL)
    done = {path.name for path in tmp_path.iterdir()}
    assert done >= {str(number) for number in range(32) if number not in (5, 6, 7)}
    assert (tmp_path / "deaths").read_text().count("died") == 1 + 2


@pytest.mark.usefixtures("one_cpu")
def test_an_error_ends_the_task_that_it_is_in(tmp_path):
    def fail(item):
        (tmp_path / str(item["number"])).touch()
        if item["number"] == 1:
            raise InputError("a.warc.gz: cannot be opened.")
        return item

    with pytest.raises(InputError, match="cannot be opened"):
        mapped(fail, SMALL)
    done = {path.name for path in tmp_path.iterdir()}
    assert done >= {"0", "1"}
    assert not done & {"2", "3"}


def test_small_items_share_tasks_while_every_cpu_has_enough_of_them():
    assert [len(share) for share in shares_of(SMALL, 1)] == [4] * 8
    assert [len(share) for share in shares_of(SMALL, 3)] == [1] * 32
    assert [len(share) for share in shares_of(SMALL, 0)] == [1] * 32  # as long as no machine has come
    assert [len(share) for share in shares_of(SMALL * 30, 1)] == [16] * 60
    assert shares_of([], 2) == []
    large = [{"input_bytes": MAX_TASK_BYTES // 3} for _ in range(100)]
    assert [len(share) for share in shares_of(large, 1)] == [3] * 33 + [1]
    assert [item for share in shares_of(large, 1) for item in share] == large
    assert [len(share) for share in shares_of([{"partition": 0}] * 100, 1)] == [1] * 100  # of any size


@pytest.mark.usefixtures("one_cpu")
def test_an_error_of_ours_arrives_as_itself(capfd):
    def fail(item):
        raise InputError("a.warc.gz: cannot be opened.\nGive another.")

    with pytest.raises(InputError) as caught:
        mapped(fail, [{}])
    assert type(caught.value) is InputError
    assert str(caught.value) == "a.warc.gz: cannot be opened.\nGive another."
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("one_cpu")
def test_a_lost_connection_is_a_failed_job(capfd):
    def fail(item):
        raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(JobFailed, match="Connection reset by peer.*run the same command again"):
        mapped(fail, [{}])
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("one_cpu")
def test_a_mistake_in_a_task_keeps_its_traceback():
    def stumble(item):
        return item["missing"]

    with pytest.raises(ray.exceptions.RayTaskError, match=r"in stumble[\s\S]*KeyError: 'missing"):
        mapped(stumble, [{}])


@pytest.mark.usefixtures("one_cpu")
def test_more_items_than_workers_all_come_back():
    def double(offset, item):
        return {"double": 2 * item["number"] + offset}

    items = [{"number": number} for number in range(20)]
    expected = sorted(json.dumps({"double": 2 * number + 1}) for number in range(20))
    assert mapped(partial(double, 1), items) == expected
    assert mapped(partial(double, 1), []) == []


@pytest.mark.usefixtures("one_cpu")
def compiles(item):
    import numba

    numba.njit(lambda x: x + 1)(item["x"])
    return item


def test_the_time_that_workers_compile_is_known():
    runner = RayRunner()
    with connect(num_cpus=1):
        assert list(runner.map(compiles, [{"x": 1}])) == [{"x": 1}]
    assert runner.compile_seconds > 0.0


def test_a_task_gets_one_thread_per_pool():
    def threads(item):
        import polars
        import pyarrow

        return {"polars": polars.thread_pool_size(), "arrow": pyarrow.cpu_count(), **os.environ}

    (seen,) = RayRunner().map(threads, [{}])
    assert (seen["polars"], seen["arrow"], seen["RAYON_NUM_THREADS"]) == (1, 1, "1")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"])
def test_an_address_that_does_not_answer_is_named(monkeypatch, address):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(JobFailed, match=f"^Ray at {address} does not answer: .*--runner local"), connect(address):
        pass
