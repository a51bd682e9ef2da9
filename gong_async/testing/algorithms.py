"""The ways in which a server may count "three calls a second", each as a small pure class.

Gong does not say which one it uses, so a client has to hold under every one of them. Time is an
argument, in seconds of any clock that does not run backwards.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from typing import Literal, get_args

from attrs import define, field

AlgorithmName = Literal["fixed_window", "sliding_window", "token_bucket", "leaky_bucket", "gcra"]
"""The names under which the algorithms can be chosen."""

ALGORITHMS: tuple[AlgorithmName, ...] = get_args(AlgorithmName)
"""Every algorithm, for parametrised tests."""

TOLERANCE = 1e-9
"""Seconds; sums of floats such as 0.1 + 0.9 are slightly off."""


class Algorithm(ABC):
    """Counts calls against a rate.

    `rate` is in calls per second, may be a fraction, and may be changed at any time.
    """

    rate: float

    @abstractmethod
    def wait(self, now: float) -> float:
        """Say how many seconds from `now` a call would be let in; 0.0 means at once."""

    @abstractmethod
    def take(self, now: float) -> None:
        """Count a call that was let in at `now`."""

    def admit(self, now: float) -> float:
        """Let a call in and count it (0.0), or say in how many seconds it may come back."""
        wait = self.wait(now)
        if not wait:
            self.take(now)
        return wait

    @property
    def capacity(self) -> int:
        """Calls that may come at the same instant, where the algorithm allows a burst."""
        return max(1, math.ceil(self.rate - TOLERANCE))

    @property
    def window(self) -> float:
        """Seconds in which `capacity` calls make up the rate: one, when the rate is whole."""
        return self.capacity / self.rate


@define
class FixedWindow(Algorithm):
    """So many calls between two ticks of the server's clock; twice as many around a tick."""

    rate: float
    _index: int = field(default=-1, init=False)
    _count: int = field(default=0, init=False)

    def wait(self, now: float) -> float:
        """Say how long until the next tick when this window is full."""
        index = self._index_at(now)
        if index != self._index or self._count < self.capacity:
            return 0.0
        return (index + 1) * self.window - now

    def take(self, now: float) -> None:
        """Count a call in the window of `now`."""
        index = self._index_at(now)
        if index != self._index:
            self._index, self._count = index, 0
        self._count += 1

    def _index_at(self, now: float) -> int:
        return math.floor((now + TOLERANCE) / self.window)


@define
class SlidingWindow(Algorithm):
    """So many calls in any window of that length: the strictest count that allows bursts."""

    rate: float
    _taken: deque[float] = field(factory=deque, init=False)

    def wait(self, now: float) -> float:
        """Say how long until the oldest call that still counts has left the window."""
        taken, window = self._taken, self.window
        while taken and now - taken[0] >= window - TOLERANCE:
            taken.popleft()
        if len(taken) < self.capacity:
            return 0.0
        return taken[-self.capacity] + window - now

    def take(self, now: float) -> None:
        """Remember when a call came in."""
        self._taken.append(now)


@define
class TokenBucket(Algorithm):
    """A full bucket may be emptied at once and then refills: nearly twice the rate at first."""

    rate: float
    _tokens: float = field(default=math.inf, init=False)
    _at: float = field(default=0.0, init=False)

    def wait(self, now: float) -> float:
        """Say how long until a whole token is there."""
        missing = 1.0 - self._tokens_at(now)
        return missing / self.rate if missing > TOLERANCE else 0.0

    def take(self, now: float) -> None:
        """Take one token."""
        self._tokens = self._tokens_at(now) - 1.0
        self._at = now

    def _tokens_at(self, now: float) -> float:
        return min(float(self.capacity), self._tokens + (now - self._at) * self.rate)


@define
class LeakyBucket(Algorithm):
    """Every call pours one in, the bucket leaks at the rate, and must not run over."""

    rate: float
    _level: float = field(default=0.0, init=False)
    _at: float = field(default=0.0, init=False)

    def wait(self, now: float) -> float:
        """Say how long until there is room for one more."""
        excess = self._level_at(now) + 1.0 - self.capacity
        return excess / self.rate if excess > TOLERANCE else 0.0

    def take(self, now: float) -> None:
        """Pour one in."""
        self._level = self._level_at(now) + 1.0
        self._at = now

    def _level_at(self, now: float) -> float:
        return max(0.0, self._level - (now - self._at) * self.rate)


@define
class Gcra(Algorithm):
    """Evenly spaced calls without any burst: the strictest of all."""

    rate: float
    _next: float = field(default=-math.inf, init=False)

    def wait(self, now: float) -> float:
        """Say how long until the next call is due."""
        early = self._next - now
        return early if early > TOLERANCE else 0.0

    def take(self, now: float) -> None:
        """Set the next due time one spacing after this call."""
        self._next = max(self._next, now) + 1.0 / self.rate


_MAKERS: dict[AlgorithmName, type[FixedWindow | SlidingWindow | TokenBucket | LeakyBucket | Gcra]]
_MAKERS = {
    "fixed_window": FixedWindow,
    "sliding_window": SlidingWindow,
    "token_bucket": TokenBucket,
    "leaky_bucket": LeakyBucket,
    "gcra": Gcra,
}


def make_algorithm(name: AlgorithmName, rate: float) -> Algorithm:
    """Make the named algorithm.

    Raises:
        ValueError: For a name that is not in `ALGORITHMS`.
    """
    if name not in _MAKERS:
        raise ValueError(f"unknown algorithm {name!r}; known: {', '.join(ALGORITHMS)}")
    return _MAKERS[name](rate)
