"""Whether missed slots may be made up for: learned, as Gong does not say how it counts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from attrs import define

_FIRST_OFF = 1800.0
"""Seconds without making up after the first refusal for it, and at least after any refusal."""
_LONGEST_OFF = 86400.0
_RECENT = 1.0
"""Seconds: a gap shortened longer before a call is not why that was refused."""
_SHORTER = 0.999
"""Share of the interval: a gap under this is shortened."""
_CLEARLY_SHORTER = 0.75
"""Share of the ceiling's interval: a server that counts single gaps refuses a call after this."""
_TOLERATED = 10
"""Accepted calls after such gaps: the server does not count single gaps."""


@define
class MakingUp:
    """Stops when the server refuses calls for it; tries again later, at growing intervals."""

    off_until: float = float("-inf")
    changed_at: float = float("-inf")
    """When it was last stopped: calls sent before that show nothing about what follows."""
    failures: int = 0
    tolerated: int = 0
    """Calls accepted after a clearly shorter gap since it last began."""
    sent_early: float | None = None
    """When a call was sent after such a gap that has not been answered yet."""

    def granted(self, now: float, gap: float, ceiling: float) -> None:
        """Take note of a grant that makes up for a missed slot."""
        if self.sent_early is None and gap * ceiling < _CLEARLY_SHORTER:
            self.sent_early = now

    def accepted(self, sent_at: float) -> None:
        """Take note that a call sent at `sent_at` was accepted."""
        if self.sent_early is not None and sent_at >= self.sent_early:
            self.sent_early = None
            self.tolerated += 1

    def refused(self, now: float, sent_at: float, grants: Iterable[float], interval: float) -> bool:
        """Take note of a refusal; return whether making up is to blame and not the rate.

        Args:
            now: the present time.
            sent_at: when the refused call was granted.
            grants: the times of the last grants at the present rate.
            interval: seconds between two grants at the present rate.
        """
        self.sent_early = None
        if now < self.off_until:
            if sent_at < self.changed_at:
                return True
            self.off_until = max(self.off_until, now + _FIRST_OFF)
            return False
        if self.tolerated >= _TOLERATED:
            return False
        shorter = _SHORTER * interval
        if not any(
            after - before < shorter and sent_at - _RECENT <= after <= sent_at
            for before, after in pairwise(grants)
        ):
            return False
        self.changed_at, self.tolerated = now, 0
        self.off_until = now + min(_LONGEST_OFF, _FIRST_OFF * 2**self.failures)
        self.failures += 1
        return True
