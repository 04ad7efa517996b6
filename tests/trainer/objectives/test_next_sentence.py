import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer.synthetic import Segments, counting_corpus, make_corpus, small_config
from trainer.bert import make_bert
from trainer.config import MaskingConfig, ModelConfig
from trainer.data import Data, open_data
from trainer.objectives import make_objective
from trainer.objectives.masked import Masking
from trainer.objectives.next_sentence import IS_NEXT, IS_OTHER, NextSentence, Sequence, Tensors
from trainer.stream import Batch
from trainer.token_losses import IGNORED

CPU = torch.device("cpu")
SHAPE = ModelConfig(layers=2, width=32, heads=2, kv_heads=2, hidden=64)
MASKING = Masking(MaskingConfig(), seed=5, vocab_size=64, end_of_text_id=0, special={})
UNMASKED = replace(MASKING, config=MaskingConfig(ratio=1e-9))
CLASSIFY, SEPARATE = 65, 66
# A row of 16 + 1 tokens: texts of 3, 1, 6, 0 and 2 tokens, the last without an end, and no padding.
ROW = Segments(
    (
        ("a", 0, (1, 2, 3, 0)), ("b", 0, (4, 0)), ("c", 0, (11, 12, 13, 14, 15, 16, 0)), ("d", 0, (0,)),
        ("e", 0, (21, 22)),
    )
)  # fmt: skip


def data_of(folder: Path, rows: list[Segments], length: int) -> Data:
    make_corpus(folder, [rows], [], length, 64)
    return open_data([str(folder)], small_config(global_batch=len(rows)))


def texts_of(tensors: Tensors, row: int) -> list[list[int]]:
    """The tokens of each sequence of a row."""
    count = int(tensors.sequence[row].max()) + 1
    return [tensors.inputs[row][tensors.sequence[row] == number].tolist() for number in range(count)]


def test_sequences_have_the_form_of_the_paper(tmp_path: Path) -> None:
    data = data_of(tmp_path, [ROW] * 30, 16)
    tensors = NextSentence(UNMASKED).tensors(data.train.batch(1, 0, 1), CPU)
    assert tensors.inputs.shape == (30, 64)
    labels = tensors.label.view(30, 4).tolist()
    seen = set()
    for row in range(30):
        a, b, c, e = texts_of(tensors, row)
        # The longest and the second longest are a couple; the third has a partner of one token, which cannot be cut.
        assert (b, e) == ([CLASSIFY, 4, SEPARATE], [CLASSIFY, 21, 22, SEPARATE])
        (cut,) = (index for index in range(2, len(a) - 1) if a[index] == SEPARATE)
        num_second = len(a) - cut - 2
        swapped = labels[row][0] == IS_OTHER
        assert labels[row] == [labels[row][0], IGNORED, labels[row][0], IGNORED]
        one, two = [1, 2, 3], [11, 12, 13, 14, 15, 16]
        seconds = (two, one) if swapped else (one, two)
        assert a == [CLASSIFY, *one[:-num_second], SEPARATE, *seconds[0][-num_second:], SEPARATE]
        assert c == [CLASSIFY, *two[:-num_second], SEPARATE, *seconds[1][-num_second:], SEPARATE]
        seen.add((swapped, num_second))
        part = tensors.part[row][tensors.sequence[row] == 0].tolist()
        assert part == [0] * (cut + 1) + [1] * (num_second + 1)
    assert seen == {(False, 1), (False, 2), (True, 1), (True, 2)}


def test_what_goes_with_each_sequence(tmp_path: Path) -> None:
    batch = data_of(tmp_path, [ROW, ROW], 16).train.batch(1, 0, 1)
    tensors = NextSentence(UNMASKED).tensors(batch, CPU)
    assert tensors.row.tolist() == [0] * 4 + [1] * 4
    assert tensors.inputs[tensors.row, tensors.place].tolist() == [CLASSIFY] * 8
    assert tensors.first_number.tolist() == [0, 1, 2, 4, 5, 6, 7, 9]
    assert tensors.num_tokens.tolist() == [3, 1, 6, 2] * 2
    padding = tensors.sequence < 0
    assert padding.sum(dim=1).tolist() == [64 - 12 - 10, 64 - 12 - 10]
    assert (tensors.inputs[padding] == 0).all()


def test_every_hidden_token_is_a_target_of_its_own_segment_once(tmp_path: Path) -> None:
    counting_corpus(tmp_path)
    batch = open_data([str(tmp_path)], small_config(global_batch=24)).train.batch(1, 0, 1)
    _, target = MASKING.hide(batch)
    tensors = NextSentence(MASKING).tensors(batch, CPU)
    expected = [
        (int(batch.segment_number[place]), int(target[place])) for place in zip(*np.nonzero(target > 0), strict=True)
    ]
    is_target = tensors.target != IGNORED
    found = zip(tensors.number[is_target].tolist(), tensors.target[is_target].tolist(), strict=True)
    assert sorted(found) == sorted(expected)
    assert len(expected) > 50


