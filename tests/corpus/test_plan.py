import json
import os

import datasketch
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from corpus.plan import build
from corpus.recipe_file import read_recipe
from corpus.run_local import LocalRunner
from corpus.verify import verify
from manifests import ledger, shards
from manifests.errors import GateFailed, InputError, ManifestMismatch, ModelError, RecipeError, SchemaMismatch
from manifests.manifest import read_manifest
from tests.conftest import build_local
from tests.reference.deciles import deciles as slow_deciles


def counted(recipe_path, out, *overrides):
    """Build, and count by stage what was done and what was used again."""
    done, reused = {}, {}

    def watch(stage, number, total, num_bytes, result):
        (reused if result.get("reused") else done).setdefault(stage, []).append(result)

    manifest = build(read_recipe(str(recipe_path), overrides), str(out), LocalRunner(), watch)
    count = {stage: (len(done.get(stage, [])), len(reused.get(stage, []))) for stage in ("score", "encode", "pack")}
    return manifest, count


def test_results_that_come_together_are_counted_together_and_a_stage_ends_once(sample_recipe, tmp_path):
    class Together(LocalRunner):
        """Five results: three at once, then two."""

        num_waiting = 0

        def map(self, task, items):
            for place, result in enumerate([task(item) for item in items]):
                self.num_waiting = (2, 1, 0, 1, 0)[place] if len(items) == 5 else 0
                yield result

    events = []
    watch = lambda stage, *event: events.append(event) if stage == "score" else None  # noqa: E731
    build(read_recipe(str(sample_recipe)), str(tmp_path), Together(), watch)
    assert [event[:2] for event in events] == [(2, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    done = [num_bytes for _, _, (num_bytes, _), _ in events]
    assert done[0] == done[1] == done[2] < done[3] == done[4] == events[0][2][1]


def test_every_record_has_one_fate(sample_corpus):
    manifest = read_manifest(str(sample_corpus))
    frame = ledger.scan(str(sample_corpus)).collect()
    assert frame.height == sum(unit.num_records for unit in manifest.units) > 400
    assert set(frame["fate"].unique()) == {"kept", "dropped", "duplicate", "failed"}
    assert frame["doc_id"].n_unique() == frame.height
    assert frame.filter(pl.col("fate") == "kept")["reason"].null_count() == manifest.counts["fate"]["kept"]
    assert frame.filter(pl.col("fate") != "kept")["reason"].null_count() == 0
    assert frame.filter(pl.col("fate") == "failed")["error"].null_count() == 0


def test_duplicates_name_keepers_that_are_kept(sample_corpus):
    frame = ledger.scan(str(sample_corpus)).collect()
    losers = frame.filter(pl.col("fate") == "duplicate")
    keepers = losers.join(frame, left_on="duplicate_of", right_on="doc_id", suffix="_keeper")
    assert losers.height == keepers.height > 0
    assert set(keepers["fate_keeper"]) == {"kept"}
    assert (keepers["component_size"] == keepers["component_size_keeper"]).all()


def test_tokens_decode_to_the_final_texts(sample_corpus):
    from corpus.score import stored_texts
    from corpus.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(str(sample_corpus / "tokenizer.json"))
    tokens = {}
    for path in sorted((sample_corpus / "tokens").glob("*.parquet")):
        table = pq.read_table(path)
        tokens |= dict(zip(table["doc_id"].to_pylist(), table["tokens"].to_pylist(), strict=True))
    texts = {}
    for unit in read_manifest(str(sample_corpus)).units:
        for _, batch, text in stored_texts(str(sample_corpus / "units" / unit.unit_id)):
            texts |= dict(zip(batch["doc_id"].to_pylist(), text.to_pylist(), strict=True))
    assert len(tokens) == read_manifest(str(sample_corpus)).counts["fate"]["kept"]
    assert all(tokenizer.decode(ids) == texts[doc_id] for doc_id, ids in tokens.items())


def test_the_same_corpus_in_another_folder_has_the_same_digest(sample_crawl, sample_corpus, tmp_path):
    moved = tmp_path / "moved"
    os.symlink(sample_crawl, moved)
    manifest = build_local(moved / "small.toml", tmp_path / "corpus")
    assert manifest.digest == read_manifest(str(sample_corpus)).digest


def test_running_again_does_nothing_and_changes_nothing(sample_recipe, corpus_copy):
    before = read_manifest(str(corpus_copy)).digest
    manifest, count = counted(sample_recipe, corpus_copy)
    assert count == {"score": (0, 5), "encode": (0, 5), "pack": (0, 1)}
    assert manifest.digest == before


def test_a_changed_threshold_keeps_scores_and_gives_what_a_fresh_build_gives(sample_recipe, corpus_copy, tmp_path):
    scores = {path: path.stat().st_mtime_ns for path in corpus_copy.glob("units/*/documents.parquet")}
    manifest, count = counted(sample_recipe, corpus_copy, "gopher_quality.min_words=120")
    assert count["score"] == (5, 0)
    assert {path: path.stat().st_mtime_ns for path in scores} == scores
    assert manifest.digest == build_local(sample_recipe, tmp_path / "fresh", "gopher_quality.min_words=120").digest


def test_a_removed_unit_and_a_lost_file_are_redone_alone(sample_recipe, corpus_copy):
    before = read_manifest(str(corpus_copy))
    unit = before.units[0].unit_id
    (corpus_copy / "units" / unit / "scores.parquet").unlink()
    (corpus_copy / "tokens" / "part-00000.parquet").unlink()
    manifest, count = counted(sample_recipe, corpus_copy)
    assert count == {"score": (1, 4), "encode": (5, 0), "pack": (1, 0)}
    assert manifest.digest == before.digest


@pytest.mark.parametrize(
    "name", ["units/*/documents.parquet", "units/*/signatures.parquet", "tokens/*.parquet", "ledger/*"]
)
def test_a_damaged_file_of_the_same_size_is_made_anew(sample_recipe, corpus_copy, name):
    before = read_manifest(str(corpus_copy)).digest
    path = sorted(corpus_copy.glob(name))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    manifest, count = counted(sample_recipe, corpus_copy)
    assert manifest.digest == before
    assert sum(done for done, _ in count.values()) > 0
    assert verify(str(corpus_copy)).problems == []


def test_a_build_that_was_stopped_goes_on(sample_recipe, sample_corpus, tmp_path):
    class Stopped(Exception):
        pass

    def stop(stage, number, total, num_bytes, result):
        if (stage, number) == ("score", 2):
            raise Stopped

    out = tmp_path / "corpus"
    with pytest.raises(Stopped):
        build(read_recipe(str(sample_recipe)), str(out), LocalRunner(), stop)
    with pytest.raises(InputError, match="there is no manifest"):
        read_manifest(str(out))
    manifest, count = counted(sample_recipe, out)
    assert count["score"] == (3, 2)
    assert manifest.digest == read_manifest(str(sample_corpus)).digest


def test_plain_readers_open_every_table(sample_corpus):
    import duckdb

    paths = sorted(sample_corpus.rglob("*.parquet"))
    assert len(paths) > 30
    for path in paths:
        rows = pq.read_metadata(path).num_rows
        assert pl.read_parquet(path).height == rows
        assert duckdb.sql(f"select count(*) from '{path}'").fetchall() == [(rows,)]


def test_datasketch_opens_the_signatures_and_estimates_as_we_do(sample_corpus):
    rows = pl.read_parquet(f"{sample_corpus}/units/*/signatures.parquet").select("doc_id", "signature").iter_rows()
    opened = {
        doc_id: datasketch.MinHash(hashvalues=np.frombuffer(signature, np.uint32), seed=1, scheme="affine32")
        for doc_id, signature in rows
    }
    near = pl.read_parquet(f"{sample_corpus}/duplicates/*.parquet").filter(kind="near")
    assert near.height > 3
    for doc_id, kept, jaccard in near.select("doc_id", "kept_doc_id", "jaccard").iter_rows():
        assert opened[doc_id].jaccard(opened[kept]) == jaccard


def test_a_gate_that_is_not_met_fails_the_build_with_slice_and_rule_named(sample_recipe, tmp_path):
    recipe = tmp_path / "gated.toml"
    text = sample_recipe.read_text("utf-8")
    for name in ("warc/", "wet/", "blocklist.txt"):
        text = text.replace(f'"{name}', f'"{sample_recipe.parent}/{name}')
    gate = '[[audit.gate]]\nslice = "language"\nrule = "*"\nmax_drop_ratio = 0.0\nmin_documents = 10\n'
    recipe.write_text(text + gate, "utf-8")
    with pytest.raises(GateFailed, match="language.*en"):
        build_local(recipe, tmp_path / "corpus")
    assert (tmp_path / "corpus" / "report.html").exists()
    assert not (tmp_path / "corpus" / "manifest.json").exists()


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


RECIPE = """
name = "tiny"
[[source]]
name = "lines"
format = "jsonl"
paths = ["*.jsonl"]
[tokenize]
tokenizer = "train:300"
[pack]
length = 16
"""


def test_all_formats_and_a_memory_folder_build(tmp_path):
    text = "A quiet harbour town wakes early. Boats leave before the sun is up, and the market opens at six."
    write_lines(tmp_path / "a.jsonl", [{"text": f"{text} Day {n}."} for n in range(30)])
    pq.write_table(pl.DataFrame({"body": [f"{text} Week {n}." for n in range(9)]}).to_arrow(), tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text(f"{text} Once.", "utf-8")
    more = '[[source]]\nname = "{0}"\nformat = "{0}"\npaths = ["*.{1}"]\n{2}\n'
    mapped = more.format("parquet", "parquet", 'columns = { text = "body" }')
    (tmp_path / "recipe.toml").write_text(RECIPE + mapped + more.format("text", "txt", ""), "utf-8")
    manifest = build_local(tmp_path / "recipe.toml", "memory://plan-test/corpus", "pack.validation_ratio=0.2")
    assert manifest.counts["kept_source"] == {"lines": 30, "parquet": 9, "text": 1}
    assert {shard.split for shard in manifest.shards if shard.kind == "packed"} == {"train", "validation"}
    local = build_local(tmp_path / "recipe.toml", tmp_path / "out", "pack.validation_ratio=0.2")
    assert local.digest == manifest.digest


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (('"*.jsonl"', '"none/*.jsonl"'), InputError, r"none/\*\.jsonl"),
        (('"*.jsonl"', '"none.jsonl"'), InputError, "none.jsonl"),
        (('"train:300"', '"none.json"'), ModelError, "none.json"),
        (('"train:300"', '"train:many"'), RecipeError, "train:many"),
        (('format = "jsonl"', 'format = "jsonl"\ncolumns = { text = "body" }'), SchemaMismatch, "body"),
        (("[pack]", '[language]\nmodel = "a.jsonl"\n[pack]'), ModelError, "a.jsonl"),
        (("[pack]", '[language]\nkeep = ["english"]\n[pack]'), RecipeError, "english"),
        (("[pack]", '[pack]\nquality = "language.scor"'), RecipeError, r"\[pack\] quality = .* mean 'language.score'"),
        (("[pack]", '[pack]\nquality = "language.label"'), RecipeError, "no score.*There are: text.num_bytes, "),
        (("[pack]", '[[filter]]\nrule = "url"\ndomains = ["none.txt"]\n[pack]'), InputError, "none.txt"),
    ],
)
def test_bad_input_is_named_before_any_data_is_read(tmp_path, change, error, message):
    write_lines(tmp_path / "a.jsonl", [{"text": "one two three"}])
    (tmp_path / "recipe.toml").write_text(RECIPE.replace(*change), "utf-8")
    with pytest.raises(error, match=message):
        build_local(tmp_path / "recipe.toml", tmp_path / "out")
    assert not (tmp_path / "out" / "units").exists()


def test_a_folder_of_another_recipe_is_refused_with_both_digests(sample_recipe, corpus_copy, tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": "one two three"}])
    (tmp_path / "recipe.toml").write_text(RECIPE, "utf-8")
    with pytest.raises(ManifestMismatch, match=r"another recipe \(digest [0-9a-f]{16}….*'tiny' \(digest [0-9a-f]{16}…"):
        build_local(tmp_path / "recipe.toml", corpus_copy)
    assert (corpus_copy / "manifest.json").exists()


def test_a_folder_with_other_files_is_refused(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": "one two three"}])
    (tmp_path / "recipe.toml").write_text(RECIPE, "utf-8")
    with pytest.raises(ManifestMismatch, match="holds other files"):
        build_local(tmp_path / "recipe.toml", tmp_path)
    assert (tmp_path / "recipe.toml").read_text("utf-8") == RECIPE


def test_an_unwritable_folder_is_named(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": "one two three"}])
    (tmp_path / "recipe.toml").write_text(RECIPE, "utf-8")
    with pytest.raises(ValueError, match=r"/proc/nowhere.*cannot be written"):
        build_local(tmp_path / "recipe.toml", "/proc/nowhere")


def test_a_corpus_without_a_kept_document_says_so(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": "one two three"}])
    (tmp_path / "recipe.toml").write_text(RECIPE + '[[filter]]\nrule = "gopher_quality"\n', "utf-8")
    with pytest.raises(InputError, match="no document is kept"):
        build_local(tmp_path / "recipe.toml", tmp_path / "out")


def two_sources(tmp_path, *names):
    text = "A quiet harbour town wakes early. Boats leave before the sun is up, and the market opens at six."
    for name in "ab" if not (tmp_path / "a.jsonl").exists() else "":
        write_lines(tmp_path / f"{name}.jsonl", [{"text": f"{text} {name} {n}."} for n in range(30)])
    source = '[[source]]\nname = "{0}"\nformat = "jsonl"\npaths = ["{0}.jsonl"]\n'
    rest = '[tokenize]\ntokenizer = "train:300"\n[pack]\nlength = 16\n'
    path = tmp_path / "recipe.toml"
    path.write_text('name = "two"\n' + "".join(source.format(name) for name in names) + rest, "utf-8")
    return path


def test_sources_in_another_order_give_what_a_fresh_build_gives(tmp_path):
    build_local(two_sources(tmp_path, "a", "b"), tmp_path / "out")
    again, count = counted(two_sources(tmp_path, "b", "a"), tmp_path / "out")
    assert count == {"score": (0, 2), "encode": (0, 2), "pack": (1, 0)}
    assert again.digest == build_local(two_sources(tmp_path, "b", "a"), tmp_path / "fresh").digest
    owner = dict(ledger.scan(str(tmp_path / "out"), ["doc_id", "source"]).collect().iter_rows())
    assert [shard.source for shard in again.packed("train")] == ["b", "a"]
    for shard in again.packed("train"):
        rows = pq.read_table(tmp_path / "out" / shard.path, columns=["segment_doc", "segment_source"]).to_pylist()
        numbers = {number for row in rows for number in row["segment_source"]}
        assert [again.sources[number].name for number in numbers] == [shard.source]
        assert {owner[doc_id] for row in rows for doc_id in row["segment_doc"]} == {shard.source}


def test_another_row_length_keeps_the_tokens(sample_recipe, corpus_copy, tmp_path):
    manifest, count = counted(sample_recipe, corpus_copy, "pack.length=128")
    assert count == {"score": (0, 5), "encode": (0, 5), "pack": (1, 0)}
    assert manifest.digest == build_local(sample_recipe, tmp_path / "fresh", "pack.length=128").digest


def segments(out, manifest):
    """(doc_id, language, quality) of each segment in the packed rows, language by its label."""
    labels = [*manifest.packing.languages, None]  # -1 is the last
    columns = ["segment_doc", "segment_language", "segment_quality"]
    for shard in manifest.packed("train") + manifest.packed("validation"):
        for row in pq.read_table(out / shard.path, columns=columns).to_pylist():
            for doc_id, language, quality in zip(*row.values(), strict=True):
                yield doc_id, labels[language], quality


def test_segments_carry_language_and_decile_of_the_score_that_the_recipe_names(sample_recipe, corpus_copy, tmp_path):
    override = "pack.quality=gopher_quality.mean_word_chars"
    manifest, count = counted(sample_recipe, corpus_copy, override)
    assert count == {"score": (0, 5), "encode": (5, 0), "pack": (1, 0)}
    frame = ledger.scan(str(corpus_copy)).filter(pl.col("fate") == "kept").collect()
    kept = frame["doc_id"].to_list()
    deciles = dict(zip(kept, slow_deciles(frame["gopher_quality.mean_word_chars"].to_list()), strict=True))
    labels = dict(zip(kept, frame["language.label"].to_list(), strict=True))
    found = set(segments(corpus_copy, manifest))
    assert found == {(doc_id, labels[doc_id], deciles[doc_id]) for doc_id in kept}
    assert {quality for _, _, quality in found} == set(range(10))
    assert manifest.packing.languages == sorted(set(labels.values()))
    assert len(manifest.packing.quality_edges) == 9
    assert manifest.digest == build_local(sample_recipe, tmp_path / "fresh", override).digest
    assert verify(str(corpus_copy)).problems == []


def test_without_a_named_score_segments_have_no_decile(sample_corpus):
    manifest = read_manifest(str(sample_corpus))
    assert {quality for _, _, quality in segments(sample_corpus, manifest)} == {-1}
    assert manifest.packing.quality_edges == []


def test_deciles_and_languages_are_of_this_build_alone(tmp_path):
    quality = "pack.quality=text.num_chars"
    before = build_local(two_sources(tmp_path, "a", "b"), tmp_path / "out", quality)
    write_lines(tmp_path / "a.jsonl", [{"text": "Ein ruhiges Dorf am Hafen wacht auf. " + "x" * n} for n in range(20)])
    again = build_local(two_sources(tmp_path, "a"), tmp_path / "out", quality)  # the ledger of b is still there
    assert (before.packing.languages, again.packing.languages) == (["en"], ["de"])
    assert again.packing.quality_edges == [37.0 + n for n in range(1, 19, 2)]  # of 20 texts
    assert again.digest == build_local(two_sources(tmp_path, "a"), tmp_path / "fresh", quality).digest


def test_the_report_tells_how_full_the_rows_of_each_source_are(sample_corpus):
    manifest = read_manifest(str(sample_corpus))
    told = json.loads((sample_corpus / "report.json").read_text("utf-8"))["packed_sources"]
    assert [row["source"] for row in told] == [source.name for source in manifest.sources]
    for row in told:
        files = [shard for shard in manifest.shards if shard.kind == "packed" and shard.source == row["source"]]
        assert row["num_rows"] == sum(shard.rows for shard in files) > 0
        assert row["num_tokens"] == sum(shard.tokens for shard in files)
        assert row["num_validation_rows"] == sum(shard.rows for shard in files if shard.split == "validation")
        places = row["num_rows"] * (manifest.packing.length + 1)
        assert row["efficiency"] == round(row["num_tokens"] / places, 6) > 0.9
    assert sum(row["num_tokens"] for row in told) == manifest.packing.num_tokens


def test_a_given_tokenizer_takes_the_place_of_a_trained_one_and_leaves_nothing_behind(
    sample_recipe, corpus_copy, tmp_path
):
    given = tmp_path / "given.json"
    given.write_bytes((corpus_copy / "tokenizer.json").read_bytes())
    build_local(sample_recipe, corpus_copy, f"tokenize.tokenizer={str(given)!r}")
    assert verify(str(corpus_copy)).problems == []


def test_a_recipe_that_bears_a_sources_name_does_not_take_the_folder(tmp_path):
    build_local(two_sources(tmp_path, "a", "b"), tmp_path / "out")
    taker = tmp_path / "taker.toml"
    taker.write_text((tmp_path / "recipe.toml").read_text("utf-8").replace('name = "two"', 'name = "a"'), "utf-8")
    with pytest.raises(ManifestMismatch, match="belongs to another recipe"):
        build_local(taker, tmp_path / "out")


def test_a_gate_on_a_rule_that_is_not_there_is_refused_before_data_is_read(tmp_path):
    path = two_sources(tmp_path, "a")
    gate = '[[audit.gate]]\nslice = "all"\nrule = "c4"\nmax_drop_ratio = 0.5\n'
    path.write_text(path.read_text("utf-8") + gate, "utf-8")
    with pytest.raises(RecipeError, match="rule 'c4' drops nothing"):
        build_local(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("uri", ["ftp://user:secret@host/a.jsonl", "https://host/a.jsonl?X-Amz-Signature=secret"])
def test_credentials_in_a_uri_are_refused_without_being_repeated(tmp_path, uri):
    path = two_sources(tmp_path, "a")
    path.write_text(path.read_text("utf-8").replace("a.jsonl", uri), "utf-8")
    with pytest.raises(RecipeError, match="carries credentials") as caught:
        build_local(path, tmp_path / "out")
    assert "secret" not in str(caught.value)
    with pytest.raises(RecipeError, match="carries credentials"):
        build_local(two_sources(tmp_path, "a"), "memory://user:secret@host/out")


def test_a_recipe_at_a_uri_finds_its_files_beside_it(tmp_path):
    path = two_sources(tmp_path, "a")
    shards.write_bytes("memory://recipes/x/recipe.toml", path.read_bytes())
    shards.write_bytes("memory://recipes/x/a.jsonl", (tmp_path / "a.jsonl").read_bytes())
    manifest = build_local("memory://recipes/x/recipe.toml", tmp_path / "out")
    assert manifest.counts["kept_source"] == {"a": 30}


def test_wildcards_in_the_name_of_the_recipes_folder_are_no_wildcards(tmp_path):
    folder = tmp_path / "run[1]*"
    folder.mkdir()
    manifest = build_local(two_sources(folder, "a", "b"), tmp_path / "out")
    assert manifest.counts["kept_source"] == {"a": 30, "b": 30}
