import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from manifests.errors import RecipeError
from manifests.manifest import read_manifest
from tests.trainer.ablation.corpora import LENGTH, WORDS, clean_corpus, corpus, document, row
from tests.trainer.synthetic import END_OF_TEXT, Segments
from trainer.ablation.held_out import (
    LOSSES,
    MIN_SLICE_DOCUMENTS,
    HeldOut,
    documents_of,
    losses_by_document,
    overlaps,
    slices,
)
from trainer.config import ModelConfig
from trainer.model import Decoder

CPU = torch.device("cpu")


class Uniform(torch.nn.Module):
    """Every token is as likely as any other."""

    def forward(self, tokens, segment):
        return torch.zeros(*tokens.shape, WORDS + 1)


def held_out_of(folder):
    return HeldOut("set", str(folder))


def test_losses_of_each_document_are_its_targets_times_their_loss(tmp_path):
    long = document(7)
    pieces = [Segments((("long", 0, long[:-1]),)), Segments((("short", 1, (3, 4, END_OF_TEXT)), ("long", 0, long[:5])))]
    corpus(tmp_path, [row(0)], pieces)
    found = losses_by_document(Uniform(), held_out_of(tmp_path), 2, CPU)
    assert found.schema == LOSSES
    # The first token of each piece is not predicted. Each text token stands for three bytes, end of text for none.
    targets = [LENGTH - 1 + 4, 2]
    assert found["doc_id"].to_pylist() == ["long", "short"]
    assert found["source"].to_pylist() == ["even", "odd"]
    assert found["language"].to_pylist() == found["quality"].to_pylist() == ["unknown", "unknown"]
    assert found["num_targets"].to_pylist() == targets
    assert found["num_bytes"].to_pylist() == [3.0 * (LENGTH - 1 + 4), 3.0]
    assert found["nats"].to_pylist() == pytest.approx([number * math.log(WORDS + 1) for number in targets])


def test_losses_do_not_depend_on_how_many_rows_are_read_at_a_time(tmp_path):
    clean_corpus(tmp_path)
    model = Decoder(ModelConfig(layers=1, width=16, heads=2, kv_heads=1, hidden=32), WORDS + 1, 0)
    one, all_at_once = (losses_by_document(model, held_out_of(tmp_path), number, CPU) for number in (1, 100))
    assert one.drop_columns("nats") == all_at_once.drop_columns("nats")
    assert one["nats"].to_pylist() == pytest.approx(all_at_once["nats"].to_pylist(), rel=1e-5)
    assert documents_of(held_out_of(tmp_path)) == set(one["doc_id"].to_pylist())


def test_a_document_is_found_in_a_training_split_by_its_id_and_by_its_text(tmp_path):
    reserved = [row(number) for number in range(1000, 1004)]
    corpus(tmp_path / "set", [row(0)], reserved)
    same_id = row(1001, document(5))
    same_text = Segments((("another id", 0, document(1002)),))
    other_text = Segments((("yet another", 1, document(1003)[:-2]),))  # not a whole segment
    corpus(tmp_path / "b", [row(1), same_id, same_text, other_text])
    (found,) = overlaps([held_out_of(tmp_path / "set")], str(tmp_path / "b"))
    assert (found.by_id, found.by_text) == ({"doc-001001"}, {"doc-001002"})
    clean_corpus(tmp_path / "other")  # reserves the same documents and more
    sets = [held_out_of(tmp_path / name) for name in ("other", "set", "b")]
    both, again, own = overlaps(sets, str(tmp_path / "b"))
    assert (both, again) == (found, found)
    assert (own.by_id, own.by_text) == ({"doc-001001"}, {"doc-001002"})


def test_a_text_among_others_in_a_row_is_found_too(tmp_path):
    corpus(tmp_path / "set", [row(0)], [Segments((("x", 0, (1, 2, 0)), ("y", 1, (3, 4, 5, 0)), ("z", 1, (6, 0))))])
    corpus(tmp_path / "b", [row(1), Segments((("p", 1, (9, 9, 0)), ("q", 1, (3, 4, 5, 0)), ("r", 1, (6, 6))))])
    (found,) = overlaps([held_out_of(tmp_path / "set")], str(tmp_path / "b"))
    assert (found.by_id, found.by_text) == (set(), {"y"})


def table(sources, languages):
    size = len(sources)
    columns = [[str(number) for number in range(size)], sources, languages, ["unknown"] * size, *[[1.0] * size] * 3]
    return pa.table(dict(zip(LOSSES.names, columns, strict=True)), schema=LOSSES)


def test_slices_are_those_of_several_values_with_enough_documents():
    few = MIN_SLICE_DOCUMENTS - 1
    losses = table(["web"] * 30 + ["books"] * 20, ["en"] * 40 + ["de"] * few + ["unknown"])
    found = slices(losses, np.ones(50, np.bool_))
    assert {name: int(mask.sum()) for name, mask in found.items()} == {
        "all": 50, "source books": 20, "source web": 30, "language en": 40,
    }  # fmt: skip
    some = np.arange(50) < 30
    assert list(slices(losses, some)) == ["all"]  # of one source and one language: the same as all
    assert int(slices(losses, np.arange(50) < 3)["all"].sum()) == 3


def test_a_corpus_without_validation_rows_is_no_held_out_set(tmp_path):
    corpus(tmp_path, [row(0), row(1)], [])
    assert read_manifest(str(tmp_path)).packing.num_validation_rows == 0
    with pytest.raises(RecipeError, match="no validation rows to measure on"):
        held_out_of(tmp_path).manifest  # noqa: B018
