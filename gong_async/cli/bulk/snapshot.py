"""Status of a job at one moment, with the rate measured over several."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from attrs import define, field, frozen

from gong_async.bulk.records import BulkStatus
from gong_async.cli.bulk.wording import counts, duration, moment

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
