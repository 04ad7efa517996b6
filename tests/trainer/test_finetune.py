"""Tuning runs through the loop: from nothing, from a checkpoint, from a Hugging Face folder."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.synthetic import counting_corpus, small_config
from tests.trainer.tiny import EXAMPLES, WORDS, folder, run, tuning, vocab_size, write_hugging_face, write_tokenizer
from trainer.checkpoint import read_model
from trainer.context import Context
from trainer.loop import train

STEPS = {objective: 60 if objective in ("preference", "classification") else 150 for objective in EXAMPLES}
LIMITS = {"preference": 0.2, "classification": 0.02}  # nats a pair, an example; others a token


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    return str(write_tokenizer(tmp_path / "tokenizer"))


@pytest.mark.parametrize("objective", EXAMPLES)
def test_eight_examples_are_learnt_by_heart_from_scratch(objective: str, tmp_path: Path, tokenizer: str) -> None:
    config = tuning(objective, steps=STEPS[objective], examples={"tokenizer": tokenizer, "length": 64})
    metrics = run(tmp_path, "run", config)
    assert metrics[-1]["loss"] < LIMITS.get(objective, 0.1) < metrics[0]["loss"]
    if objective in LIMITS:
        assert metrics[-1]["accuracy"] == 1.0
    assert set(metrics[0]["loss_by_source"]) == {"run.jsonl"}


@pytest.mark.parametrize(
    ("family", "objective"),
    [
        ("gpt2", "instruction"), ("gpt2", "preference"), ("gpt2", "classification"), ("llama", "instruction"),
        ("llama", "classification"), ("bert", "classification"), ("t5", "translation"), ("t5", "question_answering"),
    ],
)  # fmt: skip
def test_eight_examples_are_learnt_by_heart_from_a_folder_and_read_back(
    family: str, objective: str, tmp_path: Path
) -> None:
    changes = {name: 0.0 for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop")} if family == "gpt2" else {}
    init = write_hugging_face(tmp_path / family, family, **changes)
    config = tuning(objective, init=init, steps=STEPS[objective], examples={"length": 64})
    metrics = run(tmp_path, "run", config)
    assert metrics[-1]["loss"] < LIMITS.get(objective, 0.2) < metrics[0]["loss"]
    shutil.rmtree(tmp_path / family)
    model, state = read_model(folder(tmp_path / "run"))
    shutil.copytree(tmp_path / "run", tmp_path / "init")
    again = tuning(
        objective, init=str(tmp_path / "init"), steps=1, schedule={"warmup_steps": 1}, examples={"length": 64}
    )
    if objective != "preference":  # tuned again, a model is its own reference: its first loss is ln 2
        assert run(tmp_path, "again", again)[0]["loss"] < LIMITS.get(objective, 0.2)
    assert (state.step, model.training) == (config.steps, True)


def test_what_was_learnt_before_helps(tmp_path: Path, tokenizer: str) -> None:
    """A model that has learnt to count in a corpus is tuned to count on in answers."""
    size = vocab_size(Path(tokenizer))
    counting_corpus(tmp_path / "corpus", vocab_size=size)
    shutil.copy(tokenizer, tmp_path / "corpus" / "tokenizer.json")
    shape = {"layers": 2, "width": 32, "heads": 2, "kv_heads": 1, "hidden": 64}
    config = small_config(steps=80, model=shape, optimizer={"lr": 1e-2})
    train([str(tmp_path / "corpus")], config, str(tmp_path / "counting"), Context())
    words = [word for word in dict.fromkeys(WORDS.split(" ")) if word.isalpha()]
    # Neighbours in the vocabulary; every third start, so that most words are never an answer's first.
    records = [
        {"prompt": " ".join(words[start : start + 3]), "response": " ".join(words[start + 3 : start + 5])}
        for start in range(10, 34, 3)
    ]
    settings: dict[str, Any] = {"steps": 12, "optimizer": {"lr": 3e-3}, "schedule": {"warmup_steps": 2}}
    examples = {"template": "{prompt} "}
    tuned = run(
        tmp_path,
        "tuned",
        tuning("instruction", init=str(tmp_path / "counting"), examples=examples, **settings),
        records,
    )
    scratch = run(
        tmp_path, "scratch", tuning("instruction", examples={**examples, "tokenizer": tokenizer}, **settings), records
    )
    assert tuned[-1]["loss"] < 0.7 * scratch[-1]["loss"]
