import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from manifests.errors import RecipeError
from tests.reference.mixture import walk
from trainer.config import MixtureConfig
from trainer.mixture import BLOCK_SAMPLES, Mixture, Phase, check_repeats, make_mixture, quotas_of

ROWS = {"web": 1000, "code": 50, "none": 0}


def entry(from_sample: int, **weights: float) -> MixtureConfig:
    return MixtureConfig(from_sample=from_sample, weights=weights)


@st.composite
def schedules(draw: st.DrawFn, num_sources: int = 3, max_sample: int = 3 * BLOCK_SAMPLES) -> list[Phase]:
    """Random weights from random samples on."""
    starts = sorted(draw(st.sets(st.integers(1, max_sample), max_size=4)))
    weights = st.lists(st.integers(0, 9), min_size=num_sources, max_size=num_sources).filter(any)
    return [Phase(start, quotas_of([float(weight) for weight in draw(weights)])) for start in [0, *starts]]


def test_quotas_are_the_nearest_whole_numbers_by_largest_remainder() -> None:
    assert quotas_of([1.0, 1.0]) == (32768, 32768)
    assert quotas_of([1.0, 1.0, 1.0]) == (21846, 21845, 21845)
    assert quotas_of([0.7, 0.0, 0.3]) == (45875, 0, 19661)  # 45875.2, 0, 19660.8


@given(weights=st.lists(st.floats(0, 1e6), min_size=1, max_size=9).filter(any))
def test_quotas_add_up_and_are_less_than_one_from_the_exact_share(weights: list[float]) -> None:
    quotas = quotas_of(weights)
    assert sum(quotas) == BLOCK_SAMPLES
    exact = np.array(weights) / sum(weights) * BLOCK_SAMPLES
    assert np.abs(exact - quotas).max() < 1 + 1e-6


@settings(max_examples=20, deadline=None)
@given(phases=schedules(max_sample=3000), extra=st.integers(0, 2))
def test_sources_and_cursors_are_those_of_going_through_all_samples(phases: list[Phase], extra: int) -> None:
    num_samples = 4000
    expected = list(walk([(phase.from_sample, list(phase.quotas)) for phase in phases], num_samples))
    source, cursor = Mixture(phases).locate(np.arange(num_samples))
    assert list(zip(source.tolist(), cursor.tolist(), strict=True)) == expected


def test_cursors_go_on_over_the_end_of_a_block() -> None:
    phases = [(0, [65535, 1]), (BLOCK_SAMPLES + 10, [1, 65535])]
    expected = list(walk(phases, BLOCK_SAMPLES + 20))[-20:]
    mixture = Mixture([Phase(start, tuple(quotas)) for start, quotas in phases])
    source, cursor = mixture.locate(np.arange(BLOCK_SAMPLES, BLOCK_SAMPLES + 20))
    assert list(zip(source.tolist(), cursor.tolist(), strict=True)) == expected


@settings(max_examples=50, deadline=None)
@given(phases=schedules(), first=st.integers(0, 4 * BLOCK_SAMPLES))
def test_samples_are_found_by_source_and_cursor_and_counted_before_any_index(phases: list[Phase], first: int) -> None:
    mixture = Mixture(phases)
    samples = np.arange(first, first + 1000)
    source, cursor = mixture.locate(samples)
    for number in range(3):
        mine = source == number
        assert np.array_equal(mixture.samples(number, cursor[mine]), samples[mine])
        assert mixture.counts(first)[number] + mine.sum() == mixture.counts(first + 1000)[number]
        assert np.array_equal(cursor[mine], mixture.counts(first)[number] + np.arange(mine.sum()))


# What no batch of a size can be further away by, over all places where it may start and all shares: computed from the
# places of the first `size` multiples of the stride (the discrepancy of arcs), and rounded up.
FURTHEST = {64: 2.75, 256: 3.15, 1024: 5.55}


@example(first=33964, size=1024, share=0.75)  # 4.0
@given(first=st.integers(0, 1 << 40), size=st.sampled_from(sorted(FURTHEST)), share=st.floats(0.01, 0.99))
def test_every_batch_is_close_to_the_weights(first: int, size: int, share: float) -> None:
    mixture = Mixture([Phase(0, quotas_of([share, 1 - share]))])
    source, _ = mixture.locate(np.arange(first, first + size))
    assert abs((source == 0).sum() - share * size) < FURTHEST[size]


def test_schedules_agree_up_to_the_first_entry_that_differs() -> None:
    old = make_mixture([entry(0, web=3, code=1)], ROWS)
    assert old.first_difference(make_mixture([entry(0, web=0.75, code=0.25)], ROWS)) is None
    assert old.first_difference(make_mixture([entry(0, web=3, code=1), entry(70, code=1)], ROWS)) == 70
    assert make_mixture([entry(0, web=3, code=1), entry(70, code=1)], ROWS).first_difference(old) == 70
    assert old.first_difference(make_mixture([entry(0, web=2, code=1)], ROWS)) == 0
    later = make_mixture([entry(0, web=3, code=1), entry(90, code=1)], ROWS)
    assert later.first_difference(make_mixture([entry(0, web=3, code=1), entry(70, code=1)], ROWS)) == 70


def test_an_unknown_source_is_refused_with_the_nearest_name() -> None:
    message = r"from_sample = 9: unknown source 'wed'; did you mean 'web'\? Known sources: web, code, none"
    with pytest.raises(RecipeError, match=message):
        make_mixture([entry(0, web=1), entry(9, wed=1)], ROWS)


def test_a_source_without_rows_may_have_no_weight_above_zero() -> None:
    with pytest.raises(RecipeError, match=r"source 'none' has weight 0\.5 but no training rows"):
        make_mixture([entry(0, web=1, none=0.5)], ROWS)
    assert make_mixture([entry(0, web=1, none=0)], ROWS).counts(10).tolist() == [10, 0, 0]


def test_a_weight_that_gets_no_sample_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"1e-06 of source 'code' .* less than one of 65,536 samples"):
        make_mixture([entry(0, web=1, code=1e-6)], ROWS)


def test_repeats_are_counted_before_training_starts() -> None:
    mixture = make_mixture([entry(0, web=1), entry(600, web=1, code=1)], ROWS)
    check_repeats(mixture, 800, ROWS, max_repeats=2.0)  # 100 of 50 rows of code, 700 of 1,000 of web
    with pytest.raises(
        RecipeError, match=r"'code' would be read 2\.02 times \(101 samples of 50 rows\); max_repeats is 2"
    ):
        check_repeats(mixture, 802, ROWS, max_repeats=2.0)
