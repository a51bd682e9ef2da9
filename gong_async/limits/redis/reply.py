"""What Redis told of a company, as values."""

from __future__ import annotations

import json
from typing import Any

from attrs import define, frozen

from gong_async.limits.adaptive_rate import AdaptiveRate
from gong_async.limits.day import DayRule
from gong_async.limits.load import Load


@define
class KnownDay:
    """The day's count as last heard of, and the calls made since without Redis."""

    rule: DayRule
    reported: int = 0
    oldest: float = 0.0
    alone: int = 0
    processes: int = 1
    """How many do the same at the same time, as far as anybody can know without Redis."""

    def used(self, now: float) -> int:
        """Return the calls of the present day; what may have fallen since is not held against."""
        reported = (
            self.reported if self.reported and now < self.rule.falls_at(now, self.oldest) else 0
        )
        if self.rule.resets is not None and self.oldest <= self.rule.gone(now):
            reported = 0
        return reported + self.alone * self.processes

    def add(self, now: float) -> None:
        """Count a call made without Redis."""
        self.alone += 1

    def take_back(self, now: float) -> None:
        """Count one call less."""
        self.alone = max(0, self.alone - 1)

    def falls_at(self, now: float) -> float:
        """Return when the count falls next."""
        return self.rule.falls_at(now, self.oldest or now)


@frozen
class Reply:
    """What the script answers. Times are those of the Redis server."""

    state: str
    wait: float
    now: float
    held: float
    used: int
    oldest: float
    version: int
    rate: str
    accepted: int
    teach: bool
    others: Load
    """Who waits in other loops, if that was asked."""

    @property
    def granted(self) -> bool:
        """Whether a call may go: in `wait` seconds, which are few."""
        return self.state in {"granted", "probe"}

    @classmethod
    def read(cls, answer: list[Any]) -> Reply:
        """Read the answer of a client that decodes, or of one that does not."""
        plain = [one.decode() if isinstance(one, bytes) else one for one in answer]
        state, wait, now, held, used, oldest, version, rate, accepted, teach, *others = plain
        return cls(
            str(state), float(wait), float(now), float(held), int(used), float(oldest),
            int(version), str(rate), int(accepted), bool(int(teach)),
            Load(*map(int, others)),
        )  # fmt: skip


def read_pace(kept: str) -> AdaptiveRate | None:
    """Return the pace that was kept; None if it makes no sense here."""
    try:
        return AdaptiveRate.restored(json.loads(kept))
    except (ValueError, TypeError, AttributeError):
        return None  # another release may have written it
