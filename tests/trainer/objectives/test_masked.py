import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.reference import masked as slow
from tests.trainer.synthetic import counting_corpus, small_config
from trainer.bert import make_bert
from trainer.config import MaskingConfig, ModelConfig
from trainer.data import open_data
from trainer.objectives import make_objective
from trainer.objectives.masked import Masked, Masking
from trainer.special_tokens import SpecialIds
from trainer.stream import Batch
from trainer.token_losses import IGNORED

CPU = torch.device("cpu")
SHAPE = ModelConfig(layers=2, width=32, heads=2, kv_heads=2, hidden=64)
MASKING = Masking(MaskingConfig(), seed=5, vocab_size=64, end_of_text_id=0, special={})


def batch_of(folder: Path, num_rows: int = 8, length: int = 32) -> Batch:
    """The first step of a corpus: all its rows."""
    counting_corpus(folder, num_rows=num_rows, length=length)
    return open_data([str(folder)], small_config(global_batch=num_rows)).train.batch(1, 0, 1)


def test_what_is_hidden_equals_the_slow_twin(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    seen, target = MASKING.hide(batch)
    expected_seen, expected_target = batch.tokens.astype(np.int64), np.full(batch.tokens.shape, IGNORED)
    for row, position in zip(*np.nonzero(MASKING.is_text(batch)), strict=True):
        place = (int(batch.rows[row]), int(batch.samples[row]), int(position))
        shown, asked = slow.hide(int(batch.tokens[row, position]), place, 5, list(range(1, 64)), 64, (0.15, 0.8, 0.1))
        expected_seen[row, position] = shown
        expected_target[row, position] = IGNORED if asked is None else asked
    assert seen.tolist() == expected_seen.tolist()
    assert target.tolist() == expected_target.tolist()
    assert (target != IGNORED).sum() > 20


def test_shares_are_those_of_the_config_within_binomial_bounds(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, num_rows=600, length=256)
    seen, target = MASKING.hide(batch)
    is_target = target != IGNORED
    num_text, num_targets = int(MASKING.is_text(batch).sum()), int(is_target.sum())
    assert num_text > 150_000
    # Four standard deviations of a binomial share.
    assert num_targets / num_text == pytest.approx(0.15, abs=4 * math.sqrt(0.15 * 0.85 / num_text))
    masked = (seen == 64)[is_target].mean()
    kept = (seen == batch.tokens)[is_target].mean()
    assert masked == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / num_targets))
    # One in 63 of those drawn anew is what it was.
    assert kept == pytest.approx(0.1 + 0.1 / 63, abs=4 * math.sqrt(0.1 * 0.9 / num_targets))
    drawn = seen[is_target & (seen != 64) & (seen != batch.tokens)]
    assert sorted(set(drawn.tolist())) == list(range(1, 64))


def test_padding_and_special_tokens_are_never_hidden_and_never_drawn(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, num_rows=40)
    always = MaskingConfig(ratio=0.999, mask_ratio=0.0, random_ratio=1.0)
    masking = Masking(always, 0, 64, 0, {"<pad>": 0, "<reserved>": 17, "[MASK]": 63})
    seen, target = masking.hide(batch)
    assert masking.ids == SpecialIds(64, 65, 66)
    for token in (0, 17, 63):
        place = batch.tokens == token
        assert place.any()
        assert (target[place] == IGNORED).all()
        assert (seen[place] == token).all()
        assert token not in seen[target != IGNORED]
    assert len(set(seen[target != IGNORED].tolist())) == 61
    assert (MASKING.hide(batch)[1][batch.segment < 0] == IGNORED).all()


