"""The Lua script `permits.lua`, which keeps the limits in Redis, and its reply as values."""

from __future__ import annotations

import json
from hashlib import sha1
from typing import Any

from attrs import define, frozen

from gong_async._storage.package_data import package_text
from gong_async.limits.adaptive_rate import AdaptiveRate
from gong_async.limits.day import DayRule
from gong_async.limits.load import Load

VERSION = 2
"""Of what the keys hold. A change needs another version: the keys of one version are never read by
another, so that processes of both run side by side, each version with a count of its own."""

SCRIPT = package_text(__package__, "permits.lua")

SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The digest by which Redis identifies the script."""


def keys_of(company: str) -> list[str]:
    """Return the keys of a company: state, reservations, day and loads."""
    # The part in braces keeps them in one slot of a cluster.
    tag = company.replace("{", "(").replace("}", ")")
    names = ("state", "reservations", "day", "loads")
    return [f"gong:{{{tag}}}:{VERSION}:{name}" for name in names]


@define
class KnownDay:
    """The daily count as last read from Redis, and the calls made since without Redis."""

    rule: DayRule
    reported: int = 0
    oldest: float = 0.0
    local: int = 0
    processes: int = 1
    """The number of processes assumed to make as many calls at the same time."""

    def used(self, now: float) -> int:
        """Return the calls of the current day; counts that may have expired do not count."""
        reported = (
            self.reported if self.reported and now < self.rule.falls_at(now, self.oldest) else 0
        )
        if self.rule.resets is not None and self.oldest <= self.rule.gone(now):
            reported = 0
        return reported + self.local * self.processes

    def add(self, now: float) -> None:
        """Count a call made without Redis."""
        self.local += 1

    def take_back(self, now: float) -> None:
        """Uncount one call."""
        self.local = max(0, self.local - 1)

    def falls_at(self, now: float) -> float:
        """Return when the count next decreases."""
        return self.rule.falls_at(now, self.oldest or now)


@frozen
class Reply:
    """A reply of the script. Times are those of the Redis server."""

    state: str
    wait: float
    now: float
    paused_until: float
    used: int
    oldest: float
    version: int
    rate: str
    accepted: int
    learn_now: bool
    """Whether this loop should feed the accepted calls into the rate."""
    others: Load
    """The load of other loops, if it was requested."""

    @property
    def granted(self) -> bool:
        """Whether a call may go, after a short `wait`."""
        return self.state in {"granted", "probe"}

    @classmethod
    def read(cls, answer: list[Any]) -> Reply:
        """Parse a reply, of a client that decodes responses or of one that does not."""
        plain = [one.decode() if isinstance(one, bytes) else one for one in answer]
        state, wait, now, paused, used, oldest, version, rate, accepted, learn, *others = plain
        return cls(
            str(state), float(wait), float(now), float(paused), int(used), float(oldest),
            int(version), str(rate), int(accepted), bool(int(learn)),
            Load(*map(int, others)),
        )  # fmt: skip


def read_rate(stored: str) -> AdaptiveRate | None:
    """Return the stored rate; None if it is invalid here."""
    try:
        return AdaptiveRate.restored(json.loads(stored))
    except (ValueError, TypeError, AttributeError):
        return None  # another release may have written it
