"""The limits of all companies of one process."""

from __future__ import annotations

import threading
from typing import TypeVar
from weakref import WeakSet

from attrs import define, evolve, field, frozen

from gong_async.limits.gates import Lane, Limits, Quota
from gong_async.limits.limiter import QueuedTurn
from gong_async.limits.local import LocalLimiter

NumberT = TypeVar("NumberT", int, float)

_FIRST_SWEEP = 256


@define(eq=False)
class _Company:
    """A company's limiter, and the clients that use it now."""

    limiter: LocalLimiter
    seats: WeakSet[Seat] = field(factory=WeakSet)

    def agree(self) -> None:
        """Keep to limits that break those of no client."""
        wanted = [seat.limits for seat in self.seats]
        if not wanted:
            return
        agreed = wanted[0]
        for limits in wanted[1:]:
            agreed = careful(agreed, limits)
        self.limiter.keep_to(agreed)


@frozen(eq=False)
class Seat:
    """One client's part in its company's limiter."""

    limits: Limits
    _company: _Company

    def turn(self, *, patience: float, lane: Lane = "interactive") -> QueuedTurn:
        """Wait for the right to send one request: see `Limiter.turn`."""
        return self._company.limiter.turn(patience=patience, lane=lane)

    async def quota(self) -> Quota:
        """Return what is used, what is left, and who waits."""
        return await self._company.limiter.quota()

    def leave(self) -> None:
        """The client is closed: its limits bind nobody any more."""
        self._company.seats.discard(self)
        self._company.agree()


@define(eq=False)
class ProcessShare:
    """Keeps the limits in the memory of this process.

    All clients of a company share one limiter, whatever object they are. Where the clients that
    are open name different limits, the more careful ones hold for all. A company that has nothing
    left to remember is forgotten.
    """

    _companies: dict[str, _Company] = field(factory=dict, init=False, repr=False)
    _mutex: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _sweep_at: int = field(default=_FIRST_SWEEP, init=False)

    def limiter(self, company: str, limits: Limits) -> Seat:
        """Return a seat at the limiter of `company`."""
        with self._mutex:
            known = self._companies.get(company)
            if known is None:
                self._sweep()
                known = self._companies[company] = _Company(LocalLimiter(limits))
            seat = Seat(limits, known)
            known.seats.add(seat)
            known.agree()
            return seat

    def __len__(self) -> int:
        return len(self._companies)

    def _sweep(self) -> None:
        """Forget the companies that nobody would miss, each time their number has doubled."""
        if len(self._companies) < self._sweep_at:
            return
        self._companies = {
            name: company
            for name, company in self._companies.items()
            if company.seats or not company.limiter.is_idle()
        }
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._companies))


IN_THIS_PROCESS = ProcessShare()
"""What clients use that name no other share. The one state of this package that belongs to no
object: Gong's limits are the company's, and two clients that know nothing of each other share
them all the same."""


def careful(one: Limits, other: Limits) -> Limits:
    """Return limits that break neither `one` nor `other`."""
    if one == other:
        return one
    return evolve(
        one,
        per_second=_least(one.per_second, other.per_second),
        per_day=_least(one.per_day, other.per_day),
        max_in_flight=min(one.max_in_flight, other.max_in_flight),
        headroom=max(one.headroom, other.headroom),
        reserve=max(one.reserve, other.reserve),
        reserved_share=max(one.reserved_share, other.reserved_share),
    )


def _least(one: NumberT | None, other: NumberT | None) -> NumberT | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