def many_pairs(folder: Path) -> tuple[Batch, list[list[Sequence]]]:
    counting_corpus(folder, num_rows=1000)
    batch = open_data([str(folder)], small_config(global_batch=1000)).train.batch(1, 0, 1)
    return batch, NextSentence(MASKING).sequences(batch)


def test_half_of_the_pairs_are_swapped_and_lengths_do_not_tell_which(tmp_path: Path) -> None:
    _, rows = many_pairs(tmp_path)
    lengths: dict[int, list[int]] = {IS_NEXT: [], IS_OTHER: []}
    for row in rows:
        assert [len(row), row[0].label] == [2, row[1].label]
        lengths[row[0].label].append(len(row[0].second))
        assert len(row[0].second) == len(row[1].second)
    # 1000 coins: four standard deviations are 63.
    assert len(lengths[IS_OTHER]) == pytest.approx(500, abs=63)
    # B has 1 to 14 or so tokens, standard deviation 4: the means of 500 differ by 0.25 in one of three draws.
    means = [np.mean(lengths[label]) for label in (IS_NEXT, IS_OTHER)]
    assert means[0] == pytest.approx(means[1], abs=1.0)


def test_pairs_that_are_next_are_neighbours_in_one_document_and_others_are_of_two(tmp_path: Path) -> None:
    batch, rows = many_pairs(tmp_path)
    reader = open_data([str(tmp_path)], small_config(global_batch=1000)).train
    num_checked = 0
    for row, sequences in zip(batch.rows.tolist()[:100], rows[:100], strict=True):
        documents = reader.documents(row)["segment_doc"]
        for sequence in sequences:
            first, second = (documents[segment] for segment in sequence.segments)
            assert (first == second) == (sequence.label == IS_NEXT)
            assert sequence.label == IS_OTHER or sequence.first[-1] + 1 == sequence.second[0]
            num_checked += 1
    assert num_checked == 200


def test_rows_with_one_document_have_no_pair_and_odd_rows_leave_the_shortest_out(tmp_path: Path) -> None:
    one = Segments((("a", 0, (1, 2, 3, 4, 5, 6, 0)),))
    three = Segments((("b", 0, (1, 2, 0)), ("c", 0, (3, 4, 5, 0)), ("d", 0, (6, 7, 8, 9, 0))))
    batch = data_of(tmp_path, [one, three], 16).train.batch(1, 0, 1)
    tensors = NextSentence(MASKING).tensors(batch, CPU)
    labels = [tensors.label[tensors.row == batch.rows.tolist().index(row)].tolist() for row in (0, 1)]
    assert labels[0] == [IGNORED]
    assert labels[1][0] == IGNORED
    assert labels[1][1] == labels[1][2] in (IS_NEXT, IS_OTHER)


