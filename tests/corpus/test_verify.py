import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from corpus.verify import verify
from manifests import shards
from manifests.errors import InputError, IntegrityError, ManifestMismatch
from manifests.manifest import Manifest, parse_manifest, read_manifest, to_text


@pytest.fixture
def out(small):
    return small / "out"


def listed(manifest):
    return [*manifest.shards, *manifest.files, *manifest.side_files]


def resealed(out, **changes):
    """Change the manifest and make its digests fit, so that only the counts can tell."""
    manifest = Manifest.model_validate(read_manifest(str(out)).model_dump() | changes)
    (out / "manifest.json").write_text(to_text(manifest.sealed()))


def test_a_finished_corpus_is_sound(sample_corpus):
    manifest = read_manifest(str(sample_corpus))
    result = verify(str(sample_corpus))
    assert result.problems == []
    assert result.num_files == len(shards.list_files(str(sample_corpus))) - 1
    assert result.num_bytes == sum(file.bytes for file in listed(manifest))
    assert result.num_records == sum(manifest.counts["fate"].values())


def test_a_flipped_byte_in_any_file_is_found_and_the_file_named(out):
    paths = shards.list_files(str(out))
    kinds = {path.split("/")[0] for path in paths}
    assert {"units", "ledger", "duplicates", "tokens", "packed", "recipe.toml", "report.html"} < kinds
    for path in paths:
        sound = (out / path).read_bytes()
        middle = len(sound) // 2
        (out / path).write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
        if path == "manifest.json":
            with pytest.raises((IntegrityError, ManifestMismatch), match=r"manifest\.json"):
                verify(str(out))
        else:
            (problem,) = verify(str(out)).problems
            assert problem.startswith(f"{out}/{path}: SHA-256 is ")
        (out / path).write_bytes(sound)
    assert verify(str(out)).problems == []


def test_any_missing_file_is_named(out):
    for path in shards.list_files(str(out)):
        sound = (out / path).read_bytes()
        (out / path).unlink()
        if path == "manifest.json":
            with pytest.raises(InputError, match="there is no manifest"):
                verify(str(out))
        else:
            (problem,) = verify(str(out)).problems
            assert problem.startswith(f"{out}/{path}: is missing.")
        (out / path).write_bytes(sound)
    assert verify(str(out)).problems == []


@pytest.mark.parametrize("path", ["letter.txt", "ledger/more.parquet", "packed/16/part-00009.parquet"])
def test_a_file_that_no_manifest_lists_is_named(corpus_copy, path):
    (corpus_copy / path).parent.mkdir(exist_ok=True)
    (corpus_copy / path).write_bytes(b"more")
    (problem,) = verify(str(corpus_copy)).problems
    assert problem == f"{corpus_copy}: files that no manifest lists: {path}."


def test_a_changed_digest_in_the_manifest_is_found(out, tmp_path):
    manifest = read_manifest(str(out))
    text = to_text(manifest.model_copy(update={"digest": "0" * 64}))
    with pytest.raises(IntegrityError, match="checksum"):
        parse_manifest(text, "manifest.json")


def rewritten_ledger(out, change, unit_id=""):
    """Change a ledger file and have the manifest list what is there now."""
    manifest = read_manifest(str(out))
    path = next(file.path for file in manifest.files if file.path.startswith(f"ledger/{unit_id}"))
    pq.write_table(change(pq.read_table(out / path)), out / path)
    entry = shards.file_entry(str(out), path)
    files = [
        file.model_copy(update={"sha256": entry.sha256, "bytes": entry.bytes}) if file.path == path else file
        for file in manifest.files
    ]
    resealed(out, files=[file.model_dump() for file in files])
    return path


def raised(table, name):
    """The table with one more in a column."""
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), pc.add(table[name], 1))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda table: table.slice(1), "records were read, the ledger has"),
        (lambda table: pa.concat_tables([table, table.slice(0, 1)]), "1 ledger rows repeat a document id"),
        (
            lambda table: table.filter(pc.not_equal(table["fate"], "kept")),
            "documents are kept, the token shards hold",
        ),
        (lambda table: raised(table, "num_tokens"), "tokens, the token shards"),
        (lambda table: raised(table, "num_bytes"), "kept documents have"),
        (lambda table: raised(table, "num_line_bytes_removed"), "bytes of text, the ledger has"),
        (lambda table: raised(table, "num_lines_removed"), "removed lines of 0 bytes, listed are"),
        (
            lambda table: table.set_column(
                table.schema.get_field_index("file"),
                table.schema.field("file"),
                pa.array(["elsewhere.warc.gz"] * table.num_rows),
            ),
            "the ledger has records of files that are no units",
        ),
    ],
)
def test_a_ledger_that_lost_or_gained_records_does_not_add_up(corpus_copy, change, problem):
    rewritten_ledger(corpus_copy, change)
    problems = verify(str(corpus_copy)).problems
    assert any(problem in one for one in problems)


def test_packed_rows_that_lack_tokens_do_not_add_up(corpus_copy):
    manifest = read_manifest(str(corpus_copy))
    made = [
        shard.model_copy(update={"tokens": shard.tokens - 1}) if shard.split == "validation" else shard
        for shard in manifest.shards
    ]
    resealed(corpus_copy, shards=[shard.model_dump() for shard in made])
    (problem,) = verify(str(corpus_copy)).problems
    assert "packed rows hold" in problem
