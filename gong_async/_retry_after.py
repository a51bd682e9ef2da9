"""The `Retry-After` header in every form that servers and proxies send."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FOREVER = 10 * 366 * 86_400.0
"""The longest wait that is told apart, in seconds; anything beyond is this."""

# ASCII only: `int()` would also take Arabic digits, underscores, signs and blanks.
_SECONDS = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_MOST_DIGITS = 12


def parse_retry_after(values: Iterable[str], *, date: str | None, now: datetime) -> float | None:
    """Return the longest valid wait in seconds, None if no value is valid.

    `values` are all `Retry-After` headers of one answer, `date` its `Date` header. A date counts
    from `date`, so that a wrong local clock does not matter; `now` stands in when it is missing.
    """
    waits = (_one(value.strip(), date, now) for value in values)
    return max((wait for wait in waits if wait is not None), default=None)


def _one(value: str, date: str | None, now: datetime) -> float | None:
    if match := _SECONDS.fullmatch(value):
        if len(match[1]) > _MOST_DIGITS:
            return FOREVER
        return min(float(value), FOREVER)
    until = _http_date(value)
    if until is None:
        return None
    start = (_http_date(date) if date else None) or now
    return min(max((until - start).total_seconds(), 0.0), FOREVER)


def _http_date(value: str) -> datetime | None:
    if not value.isascii() or not value[:1].isalpha():
        return None
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
