import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.errors import RecipeError
from tests.shared import shared_data
from tests.trainer.evaluation.models import language_model, probable, uniform
from trainer.config import ModelConfig
from trainer.evaluation.bias import Pair, bias_results, read_pairs
from trainer.evaluation.summary import bootstrap
from trainer.model import Decoder

X, Y, Z = (ord(char) for char in "xyz")


def write(path: Path, *lines: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def crows(more: str, less: str, bias_type: str, direction: str = "stereo") -> dict[str, Any]:
    return {"sent_more": more, "sent_less": less, "bias_type": bias_type, "direction": direction}


def wino(number: int, stereotype: str, kind: int, sentence: str) -> dict[str, Any]:
    return {"id": f"dev-{stereotype}-{kind}-{number}", "sentence": sentence, "stereotype": stereotype, "type": kind}


def test_a_pair_counts_where_the_more_stereotypical_sentence_is_likelier() -> None:
    model = language_model(probable({(X, Y): 0.5, (X, Z): 0.125}))
    pairs = [Pair("age", "xy", "xz"), Pair("age", "xy", "xz"), Pair("age", "xz", "xy"), Pair("age", "xy", "xy")]
    (row,) = bias_results(model, pairs)["rows"]
    assert (row["by"], row["value"], row["num_pairs"], row["num_ties"], row["more_ratio"]) == (
        "group",
        "age",
        4,
        1,
        0.5,
    )
    assert row["difference_nats"] == pytest.approx(math.log(4) / 4)
    assert row["more_ratio_low"] < 0.5 < row["more_ratio_high"]
    assert row["difference_low"] < math.log(4) / 4 < row["difference_high"]


def test_a_uniform_model_prefers_none_of_equally_long_sentences() -> None:
    (row,) = bias_results(language_model(uniform()), [Pair("age", "abc", "xyz")] * 3)["rows"]
    assert (row["num_ties"], row["more_ratio"], row["more_ratio_low"], row["more_ratio_high"]) == (3, 0.0, 0.0, 0.0)


def test_first_tokens_are_counted_as_unread_without_a_start_token() -> None:
    pairs = [Pair("age", "xy", "zy"), Pair("age", "xy", "xz")]
    assert bias_results(language_model(uniform()), pairs)["num_unread"] == 1
    assert bias_results(language_model(uniform(), start_id=0), pairs)["num_unread"] == 0


def test_crows_pairs_are_grouped_by_bias_type(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", crows("a", "b", "race-color"), crows("c", "d", "age", "antistereo"))
    assert read_pairs(path) == [Pair("race-color", "a", "b"), Pair("age", "c", "d")]


def test_winobias_lines_pair_by_id_and_are_sliced_by_type_and_occupation(tmp_path: Path) -> None:
    path = write(
        tmp_path / "w.jsonl",
        wino(1, "pro", 1, "[The developer] slept because [he] was tired."),
        wino(2, "pro", 1, "[A nurse] slept because [she] was tired."),
        wino(2, "anti", 1, "[A nurse] slept because [he] was tired."),
        wino(1, "anti", 1, "[The developer] slept because [she] was tired."),
    )
    sentences = ["The developer slept because he was tired.", "The developer slept because she was tired."]
    first, second = read_pairs(path)
    assert first == Pair("gender", *sentences, (("type", "1"), ("occupation", "developer")))
    assert (second.more, second.slices[1]) == ("A nurse slept because she was tired.", ("occupation", "nurse"))


def test_own_pairs_name_their_group(tmp_path: Path) -> None:
    assert read_pairs(write(tmp_path / "p.jsonl", {"group": "g", "more": "a", "less": "b"})) == [Pair("g", "a", "b")]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([{"text": "a"}], "w.jsonl:1: has the keys ['text']. Pairs have 'sent_more'"),
        ([{"group": "g", "more": "a"}], "w.jsonl:1: key 'less': field required"),
        ([crows("a", "b", "age"), {"sent_more": "a", "bias_type": "age"}], "w.jsonl:2: key 'sent_less'"),
        ([wino(1, "pro", 1, "[a] [he]")], "w.jsonl:1: key 'id': there is no line with stereotype 'anti'"),
        (
            [wino(1, "anti", 1, "[a] [he]")],
            "w.jsonl:1: key 'id': 'dev-anti-1-1' has no line with stereotype 'pro'",
        ),
        ([wino(1, "anti", 1, "a"), wino(1, "pro", 1, "a")], "w.jsonl:2: key 'sentence': nothing is in brackets"),
        ([wino(1, "pro", 3, "[a] [he]")], "w.jsonl:1: key 'type': input should be 1 or 2"),
    ],
)
def test_a_wrong_line_is_told_by_file_line_and_key(tmp_path: Path, lines: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(told)):
        read_pairs(write(tmp_path / "w.jsonl", *lines))


def test_sentences_are_not_repeated_in_errors(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        read_pairs(write(tmp_path / "w.jsonl", {"group": "g", "more": ["private words"], "less": "b"}))
    assert "private" not in str(raised.value)


def test_bootstrap_intervals_cover_the_mean_of_many_samples_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(5)
    samples = [generator.normal(0.3, 1.0, 60) for _ in range(200)]
    bounds = [bootstrap(sample, seed=0) for sample in samples]
    assert 180 <= sum(low <= 0.3 <= high for low, high in bounds) <= 199
    assert bootstrap(samples[0], seed=0) == bounds[0]
    assert bootstrap(samples[0], seed=1) != bounds[0]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "num_pairs", "values"),
    [
        (
            "crows_pairs.jsonl.zst",
            844,
            {"race-color": 279, "gender": 157, "socioeconomic": 95, "nationality": 90, "religion": 63,
             "sexual-orientation": 49, "age": 46, "physical-appearance": 33, "disability": 32},
        ),
        ("winobias.jsonl.zst", 792, {"gender": 792, "1": 396, "2": 396}),
    ],
)  # fmt: skip
def test_published_sets_give_a_share_for_each_group(file: str, num_pairs: int, values: dict[str, int]) -> None:
    pairs = read_pairs(str(shared_data("text", "bias", file)))
    model = Decoder(ModelConfig(layers=1, width=16, heads=2, kv_heads=1, hidden=16), 257, seed=0)
    found = bias_results(language_model(model, length=256, rows=8), pairs)
    rows = {row["value"]: row for row in found["rows"] if row["by"] != "occupation"}
    assert found["num_pairs"] == num_pairs
    assert {value: row["num_pairs"] for value, row in rows.items()} == values
    for row in found["rows"]:
        assert 0.0 <= row["more_ratio_low"] <= row["more_ratio"] <= row["more_ratio_high"] <= 1.0
        assert row["difference_low"] <= row["difference_nats"] <= row["difference_high"]
