"""The `Retry-After` header in every form that servers and proxies send."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 86_400.0
"""The longest wait that is obeyed, in seconds. None of Gong's limits lasts longer than a day; what
asks for more is an instant in place of a duration, or comes from a wrong clock."""
PROBE_WAIT = 300.0
"""Seconds until the next call tries, when the wait that was asked for is longer than that."""

# ASCII only: `int()` would also take Arabic digits, underscores, signs and blanks.
_SECONDS = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_MOST_DIGITS = 12


def parse_retry_after(values: Iterable[str], *, date: str | None, now: datetime) -> float | None:
    """Return the longest valid wait in seconds, None if no value is valid.

    `values` are all `Retry-After` headers of one answer, `date` its `Date` header. A date counts
    from `date`, so that a wrong local clock does not matter; `now` stands in when it is missing.
    A wait beyond `LONGEST_WAIT` counts as `PROBE_WAIT`.
    """
    waits = (_one(value.strip(), date, now) for value in values)
    return max((_obeyed(wait) for wait in waits if wait is not None), default=None)


def is_beyond_belief(values: Iterable[str], *, date: str | None, now: datetime) -> bool:
    """Return whether one of the values asks for more than `LONGEST_WAIT`."""
    waits = (_one(value.strip(), date, now) for value in values)
    return any(wait is not None and wait > LONGEST_WAIT for wait in waits)


def _obeyed(wait: float) -> float:
    return wait if wait <= LONGEST_WAIT else PROBE_WAIT


def _one(value: str, date: str | None, now: datetime) -> float | None:
    if match := _SECONDS.fullmatch(value):
        if len(match[1]) > _MOST_DIGITS:
            return math.inf
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    start = (_http_date(date) if date else None) or now
    return max((until - start).total_seconds(), 0.0)


def _http_date(value: str) -> datetime | None:
    if not value.isascii() or not value[:1].isalpha():
        return None
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
