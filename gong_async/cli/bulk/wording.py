"""Formats times, durations and counts as text, and statuses for JSON."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import attrs

from gong_async.bulk.records import BulkStatus
from gong_async.bulk.store.job_file import jobs_directory
from gong_async.errors import ConfigurationError

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400

COUNTS = {
    "succeeded": "succeeded",
    "failed": "failed",
    "in_doubt": "in doubt",
    "organizer": "skipped",
    "superseded": "superseded",
    "unchanged": "unchanged",
    "cancelled": "cancelled",
    "in_flight": "in flight",
    "pending": "pending",
}
"""Labels of item states and skip reasons; "skipped" is for an organizer."""


def duration(seconds: float) -> str:
    """Format a duration, such as `4 h 43 min`."""
    whole = math.ceil(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def moment(when: datetime) -> str:
    """Format a time in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def number_of(count: int, thing: str) -> str:
    """Format a count with its noun."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def tally(status: BulkStatus) -> dict[str, int]:
    """Return the number of items by state, and of skipped items by reason."""
    counted = {str(name): items for name, items in status.counts.items()}
    counted |= {str(name): items for name, items in status.skipped.items()}
    return {name: counted[name] for name in COUNTS}


def counts(status: BulkStatus, *, always: Collection[str] = ("succeeded", "failed")) -> str:
    """Format the counts that are above zero, and those in `always`."""
    return ", ".join(
        f"{items:,} {COUNTS[name]}"
        for name, items in tally(status).items()
        if items or name in always
    )


def name_of(status: BulkStatus) -> str:
    """Return the argument that names a job: its id, or its journal's path."""
    with suppress(ConfigurationError):  # without a state directory, only the path works
        if status.path.parent == jobs_directory():
            return status.id
    return shlex.quote(str(status.path))


def facts(status: BulkStatus) -> dict[str, Any]:
    """Return the status of a job for JSON output."""
    known = {**attrs.asdict(status), "left": status.left, "rate": round(status.rate, 3)}
    return {name: _plain(value) for name, value in known.items()}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat(timespec="seconds")
        case float():
            return round(value, 3)
        case None | int() | str() | dict():
            return value
        case _:
            return str(value)
