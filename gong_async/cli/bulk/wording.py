"""How the status of a job is shown: times, durations, counts, and the rate."""

from __future__ import annotations

import math
import shlex
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import attrs
from attrs import define, field, frozen

from gong_async.bulk.records import MEANINGS, BulkStatus, moment, tally
from gong_async.bulk.store.job_file import jobs_directory
from gong_async.errors import ConfigurationError

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400


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


def counts(status: BulkStatus, *, always: Collection[str] = ("succeeded", "failed")) -> str:
    """Format the counts that are above zero, and those in `always`."""
    return ", ".join(
        f"{items:,} {MEANINGS[name][0]}"
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


_WINDOW = 60.0


@frozen(kw_only=True)
class JobSnapshot:
    """Status and rate of a job at one moment."""

    status: BulkStatus
    rate: float
    """Items per second, over the last minute."""
    left_today: int | None = None
    """Remaining daily calls, if known."""

    @property
    def total(self) -> int:
        """Items sent and to send."""
        return self.status.ended + self.status.left

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the job finishes; None if unknown."""
        return seconds_to(self.status.finishes_at)

    def text(self) -> str:
        """Format it as one line."""
        parts = [counts(self.status), f"{self.rate:.1f} per second"]
        if self.status.state == "waiting" and self.status.resume_at is not None:
            parts.append(f"waits until {moment(self.status.resume_at)}")
        if self.seconds_left is not None and self.status.finishes_at is not None:
            left = duration(self.seconds_left)
            parts.append(f"finishes {moment(self.status.finishes_at)}, in {left}")
        if self.left_today is not None:
            parts.append(f"{self.left_today:,} calls left today")
        return f"{self.status.ended:,} of {self.total:,}: {', '.join(parts)}"


@define
class RateMeter:
    """Measures the rate between successive statuses."""

    _seen: deque[tuple[float, int]] = field(factory=deque, init=False)

    def read(self, status: BulkStatus, now: float, *, left_today: int | None = None) -> JobSnapshot:
        """Return a snapshot; `now` is monotonic, in seconds."""
        self._seen.append((now, status.ended))
        while self._seen[0][0] < now - _WINDOW:
            self._seen.popleft()
        (began, before), (_, after) = self._seen[0], self._seen[-1]
        rate = max(0, after - before) / (now - began) if now > began else 0.0
        return JobSnapshot(status=status, rate=rate, left_today=left_today)


def seconds_to(when: datetime | None) -> float | None:
    """Return the seconds until `when`, at least 0; None if it is unknown."""
    return None if when is None else max(0.0, (when - datetime.now(UTC)).total_seconds())
