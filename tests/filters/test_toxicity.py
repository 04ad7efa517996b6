"""Toxicity: the lexicon's arithmetic, the classifier's label, and whose texts must not score."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import zstandard
from scipy.stats import rankdata

from filters.base import Documents
from filters.toxicity import Toxicity
from filters.toxicity_model import built_in_path
from manifests.digest import digest_bytes
from manifests.errors import InputError, ModelError, RecipeError
from tests.edge_cases import batch, check_filter, measure, reasons
from tests.filters.fasttext_files import write_model
from tests.shared import shared_data


@pytest.fixture
def lexicon(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text("# insults\noaf\nbig oaf\t0.5\noaf's den\t0.25\nnoodle-head\n", "utf-8")
    return str(path)


@pytest.fixture
def model(tmp_path):
    words = {"oaf": (2.0, -2.0), "friend": (-2.0, 2.0)}
    return write_model(tmp_path / "model.bin", words, {"toxic": (1.0, 0.0), "fine": (0.0, 1.0)})


def test_passes_the_edge_cases(lexicon, model):
    check_filter(Toxicity())
    check_filter(Toxicity(lexicon=lexicon, model=model, max_score=0.0, max_lexicon_ratio=0.0))


@pytest.mark.parametrize(
    ("text", "ratio", "count"),
    [
        ("", 0.0, 0),
        ("a friend", 0.0, 0),
        ("you oaf", 0.5, 1),
        ("You OAF!", 0.5, 1),
        ("oaf oaf", 1.0, 2),
        ("big oaf", 0.25, 1),
        ("big\noaf", 0.25, 1),
        ("big, oaf", 0.5, 1),
        ("the big oaf's den", 0.0625 * 2, 1),
        ("an oaf's hat", 1 / 3, 1),
        ("loaf oafs soaf", 0.0, 0),
        ("noodle head", 0.5, 1),
        ("noodle-head", 0.5, 1),
        ("<oaf> 1 2 3", 0.25, 1),
    ],
)
def test_the_ratio_is_the_weights_of_whole_words_over_all_words(lexicon, text, ratio, count):
    rule = Toxicity(lexicon=lexicon)
    assert measure(rule, "num_lexicon_words", [text]) == [count]
    assert measure(rule, "lexicon_ratio", [text]) == [pytest.approx(ratio)]


def test_the_longest_entry_wins_from_left_to_right(tmp_path):
    path = tmp_path / "l.txt"
    path.write_text("a b\t0.1\nb c d\t0.2\nb\t0.3\n")
    assert measure(Toxicity(lexicon=str(path)), "lexicon_ratio", ["a b c d", "x b c d"]) == [0.1 / 4, 0.2 / 4]


def test_without_another_model_the_built_in_one_scores():
    texts = ["You are a pathetic idiot, kill yourself.", "The committee met on Tuesday to read the report.", "..."]
    abuse, report, nothing = measure(Toxicity(), "score", texts)
    assert abuse > 0.9
    assert report < 0.01
    assert nothing == 0.0
    assert reasons(Toxicity(), texts) == ["toxicity.toxic", None, None]
    assert reasons(Toxicity(max_score=None, max_lexicon_ratio=None), texts) == [None, None, None]


def test_the_model_gives_the_score_of_the_named_label(model):
    (toxic,) = measure(Toxicity(model=model), "score", ["oaf"])
    (fine,) = measure(Toxicity(model=model, label="fine"), "score", ["oaf"])
    assert toxic == pytest.approx(1 / (1 + np.exp(-4)), abs=2e-5)
    assert toxic + fine == pytest.approx(1.0, abs=2e-5)
    assert measure(Toxicity(model=model), "score", ["words unknown to it"]) == [0.0]


def test_limits_are_inclusive_zero_is_not_off_and_the_model_decides_first(model, lexicon):
    by_lexicon = {"lexicon": lexicon, "max_score": None}
    assert reasons(Toxicity(**by_lexicon, max_lexicon_ratio=0.5), ["you oaf", "oaf"]) == [
        None,
        "toxicity.abusive_words",
    ]
    assert reasons(Toxicity(**by_lexicon, max_lexicon_ratio=0.0), ["you oaf", "you"]) == [
        "toxicity.abusive_words",
        None,
    ]
    assert reasons(Toxicity(lexicon=lexicon, model=model), ["oaf", "friend"]) == ["toxicity.toxic", None]


def test_the_built_in_lexicon_drops_plain_abuse_and_keeps_a_quoted_word():
    texts = [
        "You are a pathetic idiot, kill yourself.",
        "The committee met on Tuesday to read the report, and a fool was quoted in it.",
        "The patient has breast cancer; classes assess the mass of Scunthorpe grass in the long summer.",
    ]
    assert reasons(Toxicity(max_score=None), texts) == ["toxicity.abusive_words", None, None]
    assert reasons(Toxicity(), texts) == ["toxicity.toxic", None, None]


def test_digests_follow_content_and_thresholds_do_not_count(tmp_path, lexicon):
    copy = tmp_path / "copy.txt"
    shutil.copy(lexicon, copy)
    assert Toxicity(lexicon=lexicon).measuring() == Toxicity(lexicon=str(copy), max_lexicon_ratio=None).measuring()
    assert Toxicity(lexicon=lexicon).measuring() != Toxicity().measuring()
    assert Toxicity().measuring()["lexicon"].startswith("sha256:")
    assert Toxicity().measuring()["model"] == f"sha256:{digest_bytes(Path(built_in_path()).read_bytes())}"
    assert Toxicity(max_score=0.9).measuring() == Toxicity().measuring()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("oaf\t2", r"the weight in 'oaf\\t2' is no number in \(0, 1\]"),
        ("oaf\t0", "is no number"),
        ("oaf\tnan", "is no number"),
        ("oaf\tbad", "is no number"),
        ("***", "has no letter or digit"),
        ("Oaf\t0.5\noaf\t0.25", "'oaf' has two weights, 0.5 and 0.25"),
    ],
)
def test_broken_lexicons_are_refused(tmp_path, line, message):
    (tmp_path / "l.txt").write_text(line + "\n")
    with pytest.raises(RecipeError, match=message):
        Toxicity(lexicon=str(tmp_path / "l.txt")).check()


def test_models_that_cannot_be_used_are_refused(tmp_path, model):
    Toxicity(model=model).check()
    with pytest.raises(
        RecipeError, match=r"label 'toxik' is none of the model's labels \(toxic, fine\); did you mean 'toxic'"
    ):
        Toxicity(model=model, label="toxik").check()
    with pytest.raises(InputError, match="cannot be read"):
        Toxicity(model=str(tmp_path / "absent.bin")).check()
    (tmp_path / "text.bin").write_text("not a model, but some text that is long enough")
    with pytest.raises(ModelError, match="is not a fastText model"):
        Toxicity(model=str(tmp_path / "text.bin")).check()


def test_a_used_config_travels_by_pickle_without_model_and_lexicon(model):
    rule = Toxicity(model=model)
    before = measure(rule, "score", ["you idiot oaf"])
    assert len(pickle.dumps(rule)) < 1000
    assert measure(pickle.loads(pickle.dumps(rule)), "score", ["you idiot oaf"]) == before


def records(name):
    with open(shared_data("text", "toxicity", f"{name}.jsonl.zst"), "rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    return [json.loads(line) for line in text.split("\n") if line]


def ratios(rows):
    return Toxicity().score(Documents(batch([row["text"] for row in rows])))["lexicon_ratio"]


@pytest.mark.shared
def test_mention_of_a_group_does_not_score():
    neutral = [r for r in records("hatecheck_en") if r["functionality"] in ("ident_neutral_nh", "ident_pos_nh")]
    templates = [r for r in records("madlibs_en") if not r["toxic"]]
    assert (len(neutral), len(templates)) == (126, 6549)
    assert np.count_nonzero(ratios(neutral)) == 0
    assert np.count_nonzero(ratios(templates)) == 0


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "floor"), [("wikipedia_comments", 0.73), ("surge_social_media", 0.68), ("madlibs_en", 0.77)]
)
def test_toxic_comments_rank_above_others(name, floor):
    rows = [row for row in records(name) if row.get("variant") != "fuzzed"]
    ranks, toxic = rankdata(ratios(rows)), np.array([bool(row["toxic"]) for row in rows])
    num_toxic, num_other = toxic.sum(), (~toxic).sum()
    area = (ranks[toxic].sum() - num_toxic * (num_toxic + 1) / 2) / (num_toxic * num_other)
    assert area > floor
