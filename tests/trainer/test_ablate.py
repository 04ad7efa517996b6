import json
import shutil
from dataclasses import replace

import pytest
from scipy import stats

from manifests.errors import JobFailed, RecipeError, StorageError
from manifests.lock import locked
from manifests.manifest import read_manifest, write_manifest
from tests.trainer.ablation.corpora import NUM_TRAIN, NUM_VALIDATION, clean_corpus, corpus, document, row, shuffled
from tests.trainer.ablation.corpora import tiny_config as tiny
from trainer.ablate import ablate
from trainer.ablation.arms import make_arms, runs_of
from trainer.ablation.held_out import HeldOut
from trainer.ablation.plan import Plan, check, held_out_sets
from trainer.ablation.worker import run_arm
from trainer.config import EarlyStoppingConfig
from trainer.context import Context
from trainer.loop import train


def harmed_row(number):
    """Every second row of each source is shuffled."""
    return row(number, shuffled(document(number), number) if number // 2 % 2 else None)


def harmed_corpus(folder):
    return corpus(folder, [harmed_row(number) for number in range(NUM_TRAIN)])


def plan_of(*folders, **changes):
    return Plan(**{"corpora": tuple(map(str, folders)), "config": tiny(), "num_seeds": 3, **changes})


def compare(plan, out):
    """The result of an ablation whose runs are done in this process, which saves starting Python for each."""
    manifests = check(plan)
    held_out = held_out_sets(plan, manifests)
    for arm in make_arms(plan, manifests, str(out)):
        for run in runs_of(plan, arm, str(out)):
            run_arm(run.path, run.config, run.out, held_out, Context())
    lines = []
    result = ablate(plan, str(out), lines.append)
    assert not [line for line in lines if "seed" in line]  # nothing was trained again
    return result


def pairs(result, held_out, piece="all"):
    return {
        (one.first, one.second): one for one in result.comparisons if (one.held_out, one.slice) == (held_out, piece)
    }


def test_a_planted_harm_is_found_with_its_sign_in_every_slice(tmp_path):
    clean_corpus(tmp_path / "a")
    harmed_corpus(tmp_path / "b")
    result = compare(plan_of(tmp_path / "a", tmp_path / "b", config=tiny(steps=40), num_seeds=4), tmp_path / "out")
    assert [(arm.name, arm.num_rows, arm.repeats) for arm in result.arms] == [("A", 64, 2.5), ("B", 64, 2.5)]
    assert [one.slice for one in result.comparisons] == ["all", "source even", "source odd"] * 2
    for one in result.comparisons:
        assert (one.first, one.second, one.difference.num_pairs) == ("A", "B", 4)
        assert one.difference.low > 0.0
        assert one.difference.mean == pytest.approx(one.bits_per_byte[1] - one.bits_per_byte[0])
        assert one.difference.p_value < one.holm_p_value < 0.05
    swapped = compare(plan_of(tmp_path / "b", tmp_path / "a", config=tiny(steps=40), num_seeds=4), tmp_path / "out")
    there, back = pairs(result, "validation of A"), pairs(swapped, "validation of A")
    assert back["A", "B"].difference.mean == -there["A", "B"].difference.mean


def test_a_control_tells_removing_bad_texts_from_removing_any(tmp_path):
    harmed_corpus(tmp_path / "a")
    corpus(tmp_path / "b", [row(number) for number in range(NUM_TRAIN) if not number // 2 % 2])
    result = compare(plan_of(tmp_path / "a", tmp_path / "b", config=tiny(steps=40)), tmp_path / "out")
    assert [(arm.name, arm.num_rows, arm.repeats, arm.size_of) for arm in result.arms] == [
        ("A", 64, 2.5, None),
        ("B", 32, 5.0, None),
        ("random, size of B", 32, 5.0, "B"),
    ]
    assert len(set(result.arms[2].paths)) == 3
    found = pairs(result, "validation of A")
    assert list(found) == [("A", "B"), ("A", "random, size of B"), ("random, size of B", "B")]
    assert found["A", "B"].difference.high < 0.0
    assert found["random, size of B", "B"].difference.high < 0.0
    assert abs(found["A", "random, size of B"].difference.mean) < abs(found["A", "B"].difference.mean) / 2
    without = plan_of(tmp_path / "a", tmp_path / "b", control=False)
    assert [arm.name for arm in make_arms(without, check(without), str(tmp_path))] == ["A", "B"]


def test_documents_that_an_arm_trains_on_are_left_out_for_all(tmp_path):
    clean_corpus(tmp_path / "a")
    known = [row(1000, document(7)), row(1001), row(1002, document(8))]
    corpus(tmp_path / "b", [*map(row, range(200, 220)), row(300, document(1003)), row(1004, document(9))])
    corpus(tmp_path / "set", [row(0)], [*known, *map(row, range(2000, 2020))])
    result = compare(plan_of(tmp_path / "a", tmp_path / "b", held_out=(str(tmp_path / "set"),)), tmp_path / "out")
    facts = {one.name: one for one in result.held_out}
    assert facts["validation of A"].left_out == {
        "A": {"by_id": 0, "by_text": 0},
        "B": {"by_id": 1, "by_text": 1},
    }
    assert (facts["validation of A"].num_documents, facts["validation of A"].num_counted) == (24, 22)
    assert pairs(result, "validation of A")["A", "B"].num_documents == 22
    assert facts["set"].left_out == {"A": {"by_id": 0, "by_text": 2}, "B": {"by_id": 0, "by_text": 0}}
    assert pairs(result, "set")["A", "B"].num_documents == 21
    corpus(tmp_path / "all-known", [row(0)], known[::2])
    with pytest.raises(RecipeError, match="each of its 2 held-out documents is in the training split"):
        ablate(plan_of(tmp_path / "a", tmp_path / "b", held_out=(str(tmp_path / "all-known"),)), str(tmp_path), print)


def test_more_seeds_and_corpora_train_only_what_is_new(tmp_path):
    clean_corpus(tmp_path / "a")
    harmed_corpus(tmp_path / "b")
    first = compare(plan_of(tmp_path / "a", tmp_path / "b", num_seeds=2), tmp_path / "out")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("held_out/*.parquet")}
    assert len(written) == 2 * 2 * 2  # arms, seeds, held-out sets
    corpus(tmp_path / "c", [row(number) for number in range(300, 300 + NUM_TRAIN)])
    more = compare(plan_of(tmp_path / "a", tmp_path / "c", tmp_path / "b"), tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert pairs(more, "validation of A")["A", "C"].difference.num_pairs == 3
    assert json.loads((tmp_path / "out" / "ablation.json").read_text())["num_seeds"] == 3
    again = compare(plan_of(tmp_path / "a", tmp_path / "b", num_seeds=2), tmp_path / "out")
    assert again == first


def test_the_seeds_that_would_show_an_effect_follow_from_the_spread(tmp_path):
    clean_corpus(tmp_path / "a")
    harmed_corpus(tmp_path / "b")
    rough, fine = (
        compare(plan_of(tmp_path / "a", tmp_path / "b", effect_ratio=ratio), tmp_path / "out").comparisons[0]
        for ratio in (0.5, 0.0005)
    )
    assert rough.more_seeds == 0
    assert fine.more_seeds is not None
    # About 2 * (1.96 + 0.84)**2 / 2 = 7.85 times the squared ratio of spread and effect, and a few for the t.
    ratio = fine.difference.sd / (0.0005 * fine.bits_per_byte[0])
    assert fine.more_seeds + 3 == pytest.approx(7.85 * ratio**2, abs=3)


def test_what_cannot_be_compared_is_refused_before_anything_is_trained(tmp_path):
    clean_corpus(tmp_path / "a")
    harmed_corpus(tmp_path / "b")
    plan = plan_of(tmp_path / "a", tmp_path / "b")
    manifest = read_manifest(str(tmp_path / "b"))
    for name, changes in {
        "tokenizer": {"tokenizer": manifest.tokenizer.model_copy(update={"sha256": "0" * 64})},
        "length": {"packing": manifest.packing.model_copy(update={"length": 32})},
    }.items():
        write_manifest(str(tmp_path / name), manifest.model_copy(update=changes))
    wrong = {
        "are the same corpus": replace(plan, corpora=(*plan.corpora, plan.corpora[0])),
        "an ablation compares 2 to 26": replace(plan, corpora=plan.corpora[:1]),
        "--seeds 2 or more": replace(plan, num_seeds=1),
        "bits per byte are of next tokens": replace(plan, config=tiny(objective="masked")),
        "unlike numbers of steps": replace(plan, config=tiny(early_stopping=EarlyStoppingConfig())),
        r"Build it with \[tokenize\] tokenizer = \".*/a/tokenizer.json\"": plan_of(
            tmp_path / "a", tmp_path / "tokenizer"
        ),
        r"Build it with \[pack\] length = 16": plan_of(tmp_path / "a", tmp_path / "length"),
        "two held-out sets are named 'b'": replace(plan, held_out=(str(tmp_path / "b"), str(tmp_path / "x" / "b"))),
    }
    clean_corpus(tmp_path / "x" / "b")
    for message, one in wrong.items():
        with pytest.raises(RecipeError, match=message):
            ablate(one, str(tmp_path / "out"), print)
    assert not (tmp_path / "out").exists()


def test_corpora_without_validation_rows_need_held_out_texts(tmp_path):
    for name, start in (("a", 0), ("b", 100)):
        corpus(tmp_path / name, [row(start + number) for number in range(NUM_TRAIN)], [])
    with pytest.raises(RecipeError, match="none of the corpora has validation rows"):
        ablate(plan_of(tmp_path / "a", tmp_path / "b"), str(tmp_path / "out"), print)
    clean_corpus(tmp_path / "set")
    result = compare(plan_of(tmp_path / "a", tmp_path / "b", held_out=(str(tmp_path / "set"),)), tmp_path / "out")
    assert [(one.name, one.num_counted) for one in result.held_out] == [("set", NUM_VALIDATION)]


def test_a_run_that_another_process_does_is_left_to_it(tmp_path):
    clean_corpus(tmp_path / "a")
    with locked(str(tmp_path / "run")), pytest.raises(StorageError, match="run: another process writes to this folder"):
        run_arm(str(tmp_path / "a"), tiny(), str(tmp_path / "run"), [HeldOut("a", str(tmp_path / "a"))], Context())


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_are_kept(tmp_path):
    clean_corpus(tmp_path / "a")
    harmed_corpus(tmp_path / "b")
    plan, out, lines = plan_of(tmp_path / "a", tmp_path / "b", num_seeds=2, jobs=2), tmp_path / "out", []
    other = runs_of(plan, make_arms(plan, check(plan), str(out))[1], str(out))[1]
    train((other.path,), tiny(seed=1, clip=0.5), other.out, Context())
    with pytest.raises(
        JobFailed, match=r"1 of 4 runs failed: B, seed 1: error: .*'clip': 0.5.* \(exit code 1, all of it in .*log.txt"
    ):
        ablate(plan, str(out), lines.append)
    assert sorted(line.split(" in ")[0] for line in lines[2:]) == [
        "A, seed 0: done", "A, seed 1: done", "B, seed 0: done", "B, seed 1: failed",
    ]  # fmt: skip
    assert not (out / "ablation.json").exists()
    shutil.rmtree(other.out)
    lines.clear()
    ablate(plan, str(out), lines.append)
    assert [line.split(" in ")[0] for line in lines[2:]] == ["3 of 4 runs are done", "B, seed 1: done"]
    assert compare(plan, out).num_seeds == 2  # a run in this process finds nothing left to do


@pytest.mark.slow
def test_intervals_cover_zero_where_the_corpora_have_the_same_texts(tmp_path):
    num_repeats, num_seeds = 40, 3
    rows = [row(number) for number in range(NUM_TRAIN)]
    corpus(tmp_path / "a", rows)
    corpus(tmp_path / "b", rows[::-1])  # the same rows under other numbers: the order of a seed is another one
    plan = plan_of(tmp_path / "a", tmp_path / "b", num_seeds=num_seeds)
    covered = 0
    for repeat in range(num_repeats):
        config = tiny(seed=repeat * num_seeds)
        (one,) = pairs(compare(replace(plan, config=config), tmp_path / "out"), "validation of A").values()
        assert one.difference.sd > 0.0
        covered += one.difference.low <= 0.0 <= one.difference.high
    low, _ = stats.binom.interval(0.999, num_repeats, 0.95)
    assert covered >= low