def test_pairs_do_not_depend_on_micro_batches_or_workers(tmp_path: Path) -> None:
    counting_corpus(tmp_path)
    stream = open_data([str(tmp_path)], small_config(global_batch=12)).train
    objective = NextSentence(MASKING)
    whole = objective.tensors(stream.batch(3, 0, 1), CPU)
    for world_size in (2, 3, 5):
        parts = [objective.tensors(stream.batch(3, rank, world_size), CPU) for rank in range(world_size)]
        for name in ("inputs", "sequence", "part", "target", "label", "num_tokens"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    other = objective.tensors(stream.batch(5, 0, 1), CPU)
    assert other.label.tolist() != whole.label.tolist()


@torch.no_grad()
def test_pairs_of_a_row_do_not_see_each_other(tmp_path: Path) -> None:
    counting_corpus(tmp_path)
    batch = open_data([str(tmp_path)], small_config()).train.batch(1, 0, 1)
    objective = NextSentence(MASKING)
    model = make_bert(small_config(model=SHAPE), 64, 32, 0, next_sentence=True).eval()
    tensors = objective.tensors(batch, CPU)
    second = tensors.sequence == 1
    other = replace(tensors, inputs=torch.where(second, (tensors.inputs + 7) % 64, tensors.inputs))
    before, after = (objective.losses(model, t).values for t in (tensors, other))
    moved = torch.cat([second.flatten(), torch.arange(len(tensors.label)) % 2 == 1])
    assert torch.equal(before[~moved], after[~moved])
    assert (before[moved][-4:] != after[moved][-4:]).all()


@torch.no_grad()
def test_a_pair_has_the_same_losses_packed_as_alone(tmp_path: Path) -> None:
    """Alone it goes through the model as transformers made it, which pools the first token."""
    counting_corpus(tmp_path)
    batch = open_data([str(tmp_path)], small_config()).train.batch(1, 0, 1)
    objective = NextSentence(MASKING)
    model = make_bert(small_config(model=SHAPE), 64, 32, 0, next_sentence=True).eval()
    torch.nn.init.normal_(model.inner.cls.seq_relationship.weight)
    tensors = objective.tensors(batch, CPU)
    pairs = objective.losses(model, tensors).values[-len(tensors.label) :]
    plain = transformers_model(model)
    for number in range(2):
        place = tensors.sequence[0] == number
        logits = plain(input_ids=tensors.inputs[:1, place], token_type_ids=tensors.part[:1, place])
        loss = torch.nn.functional.cross_entropy(logits.seq_relationship_logits, tensors.label[number : number + 1])
        assert float(pairs[number]) == pytest.approx(float(loss), abs=1e-5)


def transformers_model(model: torch.nn.Module) -> torch.nn.Module:
    from transformers import BertForPreTraining

    plain = BertForPreTraining(model.inner.config)
    plain.load_state_dict(model.inner.state_dict())
    return plain.eval()


def test_a_pair_weighs_as_much_as_the_tokens_expected_to_be_hidden_in_it(tmp_path: Path) -> None:
    counting_corpus(tmp_path)
    batch = open_data([str(tmp_path)], small_config()).train.batch(1, 0, 1)
    gradients = []
    for ratio in (0.1, 0.2):
        objective = NextSentence(replace(MASKING, config=MaskingConfig(ratio=ratio, mask_ratio=0.0, random_ratio=0.0)))
        model = make_bert(small_config(model=SHAPE), 64, 32, 0, next_sentence=True)
        tensors = objective.tensors(batch, CPU)
        losses = objective.losses(model, tensors)
        losses.values[-len(tensors.label) :].sum().backward()
        gradients.append(model.inner.cls.seq_relationship.bias.grad)
        # The value is a plain cross entropy all the same.
        assert losses.values[-1].item() == pytest.approx(math.log(2), abs=0.1)
        weight = ratio * tensors.num_tokens
        sign = torch.where(tensors.label == IS_NEXT, -0.5, 0.5)
        assert float(gradients[-1][0]) == pytest.approx(float((weight * sign).sum()), rel=0.2, abs=0.1)
    torch.testing.assert_close(gradients[1], 2 * gradients[0])


def test_a_batch_without_text_gives_no_target_and_gradients_of_zero() -> None:
    none = np.empty(0, np.int64)
    batch = Batch(np.zeros((1, 33), np.uint16), np.zeros(1, np.int64), none, none, none)
    model = make_bert(small_config(model=SHAPE), 64, 32, 0, next_sentence=True)
    losses = NextSentence(MASKING).losses(model, NextSentence(MASKING).tensors(batch, CPU))
    assert not losses.is_target.any()
    assert {number.item() for _, number in losses.measure_sums().values()} == {0.0}
    losses.values.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_eight_rows_are_learnt_by_heart(tmp_path: Path) -> None:
    counting_corpus(tmp_path, num_rows=8)
    config = small_config(model=SHAPE, objective="next_sentence", global_batch=8)
    data = open_data([str(tmp_path)], config)
    objective = make_objective(config, data)
    tensors = objective.tensors(data.train.batch(1, 0, 1), CPU)
    assert sorted(set(tensors.label.tolist())) == [IS_NEXT, IS_OTHER]
    model = make_bert(config, 64, 32, 0, next_sentence=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    means = []
    for _ in range(150):
        losses = objective.losses(model, tensors)
        optimizer.zero_grad()
        (losses.values.sum() / losses.is_target.sum()).backward()
        optimizer.step()
        tokens, pairs = losses.values.detach().split([tensors.target.numel(), len(tensors.label)])
        means.append((float(tokens.sum() / (tensors.target != IGNORED).sum()), float(pairs.mean())))
        told = {name: float(total / number) for name, (total, number) in losses.measure_sums().items()}
        assert (told["masked_loss"], told["pair_loss"]) == pytest.approx(means[-1], rel=1e-6)
    assert means[0] == pytest.approx((math.log(67), math.log(2)), abs=0.1)
    assert means[-1][0] < 0.1
    assert means[-1][1] < 0.05
    assert told["pair_accuracy"] == 1.0
    assert all(later[0] < earlier[0] for earlier, later in pairwise(means[:5]))