def test_a_tokenizer_with_special_tokens_of_its_own_keeps_them(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    masking = replace(MASKING, special={"[CLS]": 61, "[SEP]": 62, "[MASK]": 63})
    assert masking.ids == SpecialIds(63, 61, 62)
    seen, target = masking.hide(batch)
    assert (seen[target != IGNORED] == 63).mean() > 0.5


def test_rows_are_masked_alike_in_any_micro_batch_and_on_any_worker(tmp_path: Path) -> None:
    counting_corpus(tmp_path)
    stream = open_data([str(tmp_path)], small_config(global_batch=12)).train
    seen, target = MASKING.hide(stream.batch(3, 0, 1))
    for world_size in (2, 3, 5):
        parts = [MASKING.hide(stream.batch(3, rank, world_size)) for rank in range(world_size)]
        assert np.concatenate([part[0] for part in parts]).tolist() == seen.tolist()
        assert np.concatenate([part[1] for part in parts]).tolist() == target.tolist()
    assert MASKING.hide(stream.batch(3, 0, 1).cut(7, 9))[0].tolist() == seen[7:9].tolist()


def test_another_epoch_and_another_seed_mask_other_tokens(tmp_path: Path) -> None:
    counting_corpus(tmp_path, num_rows=6)
    stream = open_data([str(tmp_path)], small_config(global_batch=6)).train
    first, second = stream.batch(1, 0, 1), stream.batch(2, 0, 1)
    again = [second.rows.tolist().index(row) for row in first.rows.tolist()]
    assert second.tokens[again].tolist() == first.tokens.tolist()
    assert MASKING.hide(second)[1][again].tolist() != MASKING.hide(first)[1].tolist()
    assert replace(MASKING, seed=6).hide(first)[1].tolist() != MASKING.hide(first)[1].tolist()


@torch.no_grad()
def test_documents_of_a_row_do_not_see_each_other(tmp_path: Path) -> None:
    batch = batch_of(tmp_path).cut(0, 2)
    model = make_bert(small_config(model=SHAPE), 64, 32, 0, next_sentence=False).eval()
    tensors = Masked(MASKING).tensors(batch, CPU)
    second = tensors.segment == 1
    other = replace(tensors, inputs=torch.where(second, (tensors.inputs + 7) % 64, tensors.inputs))

    def moved() -> torch.Tensor:
        logits = [model(each.inputs, each.segment) for each in (tensors, other)]
        return (logits[0] - logits[1]).abs().amax(dim=-1)

    assert float(moved()[second].min()) > 0.0
    assert float(moved()[~second].max()) == 0.0
    losses = [Masked(MASKING).losses(model, each).values for each in (tensors, other)]
    assert torch.equal(losses[0][~second], losses[1][~second])
    assert not torch.equal(losses[0][second], losses[1][second])
    # The eager attention adds a mask of truth values to the scores instead: documents see each other.
    model.inner.set_attn_implementation("eager")
    assert float(moved()[~second].max()) > 0.0


@torch.no_grad()
def test_a_document_has_the_same_losses_packed_as_alone(tmp_path: Path) -> None:
    batch = batch_of(tmp_path).cut(0, 1)
    model = make_bert(small_config(model=SHAPE), 64, 32, 0, next_sentence=False).eval()
    tensors = Masked(MASKING).tensors(batch, CPU)
    place = torch.nonzero(tensors.segment[0] == 1).flatten()
    alone = type(tensors)(*(getattr(tensors, name)[:, place] for name in ("inputs", "segment", "target", "number")))
    packed = Masked(MASKING).losses(model, tensors).values[:, place]
    torch.testing.assert_close(packed, Masked(MASKING).losses(model, alone).values, rtol=0, atol=1e-5)
    assert float(packed.max()) > 0.0


def test_a_batch_without_text_gives_no_target_and_gradients_of_zero() -> None:
    none = np.empty(0, np.int64)
    batch = Batch(np.zeros((1, 33), np.uint16), np.zeros(1, np.int64), none, none, none)
    model = make_bert(small_config(model=SHAPE), 64, 32, 0, next_sentence=False)
    losses = Masked(MASKING).losses(model, Masked(MASKING).tensors(batch, CPU))
    assert not losses.is_target.any()
    losses.values.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_eight_rows_are_learnt_by_heart(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    config = small_config(model=SHAPE, objective="masked")
    model = make_bert(config, 64, 32, 0, next_sentence=False)
    objective = make_objective(config, open_data([str(tmp_path)], config))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    tensors = objective.tensors(batch, CPU)
    seen = []
    for _ in range(120):
        losses = objective.losses(model, tensors)
        loss = losses.values.sum() / losses.is_target.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(float(loss.detach()))
    assert seen[0] == pytest.approx(math.log(67), abs=0.1)
    assert seen[-1] < 0.1
