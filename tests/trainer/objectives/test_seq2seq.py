from pathlib import Path

import pytest
import torch
import transformers

from tests.trainer.tiny import tuning, write_hugging_face, write_jsonl
from trainer.data import open_data
from trainer.models import make_model
from trainer.objectives import make_objective

RECORDS = [{"document": "red green", "summary": "one"}, {"document": "blue", "summary": "two three"}]


def test_losses_are_those_that_transformers_computes_from_labels(tmp_path: Path) -> None:
    init = write_hugging_face(tmp_path / "t5", "t5")
    config = tuning("summarization", init=init)
    data = open_data([write_jsonl(tmp_path / "data.jsonl", RECORDS)], config)
    model, objective = make_model(config, data).eval(), make_objective(config, data)
    batch = data.train.batch(1, 0, 1).cut(0, 1)
    losses = objective.losses(model, objective.tensors(batch, torch.device("cpu")))
    sums = losses.by_segment(batch.total_segments)
    documents = data.train.documents(int(batch.rows[0]))["segment_doc"]
    assert sorted(documents) == ["data.jsonl:1", "data.jsonl:2"]
    plain = transformers.AutoModelForSeq2SeqLM.from_pretrained(init).eval()
    inputs = {"data.jsonl:1": [2, 13, 14, 12, 9, 5, 11, 3], "data.jsonl:2": [2, 15, 12, 9, 5, 11, 3]}
    labels = {"data.jsonl:1": [2, 16, 3], "data.jsonl:2": [2, 17, 18, 3]}
    for number, name in enumerate(documents):
        loss = plain(input_ids=torch.tensor([inputs[name]]), labels=torch.tensor([labels[name]])).loss
        assert sums[1, number] == len(labels[name])
        assert float(sums[0, number]) == pytest.approx(float(loss.detach()) * len(labels[name]), abs=1e-4)
