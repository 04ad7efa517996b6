"""Dates of documents as moments, so that the earliest and the latest can be told."""

import re
from datetime import UTC, datetime

_YEAR_OR_MONTH = re.compile(r"\d{4}(-\d{2})?")


def moment(date: str | None) -> int | None:
    """Microseconds since 1970 in UTC of an ISO 8601 date, with or without a time; None for anything else.

    A year, a month or a day is its beginning; a time without zone is taken as UTC.
    """
    text = (date or "").strip()
    if _YEAR_OR_MONTH.fullmatch(text):
        text += "-01-01"[: 10 - len(text)] if len(text) == 4 else "-01"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    since = found - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
