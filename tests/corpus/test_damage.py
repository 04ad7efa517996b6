"""What an earlier run left is used again only if it is whole; what is not is named, and made again alone."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.run import progress
from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from manifests import shards
from manifests.errors import IntegrityError
from manifests.manifest import read_manifest


@pytest.fixture
def again(small, tmp_path, capsys):
    """A copy of the corpus, and a function that builds it again: manifest, lines about damage, what was done anew."""
    fs, _ = shards.filesystem(str(tmp_path))
    fs.put(f"{small}/out", f"{tmp_path}/out", recursive=True)

    def call():
        done = {"score": 0, "encode": 0, "pack": 0}
        capsys.readouterr()
        with progress() as tell:

            def watch(stage, number, total, num_bytes, result):
                tell(stage, number, total, num_bytes, result)
                if stage in done and not result.get("reused"):
                    done[stage] += 1

            manifest = build(read_recipe(f"{small}/recipe.toml"), f"{tmp_path}/out", LocalRunner(), watch)
        told = capsys.readouterr().err.splitlines()
        return manifest, [line for line in told if line.endswith("; made again")], done

    return tmp_path / "out", call


def truncate(path):
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2])
    return f"damaged ({size // 2:,} bytes, {size:,} were written)"


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return "damaged (SHA-256 differs)"


def replace(path):
    size = path.stat().st_size
    pq.write_table(pa.table({"other": [1, 2, 3]}), path)
    return f"damaged ({path.stat().st_size:,} bytes, {size:,} were written)"


def lose(path):
    path.unlink()
    return "missing"


UNIT = {"score": 1, "encode": 0, "pack": 0}
FILES = {
    "units/*/documents.parquet": UNIT,
    "units/*/scores.parquet": UNIT,
    "units/*/signatures.parquet": UNIT,
    "units/*/bands.parquet": UNIT,
    "ledger/*.parquet": {"score": 0, "encode": 1, "pack": 0},
    "duplicates/*.parquet": {"score": 0, "encode": 0, "pack": 0},
    "tokens/*.parquet": {"score": 0, "encode": 2, "pack": 1},  # units' tokens are removed once they are gathered
    "packed/16/train-*.parquet": {"score": 0, "encode": 0, "pack": 1},
    "tokenizer.json": {"score": 0, "encode": 0, "pack": 0},
}


def cases():
    """Every kind of damage for the files that take long to make, one for the others."""
    for name in FILES:
        is_costly = name.startswith(("units", "tokens/"))
        for harm in (truncate, flip, replace, lose) if is_costly else (flip,):
            yield pytest.param(name, harm, id=f"{name}-{harm.__name__}")


@pytest.mark.parametrize(("name", "harm"), list(cases()))
def test_a_damaged_file_is_named_and_only_its_work_is_done_again(again, name, harm):
    out, build_again = again
    before = read_manifest(str(out)).digest
    path = sorted(out.glob(name))[0]
    problem = harm(path)
    manifest, told, done = build_again()
    assert told == [f"{path.relative_to(out)}: {problem}; made again"]
    assert done == FILES[name]
    assert manifest.digest == before


def test_several_damaged_files_of_several_units_are_each_named(again):
    out, build_again = again
    before = read_manifest(str(out)).digest
    paths = sorted([*out.glob("units/*/scores.parquet"), *out.glob("units/*/bands.parquet")])
    problems = [f"{path.relative_to(out)}: {flip(path)}; made again" for path in paths]
    manifest, told, done = build_again()
    assert sorted(told) == problems
    assert len(problems) == 4
    assert done == {"score": 2, "encode": 0, "pack": 0}
    assert manifest.digest == before
    assert build_again()[1:] == ([], {"score": 0, "encode": 0, "pack": 0})


def test_tokens_of_a_unit_that_wait_to_be_gathered_are_looked_at_too(small, again):
    class Stopped(Exception):
        pass

    def stop(stage, number, total, num_bytes, result):
        if (stage, number) == ("encode", 2):
            raise Stopped

    out, build_again = again
    before = read_manifest(str(out)).digest
    for path in out.glob("tokens/*"):
        path.unlink()
    with pytest.raises(Stopped):
        build(read_recipe(f"{small}/recipe.toml"), str(out), LocalRunner(), stop)
    path = sorted(out.glob("units/*/tokens.parquet"))[1]
    problem = flip(path)
    manifest, told, done = build_again()
    assert told == [f"{path.relative_to(out)}: {problem}; made again"]
    assert done == {"score": 0, "encode": 1, "pack": 1}
    assert manifest.digest == before


def test_an_intermediate_file_of_dedup_is_looked_at_too(small, again):
    class Stopped(Exception):
        pass

    def stop(stage, number, total, num_bytes, result):
        if stage == "dedup: decide":
            raise Stopped

    out, build_again = again
    before = read_manifest(str(out)).digest
    sorted(out.glob("duplicates/*.parquet"))[0].unlink()
    with pytest.raises(Stopped):
        build(read_recipe(f"{small}/recipe.toml"), str(out), LocalRunner(), stop)
    path = out / "duplicates" / "work" / "facts-00000.parquet"
    problem = flip(path)
    manifest, told, _ = build_again()
    assert told == [f"{path.relative_to(out)}: {problem}; made again"]
    assert manifest.digest == before


def test_a_text_that_is_damaged_during_the_build_is_named(small, tmp_path):
    def harm(stage, number, total, num_bytes, result):
        if (stage, number) == ("score", 2):
            path = sorted((tmp_path / "out").glob("units/*/documents.parquet"))[0]
            group = pq.read_metadata(path).row_group(0)
            text = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "text")
            data = bytearray(path.read_bytes())
            data[text.data_page_offset + 200] ^= 1
            path.write_bytes(data)

    with pytest.raises(
        IntegrityError, match=r"units/[0-9a-f]{16}/documents\.parquet: cannot be read as Parquet: .*CRC"
    ):
        build(read_recipe(f"{small}/recipe.toml"), f"{tmp_path}/out", LocalRunner(), harm)
