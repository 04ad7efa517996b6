"""Tiny tokenizers, examples and transformers models, made on the spot."""

import json
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers, processors

from trainer.checkpoint import latest_checkpoint
from trainer.config import TrainConfig
from trainer.context import Context
from trainer.loop import train
from trainer.run_files import read_metrics

# Word-level: a test can read ids. Template words first, so that answers have high numbers.
WORDS = (
    "User : Assistant Question Answer Summary Translation \n \n\n red green blue one two three four five six seven "
    "eight warm cold is the sky what good bad film very not a great dull fine poor en de eins zwei drei"
)
SPECIAL = ("<|endoftext|>", "[UNK]", "[CLS]", "[SEP]")


def write_tokenizer(folder: Path, *, frame: bool = False) -> Path:
    """A word-level tokenizer.json that splits at blanks and keeps line ends; with frame it adds [CLS] and [SEP]."""
    words = [*SPECIAL, *dict.fromkeys(WORDS.split(" "))]
    vocab = {word: number for number, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    split = pre_tokenizers.Split(tokenizers.Regex(r" "), "removed")
    lines = pre_tokenizers.Split(tokenizers.Regex(r"\n\n|\n|:"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, lines])
    tokenizer.add_special_tokens(list(SPECIAL))
    if frame:
        tokenizer.post_processor = processors.TemplateProcessing(
            "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def vocab_size(path: Path) -> int:
    size: int = tokenizers.Tokenizer.from_file(str(path)).get_vocab_size()
    return size


def write_jsonl(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}),
    "qwen2": (
        "Qwen2ForCausalLM",
        {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "max_position_embeddings": 64,
        },
    ),
    "bloom": ("BloomForCausalLM", {"hidden_size": 32, "n_layer": 2, "n_head": 2}),
    "mamba": ("MambaForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "llama": (
        "LlamaForCausalLM",
        {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "max_position_embeddings": 64,
        },
    ),
    "bert": (
        "BertForMaskedLM",
        {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
            "max_position_embeddings": 64, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        },
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {
            "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0,
            "decoder_start_token_id": 0,
        },
    ),
}  # fmt: skip


def write_hugging_face(folder: Path, kind: str, **changes: Any) -> str:
    """A new model of a family with its tokenizer, in the Hugging Face layout."""
    name, shape = SHAPES[kind]
    size = vocab_size(write_tokenizer(folder, frame=kind in ("bert", "t5")))
    cls = getattr(transformers, name)
    ids = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None if kind == "bert" else 0}
    if kind == "t5":
        ids |= {"eos_token_id": 3, "pad_token_id": 0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cls(cls.config_class(vocab_size=size, **ids, **shape, **changes)).save_pretrained(folder)
    return str(folder)


def tuning(objective: str, **changes: Any) -> TrainConfig:
    """Short runs of a tiny model; every example trains."""
    settings = {
        "objective": objective, "precision": "fp32", "steps": 60, "global_batch": 4, "micro_batch": 4,
        "checkpoint_every": 30, "report_every": 30, "schedule": {"warmup_steps": 5},
        "model": {"layers": 2, "width": 32, "heads": 2, "kv_heads": 2, "hidden": 64},
        "optimizer": {"lr": 1e-2, "weight_decay": 0.0},
        "examples": {"length": 32, "validation_ratio": 0.0},
    }  # fmt: skip
    examples = {**settings["examples"], **changes.pop("examples", {})}  # type: ignore[dict-item]
    return TrainConfig.model_validate({**settings, **changes, "examples": examples})


COLOURS = ("red", "green", "blue", "one", "two", "three", "four", "five")
PAIRS = list(zip(COLOURS, COLOURS[::-1], strict=True))
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "instruction": [{"prompt": f"what is {one}", "response": other} for one, other in PAIRS],
    "question_answering": [
        {"context": f"the sky is {one}", "question": "what is the sky", "answer": one} for one in COLOURS
    ],
    "summarization": [{"document": f"the film is very very {one}", "summary": one} for one in COLOURS],
    "translation": [{"source": one, "target": other, "target_language": "de"} for one, other in PAIRS],
    "preference": [{"prompt": f"what is {one}", "chosen": other, "rejected": one} for one, other in PAIRS],
    "classification": [
        {"text": f"the film is {how} {what}", "label": what}
        for how in ("very", "not", "a", "one")
        for what in ("good", "bad")
    ],
}


def run(tmp_path: Path, name: str, config: TrainConfig, records: list[Any] | None = None) -> list[dict[str, Any]]:
    path = write_jsonl(tmp_path / f"{name}.jsonl", EXAMPLES[config.objective] if records is None else records)
    train([path], config, str(tmp_path / name), Context())
    return read_metrics(str(tmp_path / name))


def folder(out: Path) -> str:
    """The last checkpoint of a run."""
    found = latest_checkpoint(str(out))
    assert found is not None
    return found
