"""Whether calls may catch up on missed slots: learned, as Gong does not document its counting."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from attrs import define

_FIRST_OFF = 1800.0
"""Seconds without catching up after the first 429 for it, and at least after any 429."""
_LONGEST_OFF = 86400.0
_RECENT = 1.0
"""Seconds: a gap shortened longer ago is not why a call was throttled."""
_SHORTER = 0.999
"""Fraction of the interval: a gap below it is a shortened one."""
_CLEARLY_SHORTER = 0.75
"""Fraction of the ceiling's interval: a server that checks single gaps throttles calls after it."""
_TOLERATED = 10
"""Accepted calls after such gaps that show that the server does not check single gaps."""


@define
class MakingUp:
    """Turns catching up off when the server throttles it; tries again at growing intervals."""

    off_until: float = float("-inf")
    changed_at: float = float("-inf")
    """When it was last turned off: earlier calls say nothing about what follows."""
    failures: int = 0
    tolerated: int = 0
    """Calls accepted after a clearly shorter gap since it was last turned on."""
    sent_early: float | None = None
    """When a call was sent after such a gap that has no response yet."""

    def granted(self, now: float, gap: float, ceiling: float) -> None:
        """Record a grant that makes up for a missed slot."""
        if self.sent_early is None and gap * ceiling < _CLEARLY_SHORTER:
            self.sent_early = now

    def accepted(self, sent_at: float) -> None:
        """Record that a call sent at `sent_at` was accepted."""
        if self.sent_early is not None and sent_at >= self.sent_early:
            self.sent_early = None
            self.tolerated += 1

    def throttled(
        self, now: float, sent_at: float, grants: Iterable[float], interval: float
    ) -> bool:
        """Record a 429; return whether catching up caused it rather than the rate.

        Args:
            now: the current time.
            sent_at: when the throttled call got its permit.
            grants: the times of the last grants at the current rate.
            interval: seconds between two grants at the current rate.
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
