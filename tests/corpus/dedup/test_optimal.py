import pytest
from datasketch.lsh import _optimal_param

from corpus.dedup.optimal import NUM_PERMUTATIONS, found_with, optimal_bands
from corpus.recipe import Dedup, MinHash


@pytest.mark.parametrize("threshold", [hundredth / 100 for hundredth in range(5, 100, 5)])
def test_bands_and_rows_are_those_of_datasketch(threshold: float) -> None:
    assert optimal_bands(threshold) == _optimal_param(threshold, NUM_PERMUTATIONS, 0.5, 0.5)


def test_fourteen_bands_of_eight_find_from_072_on() -> None:
    assert found_with(14, 8) == 0.72


def test_a_threshold_alone_picks_bands_and_rows() -> None:
    config = MinHash(threshold=0.8)
    assert (config.bands, config.rows, config.threshold) == (9, 13, 0.8)


def test_bands_and_rows_alone_set_the_threshold() -> None:
    assert MinHash(bands=20, rows=5).threshold == 0.55
    assert MinHash().threshold == 0.72


def test_all_three_are_taken_as_given() -> None:
    config = MinHash(bands=20, rows=5, threshold=0.9)
    assert (config.bands, config.rows, config.threshold) == (20, 5, 0.9)


def test_what_decides_is_no_part_of_what_signs() -> None:
    first, second = Dedup(keep="latest", minhash=MinHash(bands=9, rows=13)), Dedup(minhash=MinHash(threshold=0.8))
    assert first.signing() == second.signing()
    assert first.deciding() != second.deciding()
