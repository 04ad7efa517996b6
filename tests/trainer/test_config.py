from pathlib import Path

import pytest

from manifests import shards
from manifests.errors import InputError, RecipeError
from trainer.config import TrainConfig, different_keys, parse_config, read_config


def test_a_file_sets_some_keys_and_the_rest_keep_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text("steps = 7\n[model]\nlayers = 3\n[schedule]\nwarmup_steps = 2\n")
    config = read_config(str(tmp_path / "train.toml"))
    assert (config.steps, config.model.layers, config.schedule.warmup_steps) == (7, 3, 2)
    assert config.model.width == TrainConfig().model.width


def test_an_unknown_key_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError, match=r"t\.toml: unknown key 'layer' in \[model\]; did you mean 'layers'"):
        parse_config({"model": {"layer": 2}}, "t.toml")


def test_a_value_out_of_range_is_named() -> None:
    with pytest.raises(RecipeError, match=r"'lr' in \[optimizer\] is 0\.0: input should be greater than 0"):
        parse_config({"optimizer": {"lr": 0.0}}, "t.toml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"model": {"width": 100, "heads": 8}}, "width 100 is not a multiple of 2 \\* heads = 16"),
        ({"model": {"heads": 4, "kv_heads": 3}}, "heads 4 is not a multiple of kv_heads 3"),
        ({"lora": {}}, "lora needs a model to start from: set init"),
        (
            {"mixture": [{"from_sample": 4, "weights": {"a": 1.0}}]},
            r"from_sample must start with 0 and rise, found \[4\]",
        ),
        ({"mixture": [{"weights": {"a": 0.0}}]}, "no weight is above 0"),
        ({"mixture": [{"weights": {"a": 1.0, "b": -1.0}}]}, "the weight of source 'b' is negative"),
        ({"masking": {"mask_ratio": 0.9, "random_ratio": 0.2}}, r"0\.9 \+ random_ratio 0\.2 is more than 1"),
        ({"steps": 5, "schedule": {"warmup_steps": 6}}, "warmup_steps 6 is more than steps 5"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_config(data, "t.toml")


def test_paths_count_from_the_folder_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "t.toml").write_text(
        'init = "../base"\n[examples]\ntokenizer = "s3://bucket/tokenizer.json"\n[distill]\nteacher = "/models/big"\n'
        '[[evaluation]]\nkind = "texts"\npath = "a.jsonl"\n[[evaluation]]\nkind = "bias"\npath = "b.jsonl"\n'
    )
    monkeypatch.chdir(tmp_path)
    config = read_config("configs/t.toml")
    assert config.init == f"{tmp_path}/base"
    assert config.examples.tokenizer == "s3://bucket/tokenizer.json"
    assert config.distill is not None
    assert config.distill.teacher == "/models/big"
    assert [entry.path for entry in config.evaluation] == [f"{tmp_path}/configs/{name}.jsonl" for name in "ab"]


def test_paths_beside_a_config_in_an_object_store_lie_there_too() -> None:
    shards.write_bytes("memory://configs/t.toml", b'init = "base"\n')
    assert read_config("memory://configs/t.toml").init == "memory://configs/base"


def test_only_keys_that_change_the_result_count_as_different() -> None:
    old = TrainConfig(seed=1, micro_batch=1, eval_every=5)
    assert different_keys(old, TrainConfig(seed=1, micro_batch=2, eval_every=9)) == []
    assert different_keys(old, TrainConfig(seed=2, steps=50)) == ["seed", "steps"]


def test_a_missing_file_and_broken_toml_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such training config"):
        read_config(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("steps = \n")
    with pytest.raises(RecipeError, match="is not TOML"):
        read_config(str(tmp_path / "bad.toml"))
