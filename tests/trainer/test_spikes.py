from trainer.spikes import usual_loss

# Median 2.0, median distance from it 0.1: a robust standard deviation of 0.14826, five of them 0.7413.
CALM = [1.9, 2.0, 2.1] * 10


def test_a_loss_more_than_five_robust_deviations_above_the_median_is_a_spike() -> None:
    assert usual_loss(CALM, 2.74) is None
    assert usual_loss(CALM, 2.75) == 2.0


def test_losses_that_hardly_differ_need_a_rise_of_a_tenth_of_a_nat() -> None:
    assert usual_loss([2.0] * 30, 2.09) is None
    assert usual_loss([2.0] * 30, 2.11) == 2.0


def test_there_is_no_spike_before_twenty_steps() -> None:
    assert usual_loss([2.0] * 19, 9.0) is None
    assert usual_loss([2.0] * 20, 9.0) == 2.0


def test_a_fall_is_no_spike() -> None:
    assert usual_loss(CALM, 0.1) is None


def test_only_the_last_fifty_steps_count() -> None:
    assert usual_loss([*[9.0] * 100, *[2.0] * 50], 3.0) == 2.0
    assert usual_loss([*[2.0] * 100, *[9.0] * 50], 3.0) is None


def test_spikes_before_do_not_hide_the_next_one() -> None:
    assert usual_loss([*CALM, 8.0, *CALM[:10], 8.0], 6.0) == 2.0
