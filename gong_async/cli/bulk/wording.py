"""How times, durations and counts are written for people; and what programs are told instead."""

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
    "done": "done",
    "failed": "failed",
    "in_doubt": "in doubt",
    "organizer": "set aside",
    "superseded": "superseded",
    "unchanged": "unchanged",
    "cancelled": "cancelled",
    "sent": "under way",
    "planned": "to send",
}
"""What items are called by their state, or by the reason for which they were left out."""


def duration(seconds: float) -> str:
    """Write a duration as people say it."""
    whole = math.ceil(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def moment(when: datetime) -> str:
    """Write a time so that it means the same everywhere."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def number_of(count: int, thing: str) -> str:
    """Write how many there are of something."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def tally(status: BulkStatus) -> dict[str, int]:
    """Return how many items are in each state, with those left out by their reason."""
    counted = {str(name): items for name, items in status.counts.items()}
    counted |= {str(name): items for name, items in status.skipped.items()}
    return {name: counted[name] for name in COUNTS}


def counts(status: BulkStatus, *, always: Collection[str] = ("done", "failed")) -> str:
    """Write how many items are in each state that occurs, and in those that are always told."""
    return ", ".join(
        f"{items:,} {COUNTS[name]}"
        for name, items in tally(status).items()
        if items or name in always
    )


def name_of(status: BulkStatus) -> str:
    """Return what to call a job on a command line: its id, or its journal's path."""
    with suppress(ConfigurationError):  # without a state directory only the path will do
        if status.path.parent == jobs_directory():
            return status.id
    return shlex.quote(str(status.path))


def facts(status: BulkStatus) -> dict[str, Any]:
    """Return how a job stands, for programs."""
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
