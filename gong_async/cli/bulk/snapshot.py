"""How a job stands at one moment, with what only a look at several moments tells."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from attrs import define, field, frozen

from gong_async.bulk.records import BulkStatus
from gong_async.cli.bulk.wording import counts, duration, moment

_WINDOW = 60.0


@frozen(kw_only=True)
class JobSnapshot:
    """One moment of a job."""

    status: BulkStatus
    rate: float
    """Items a second, in the last minute."""
    left_today: int | None = None
    """Calls that are left of the day, if that is known."""

    @property
    def total(self) -> int:
        """Items that are sent, or were."""
        return self.status.ended + self.status.left

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the job is through; None if nobody can say."""
        return seconds_to(self.status.finishes_at)

    def text(self) -> str:
        """Say it in one line."""
        parts = [counts(self.status), f"{self.rate:.1f} a second"]
        if self.status.state == "parked" and self.status.resume_at is not None:
            parts.append(f"waits until {moment(self.status.resume_at)}")
        if self.seconds_left is not None and self.status.finishes_at is not None:
            left = duration(self.seconds_left)
            parts.append(f"finishes {moment(self.status.finishes_at)}, in {left}")
        if self.left_today is not None:
            parts.append(f"{self.left_today:,} calls left today")
        return f"{self.status.ended:,} of {self.total:,}: {', '.join(parts)}"


@define
class RateMeter:
    """Makes standings of statuses, and measures the rate between them."""

    _seen: deque[tuple[float, int]] = field(factory=deque, init=False)

    def read(self, status: BulkStatus, now: float, *, left_today: int | None = None) -> JobSnapshot:
        """Return how the job stands; `now` is on a steady clock."""
        self._seen.append((now, status.ended))
        while self._seen[0][0] < now - _WINDOW:
            self._seen.popleft()
        (began, before), (_, after) = self._seen[0], self._seen[-1]
        rate = max(0, after - before) / (now - began) if now > began else 0.0
        return JobSnapshot(status=status, rate=rate, left_today=left_today)


def seconds_to(when: datetime | None) -> float | None:
    """Return the seconds until then, not below 0; None if that is not known."""
    return None if when is None else max(0.0, (when - datetime.now(UTC)).total_seconds())
