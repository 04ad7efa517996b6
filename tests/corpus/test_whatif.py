import polars as pl
import pytest

from corpus.whatif import whatif
from manifests import ledger
from manifests.errors import InputError, RecipeError
from manifests.manifest import read_manifest
from tests.conftest import build_local

RAISED = ("gopher_quality.min_words=320", "language.min_score=0.9")
LOWERED = ("fineweb.min_line_punct_ratio=0.0", "toxicity.max_lexicon_ratio=1.0", "language.keep=[]")


@pytest.fixture(scope="module")
def fixed_recipe(sample_recipe, sample_corpus):
    """The recipe with the tokenizer of the corpus as a file, so that tokens do not depend on what is kept."""
    path = sample_recipe.parent / "fixed.toml"
    path.write_text(sample_recipe.read_text("utf-8").replace("train:1000", f"{sample_corpus}/tokenizer.json"), "utf-8")
    return path


def rebuilt(recipe, folder, overrides):
    build_local(recipe, folder, *overrides)
    return ledger.scan(str(folder), ["doc_id", "fate", "num_tokens", "num_bytes"]).collect()


def totals(result):
    return {key: result.total[key] for key in ("kept_before", "kept_after", "tokens_before", "tokens_after")}


def test_raised_thresholds_keep_what_a_build_keeps(fixed_recipe, sample_corpus, tmp_path):
    result = whatif(str(sample_corpus), RAISED)
    frame = rebuilt(fixed_recipe, tmp_path / "corpus", RAISED)
    kept = frame.filter(pl.col("fate") == "kept")
    before = read_manifest(str(sample_corpus)).counts["fate"]["kept"]
    assert totals(result)["kept_before"] == before
    assert totals(result)["kept_after"] == kept.height < before
    assert totals(result)["tokens_after"] == kept["num_tokens"].sum()
    after = read_manifest(str(tmp_path / "corpus")).counts["kept_language"]
    assert {row["language"]: row["kept_after"] for row in result.by_language if row["kept_after"]} == after
    assert sum(row["documents"] for row in result.changes if row["before"] == "kept") >= before - kept.height


def test_lowered_thresholds_admit_what_a_build_keeps_before_dedup(fixed_recipe, sample_corpus, tmp_path):
    result = whatif(str(sample_corpus), LOWERED)
    frame = rebuilt(fixed_recipe, tmp_path / "corpus", LOWERED)
    passed = frame.filter(pl.col("fate").is_in(["kept", "duplicate"])).height
    duplicates = read_manifest(str(sample_corpus)).counts["fate"]["duplicate"]
    assert totals(result)["kept_after"] == passed - duplicates > totals(result)["kept_before"]
    num_bytes, num_tokens = (
        frame.filter(pl.col("fate") == "kept").select(pl.col("num_bytes", "num_tokens").sum()).row(0)
    )
    estimated = totals(result)["tokens_after"] / num_tokens
    assert 0.8 < estimated < 1.2
    assert num_bytes > num_tokens


def test_no_change_changes_nothing(sample_corpus):
    result = whatif(str(sample_corpus), [])
    assert (result.changes, result.samples) == ([], [])
    counts = read_manifest(str(sample_corpus)).counts
    assert totals(result)["kept_before"] == totals(result)["kept_after"] == counts["fate"]["kept"]
    assert totals(result)["tokens_before"] == totals(result)["tokens_after"]
    assert {row["source"]: row["kept_after"] for row in result.by_source} == counts["kept_source"]


def test_a_keeper_that_goes_is_followed_by_the_next_longest(sample_corpus):
    frame = ledger.scan(str(sample_corpus)).collect()
    sizes = frame.filter(pl.col("component_size") > 1).with_columns(component=pl.coalesce("duplicate_of", "doc_id"))
    words = "gopher_quality.num_words"
    keepers = sizes.filter(pl.col("fate") == "kept").select("component", limit=pl.col(words))
    losers = (
        sizes.filter(pl.col("fate") == "duplicate")
        .join(keepers, on="component")
        .filter(pl.col(words) < pl.col("limit"))
    )
    chosen = losers.sort(words, descending=True).row(0, named=True)
    limit = int(chosen["limit"]) - 1
    result = whatif(str(sample_corpus), [f"gopher_quality.max_words={limit}"])
    change = {(row["before"], row["after"]): row["documents"] for row in result.changes}
    assert change[("kept", "gopher_quality.too_many_words")] > 0
    assert change[(chosen["reason"], "kept")] > 0


