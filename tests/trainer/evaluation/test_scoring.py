import itertools
import math

import numpy as np
import pytest
import torch

from tests.trainer.evaluation.models import END_OF_TEXT, language_model, probable, uniform
from trainer.config import ModelConfig
from trainer.evaluation.scoring import Piece, continue_texts, score_texts, windows
from trainer.model import Decoder
from trainer.token_losses import IGNORED

SHAPE = ModelConfig(layers=2, width=16, heads=2, kv_heads=1, hidden=16, dropout=0.5)


def test_a_uniform_model_gives_each_predicted_id_one_share_of_the_vocabulary() -> None:
    found = score_texts(language_model(uniform()), [[1, 2, 3, 4], [5, 6], [7], []])
    assert found == pytest.approx([-3 * math.log(257), -math.log(257), 0.0, 0.0])


def test_a_score_is_the_sum_of_the_log_probabilities_of_the_ids_from_first_on() -> None:
    model = language_model(probable({(1, 2): 0.5, (2, 3): 0.25, (3, 1): 0.125}))
    found = score_texts(model, [[1, 2, 3, 1], [1, 2, 3, 1], [1, 2, 3, 1]], [1, 3, 4])
    assert found == pytest.approx([math.log(0.5 * 0.25 * 0.125), math.log(0.125), 0.0])


def test_windows_of_a_long_text_predict_each_id_once_with_half_a_context_or_more() -> None:
    ids = list(range(10, 20))
    assert list(windows(0, ids, 1, 4)) == [
        Piece(0, [10, 11, 12, 13], [11, 12, 13, 14]),
        Piece(0, [12, 13, 14, 15], [IGNORED, IGNORED, 15, 16]),
        Piece(0, [14, 15, 16, 17], [IGNORED, IGNORED, 17, 18]),
        Piece(0, [15, 16, 17, 18], [IGNORED, IGNORED, IGNORED, 19]),
    ]


def test_windows_before_the_first_predicted_id_are_left_out() -> None:
    assert list(windows(0, list(range(10, 20)), 8, 4)) == [
        Piece(0, [14, 15, 16, 17], [IGNORED, IGNORED, IGNORED, 18]),
        Piece(0, [15, 16, 17, 18], [IGNORED, IGNORED, IGNORED, 19]),
    ]


def test_a_long_text_scores_as_the_sum_of_its_parts() -> None:
    generator = torch.Generator().manual_seed(0)
    model = probable({})
    model.logits_VV = torch.randn(257, 257, generator=generator).log_softmax(dim=-1)
    ids = torch.randint(257, (50,), generator=generator).tolist()
    by_hand = sum(float(model.logits_VV[one, other]) for one, other in itertools.pairwise(ids))
    for length in (1, 2, 7, 49, 50, 64):
        assert score_texts(language_model(model, length), [ids]) == pytest.approx([by_hand], rel=1e-6), length


def test_texts_packed_together_score_as_alone_for_any_number_of_rows() -> None:
    model = Decoder(SHAPE, 257, seed=1)
    generator = np.random.default_rng(2)
    texts = [generator.integers(0, 257, size).tolist() for size in (3, 40, 1, 17, 64, 5, 150, 2)]
    alone = [score_texts(language_model(model, 32), [text])[0] for text in texts]
    for rows in (1, 3, 50):
        assert score_texts(language_model(model, 32, rows), texts) == pytest.approx(alone, abs=1e-4), rows
    assert model.training  # dropout is off while texts are scored, and on again after


def test_a_continuation_takes_the_likeliest_id_until_the_end_of_the_text_or_line() -> None:
    a, b, newline = (ord(char) for char in "ab\n")
    model = probable({(a, b): 0.9, (b, a): 0.6, (newline, newline): 0.9, (1, newline): 0.9, (2, END_OF_TEXT): 0.9})
    ask = language_model(model, length=4)
    assert continue_texts(ask, [[a], [b], [1], [2]], 5, stop_at_newline=True) == [
        [b, a, b, a, b],
        [a, b, a, b, a],
        [],
        [],
    ]
    assert continue_texts(ask, [[1]], 2, stop_at_newline=False) == [[newline, newline]]


def test_continuations_do_not_depend_on_what_they_are_packed_with() -> None:
    model = Decoder(SHAPE, 257, seed=4)
    prompts = [[5, 6, 7], list(range(60)), [200], [9] * 12]
    together = continue_texts(language_model(model, 16, rows=3), prompts, 6, stop_at_newline=False)
    assert together == [
        continue_texts(language_model(model, 16), [prompt], 6, stop_at_newline=False)[0] for prompt in prompts
    ]
    assert [len(ids) for ids in together] == [6, 6, 6, 6]
