import pytest

from corpus.dedup.dates import moment

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("date", "found"),
    [
        ("1970-01-02", DAY),
        ("1970-01-02T00:00:00Z", DAY),
        ("1970-01-02T01:00:00.000001+01:00", DAY + 1),
        (" 1970-01-02 00:00:00 ", DAY),
        ("1969-12-31", -DAY),
        ("1970", 0),
        ("1970-02", 31 * DAY),
        ("", None),
        (None, None),
        ("1000000000", None),
        ("yesterday", None),
        ("1970-02-31", None),
    ],
)
def test_iso_dates_are_moments_and_others_are_none(date: str | None, found: int | None) -> None:
    assert moment(date) == found


def test_time_zones_count() -> None:
    late, early = moment("2020-01-01T23:00-05:00"), moment("2020-01-02T01:00Z")
    assert late is not None
    assert early is not None
    assert early < late