def test_changes_tell_the_reasons(sample_corpus):
    result = whatif(str(sample_corpus), ["language.keep=['de']"])
    assert result.changes[0]["before"] == "kept"
    assert result.changes[0]["after"] == "language.unwanted"
    assert len(result.samples) == 20
    assert set(result.samples[0]) == {"doc_id", "url", "before", "after"}
    assert [row["language"] for row in result.by_language if row["kept_after"]] == ["de"]


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("normalize.lowercase=true", r"\[normalize\]"),
        ("extract.method='trafilatura'", r"\[extract\]"),
        ("pack.length=64", r"\[pack\]"),
        ("dedup.minhash.bands=7", r"\[dedup\]"),
        ("gopher_quality.stop_words=['the']", "what gopher_quality measures"),
        ("pii.kinds=['email']", "what pii measures"),
    ],
)
def test_what_scores_cannot_tell_is_refused(sample_corpus, override, named):
    with pytest.raises(RecipeError, match=named):
        whatif(str(sample_corpus), [override])


def test_a_folder_without_a_corpus_is_named(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        whatif(str(tmp_path), [])


SHORT = """
name = "short"
short_circuit = true
[[source]]
name = "s"
format = "jsonl"
paths = ["*.jsonl"]
[[filter]]
rule = "gopher_quality"
min_words = 20
min_stop_words = 0
[[filter]]
rule = "fineweb"
max_short_line_ratio = "off"
[tokenize]
tokenizer = "train:300"
"""


def test_documents_without_scores_are_not_guessed(tmp_path):
    long = "the boats leave before the sun is up and the market in the small town opens at six for all of them today."
    texts = [f"{long} This is text number {number}." for number in range(30)] + ["a few words of a short text."]
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
    (tmp_path / "recipe.toml").write_text(SHORT)
    build_local(tmp_path / "recipe.toml", tmp_path / "out")
    assert totals(whatif(str(tmp_path / "out"), ["gopher_quality.min_words=500"]))["kept_after"] == 0
    with pytest.raises(RecipeError, match="^1 documents would pass .*short_circuit = true"):
        whatif(str(tmp_path / "out"), ["gopher_quality.min_words=2"])


HITS = """
name = "hits"
[[source]]
name = "s"
format = "jsonl"
paths = ["*.jsonl"]
[[filter]]
rule = "decontaminate"
files = ["items.json"]
min_overlap = "off"
[tokenize]
tokenizer = "train:300"
"""


def test_only_stored_scores_are_needed_no_file_that_a_filter_read(tmp_path):
    item = "which of the boats left before the sun was up today"
    texts = [item, *(f"the market in the town of {number} thousand people opens at six" for number in range(20))]
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
    (tmp_path / "items.json").write_text(f'{{"id": "one", "text": "{item}"}}\n')
    (tmp_path / "recipe.toml").write_text(HITS)
    build_local(tmp_path / "recipe.toml", tmp_path / "out")
    (tmp_path / "items.json").unlink()
    result = whatif(str(tmp_path / "out"), ["decontaminate.min_overlap=0.5"])
    assert (totals(result)["kept_before"], totals(result)["kept_after"]) == (21, 20)
    with pytest.raises(RecipeError, match="what decontaminate measures"):
        whatif(str(tmp_path / "out"), ["decontaminate.n=5"])


COPIES = """
name = "copies"
[[source]]
name = "s"
format = "jsonl"
paths = ["*.jsonl"]
[[filter]]
rule = "gopher_quality"
min_stop_words = 0
[dedup]
keep = "{keep}"
[dedup.minhash]
threshold = 0.5
[tokenize]
tokenizer = "train:300"
"""


@pytest.mark.parametrize(("keep", "next_best"), [("longest", 2), ("earliest", 0)])
def test_of_three_copies_the_next_by_the_policy_follows(tmp_path, keep, next_best):
    words = [f"word{number}" for number in range(80)]
    rows = [(" ".join([*words, *["boat"] * extra]), f"2024-01-0{day}") for extra, day in ((1, 2), (4, 1), (2, 3))]
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{text}", "date": "{date}"}}\n' for text, date in rows))
    (tmp_path / "recipe.toml").write_text(COPIES.format(keep=keep))
    overrides = ["gopher_quality.min_alphabetic_word_ratio=0.0", "gopher_quality.max_words=83"]
    build_local(tmp_path / "recipe.toml", tmp_path / "out", overrides[0])
    result = whatif(str(tmp_path / "out"), overrides)
    ids = ledger.scan(str(tmp_path / "out"), ["doc_id"]).collect()["doc_id"].to_list()
    assert {row["doc_id"]: (row["before"], row["after"]) for row in result.samples} == {
        ids[1]: ("kept", "gopher_quality.too_many_words"),
        ids[next_best]: ("dedup.near", "kept"),
    }
    frame = rebuilt(tmp_path / "recipe.toml", tmp_path / "again", overrides)
    assert frame.filter(fate="kept")["doc_id"].to_list() == [ids[next_best]]
