import numpy as np
import pytest

from tests.reference import draws as slow
from trainer.draws import below, draw, fraction


def test_draws_equal_the_slow_twin() -> None:
    rows = np.array([[0], [3], [2**62]])
    places = np.array([[0, 1, 511]])
    found = draw("key\x007", rows, places)
    expected = [[slow.draw("key\x007", row, place) for place in (0, 1, 511)] for row in (0, 3, 2**62)]
    assert found.tolist() == expected
    assert fraction(found).tolist() == [[slow.fraction(value) for value in row] for row in expected]
    for bound in (1, 7, 2**32 - 1):
        assert below(found, bound).tolist() == [[slow.below(value, bound) for value in row] for row in expected]


def test_the_first_value_is_that_of_splitmix64() -> None:
    # Seeded with 0 the published generator begins with these values.
    assert slow.mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF
    assert slow.mix(2 * 0x9E3779B97F4A7C15 % 2**64) == 0x6E789E6AA1B965F4


def test_keys_and_counters_give_draws_of_their_own() -> None:
    numbers = np.arange(100)
    different = {
        int(value)
        for key in ("a", "b")
        for values in (draw(key, numbers), draw(key, numbers, numbers), draw(key, numbers, numbers[::-1]))
        for value in values
    }
    assert len(different) == 600


def test_draws_are_spread_evenly() -> None:
    values = draw("even", np.arange(1000)[:, None], np.arange(100)[None])
    # 100,000 draws in ten boxes: 10,000 each, standard deviation 95.
    counts = np.bincount(below(values, 10).ravel(), minlength=10)
    assert counts.sum() == 100_000
    assert np.abs(counts - 10_000).max() < 400
    assert fraction(values).mean() == pytest.approx(0.5, abs=0.004)
