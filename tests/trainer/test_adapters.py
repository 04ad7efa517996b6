from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from tests.trainer.synthetic import counting_corpus, small_config, train_rows
from tests.trainer.test_stream import one_row
from trainer.adapters import Batches, Samples, example
from trainer.data import open_data

# torch warns of more workers than there are cores, however many those are here.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def test_a_row_becomes_what_a_decoder_of_transformers_takes(tmp_path: Path) -> None:
    found = example(one_row(tmp_path).read(np.array([0])))
    assert found["input_ids"].tolist() == [5, 6, 7, 0, 8, 9, 0, 0, 0]
    assert found["labels"].tolist() == [-100, 6, 7, 0, -100, 9, 0, -100, -100]
    assert found["position_ids"].tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1]
    mask = found["attention_mask"][0].int().tolist()
    assert mask[3] == [1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert mask[5] == [0, 0, 0, 0, 1, 1, 0, 0, 0]
    assert mask[8] == [0, 0, 0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
def test_every_batch_comes_once_and_in_order_for_any_number_of_workers(tmp_path: Path, num_workers: int) -> None:
    counting_corpus(tmp_path)
    config = small_config(global_batch=5)
    batches = Batches([str(tmp_path)], config, 3, 9, rank=1, world_size=2)
    found = [batch.rows.tolist() for batch in DataLoader(batches, batch_size=None, num_workers=num_workers)]
    stream = open_data([str(tmp_path)], config).train
    assert found == [stream.batch(step, 1, 2).rows.tolist() for step in range(3, 10)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_samples_are_the_rows_of_the_steps(tmp_path: Path, num_workers: int) -> None:
    counting_corpus(tmp_path)
    config = small_config(global_batch=3, steps=4)
    loader = DataLoader(Samples([str(tmp_path)], config), batch_size=3, num_workers=num_workers)
    found = [batch["input_ids"].tolist() for batch in loader]
    stream = open_data([str(tmp_path)], config).train
    assert found == [stream.batch(step, 0, 1).tokens.tolist() for step in range(1, 5)]


def tiny_llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    return LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=2, num_key_value_heads=1))


def test_documents_in_a_row_are_to_transformers_as_if_each_were_alone(tmp_path: Path) -> None:
    batch = train_rows(tmp_path, counting_corpus(tmp_path)).read(np.array([4]))
    model = tiny_llama().eval()
    with torch.no_grad():
        loss = model(**{name: value[None] for name, value in example(batch).items()}).loss
        sums = []
        for start, length in zip([0, int(batch.segment_length[0])], batch.segment_length.tolist(), strict=True):
            tokens = torch.from_numpy(batch.tokens[0, start : start + length].astype(np.int64))[None]
            logits = model(tokens).logits
            sums.append(F.cross_entropy(logits[0, :-1], tokens[0, 1:], reduction="sum"))
    num_targets = int(batch.segment_length.sum()) - 2
    assert float(loss) == pytest.approx(float(sum(sums)) / num_targets, rel=1e-5)


def test_the_trainer_of_transformers_reads_the_rows_of_our_loop_and_learns(tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments, default_data_collator

    counting_corpus(tmp_path / "corpus")
    config = small_config(global_batch=4, steps=12)
    seen: list[list[list[int]]] = []

    def collate(examples: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
        batch: dict[str, Any] = default_data_collator(examples)
        seen.append(batch["input_ids"].tolist())
        return batch

    arguments = TrainingArguments(
        output_dir=str(tmp_path / "run"), max_steps=12, per_device_train_batch_size=4, learning_rate=1e-2,
        train_sampling_strategy="sequential", logging_steps=1, save_strategy="no", report_to=[], use_cpu=True,
        disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    samples = Samples([str(tmp_path / "corpus")], config)
    trainer = Trainer(model=tiny_llama(), args=arguments, train_dataset=samples, data_collator=collate)
    trainer.train()
    stream = open_data([str(tmp_path / "corpus")], config).train
    assert seen[:12] == [stream.batch(step, 0, 1).tokens.tolist() for step in range(1, 13)]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 12
    assert losses[-1] < 0.9 * losses[0]
