from pathlib import Path

import pytest
import torch
from torch import nn

from manifests.errors import ManifestMismatch
from manifests.manifest import write_manifest
from tests.trainer.synthetic import counting_corpus, small_config
from trainer.data import open_data
from trainer.evaluation.target import Target


def write_tiktoken_corpus(folder: Path, pretokenizer: str) -> str:
    manifest = counting_corpus(folder)
    (folder / "vocabulary.tiktoken").write_bytes(b"YQ== 0")
    facts = {"path": "vocabulary.tiktoken", "kind": "tiktoken", "pretokenizer": pretokenizer}
    write_manifest(str(folder), manifest.model_copy(update={"tokenizer": manifest.tokenizer.model_copy(update=facts)}))
    return str(folder)


def test_rows_of_another_split_rule_are_refused(tmp_path: Path) -> None:
    one, other = (write_tiktoken_corpus(tmp_path / name, name) for name in ("cl100k_base", "o200k_base"))
    data = open_data([one], small_config())
    target = Target(one, nn.Identity(), torch.device("cpu"), 64, 32, 0, data.tokenizer, data=data)
    with pytest.raises(ManifestMismatch, match="which cuts texts otherwise"):
        target.corpus(other)
