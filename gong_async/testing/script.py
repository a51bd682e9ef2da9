"""Which request gets which fault, and the syntax for the command line."""

from __future__ import annotations

import math
import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from attrs import define, field, frozen

from gong_async.testing.faults import Fault
from gong_async.testing.operations import MEETING_ID, OPERATIONS, Operation


@frozen(kw_only=True)
class FaultRule:
    """A fault and the requests that it strikes.

    Attributes:
        on: An operation's name or a meeting's id; None for any request.
        nth: Strike only the n-th of those requests, counted from 1.
        every: Strike every n-th of those requests.
        share: Strike this share of those requests, by chance, from 0 to 1.
        times: How often to strike; None for without end.
    """

    fault: Fault
    on: str | None = None
    nth: int | None = None
    every: int | None = None
    share: float | None = None
    times: int | None = None

    def __attrs_post_init__(self) -> None:
        """Reject a rule that could never apply."""
        if not (self.on is None or self.on in OPERATIONS or MEETING_ID.fullmatch(self.on)):
            raise ValueError(
                f"a fault is scripted on a meeting id or one of {', '.join(OPERATIONS)},"
                f" not on {self.on!r}"
            )
        if sum(choice is not None for choice in (self.nth, self.every, self.share)) > 1:
            raise ValueError("give only one of nth, every and share")
        if any(n is not None and n < 1 for n in (self.nth, self.every, self.times)):
            raise ValueError("nth, every and times count from 1")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError(f"a share lies between 0 and 1: {self.share!r}")


@define
class _Armed:
    """A rule, how many requests it has seen and how often it may still strike."""

    rule: FaultRule
    left: float
    seen: int = 0

    def strikes(self, chance: random.Random, *, free: bool) -> bool:
        """Look at a request that the rule is about; `free` if no earlier rule has struck it."""
        rule = self.rule
        self.seen += 1
        # Rolled for every request, so that one rule's luck does not depend on another's.
        lucky = rule.share is None or chance.random() < rule.share
        if not free or self.left <= 0 or not lucky:
            return False
        if rule.nth is not None and self.seen < rule.nth:
            return False
        if rule.every is not None and self.seen % rule.every:
            return False
        self.left -= 1
        return True


@define
class Script:
    """The rules in force, asked once for each request."""

    seed: int | None = None
    _chance: random.Random = field(init=False)
    _general: list[_Armed] = field(factory=list[_Armed], init=False)
    _by_meeting: dict[str, deque[_Armed]] = field(factory=dict[str, "deque[_Armed]"], init=False)

    def __attrs_post_init__(self) -> None:
        """Set the chance going."""
        self._chance = random.Random(self.seed)  # noqa: S311 - repeatable chance, no secret

    def add(self, rule: FaultRule) -> None:
        """Put a rule behind those in force."""
        left = 1.0 if rule.nth is not None else float("inf")
        armed = _Armed(rule, left if rule.times is None else float(rule.times))
        if rule.on is None or rule.on in OPERATIONS:
            self._general.append(armed)
        else:
            # By id, so that thousands of scripted meetings cost a request nothing.
            self._by_meeting.setdefault(rule.on, deque()).append(armed)

    def clear(self) -> None:
        """Forget every rule."""
        self._general.clear()
        self._by_meeting.clear()

    def pick(self, operation: Operation, meeting_id: str | None) -> Fault | None:
        """Say which fault strikes this request: the first rule's, those of its meeting first."""
        if not self._general and not self._by_meeting:
            return None
        own = self._by_meeting.get(meeting_id or "")
        chosen: Fault | None = None
        for armed in (*(own or ()), *self._general):
            matches = armed.rule.on in (None, operation, meeting_id)
            if matches and armed.strikes(self._chance, free=chosen is None):
                chosen = armed.rule.fault
        if chosen is not None:
            self._forget_spent(meeting_id)
        return chosen

    def _forget_spent(self, meeting_id: str | None) -> None:
        self._general[:] = [armed for armed in self._general if armed.left > 0]
        own = self._by_meeting.get(meeting_id or "")
        while own and own[0].left <= 0:
            own.popleft()
        if own is not None and not own:
            del self._by_meeting[meeting_id or ""]


def _number(make: Callable[[int], Fault], *, least: int) -> Callable[[str], Fault]:
    def read(text: str) -> Fault:
        number = int(text)
        if number < least:
            raise ValueError(text)
        return make(number)

    return read


def _seconds(make: Callable[[float], Fault]) -> Callable[[str], Fault]:
    def read(text: str) -> Fault:
        seconds = float(text)
        if not 0 <= seconds < math.inf:
            raise ValueError(text)
        return make(seconds)

    return read


_BARE: Mapping[str, Callable[[], Fault]] = {
    "status": Fault.status,
    "rate_limited": Fault.rate_limited,
    "conflict": Fault.conflict,
    "html": Fault.html,
    "redirect": Fault.redirect,
    "empty": Fault.empty,
    "wrong_id": Fault.wrong_id,
    "oversized": Fault.oversized,
    "latency": Fault.latency,
    "stall": Fault.stall,
    "applied_late": Fault.applied_late,
    "drop_before": Fault.drop_before,
    "drop_after": Fault.drop_after,
    "reset_before": Fault.reset_before,
    "reset_after": Fault.reset_after,
    "slow_drip": Fault.slow_drip,
    "truncate": Fault.truncate,
    "raw": Fault.raw,
    "surplus": Fault.surplus,
}
_WITH_ARGUMENT: Mapping[str, Callable[[str], Fault]] = {
    "status": _number(Fault.status, least=200),
    "rate_limited": Fault.rate_limited,
    "conflict": Fault.conflict,
    "html": _number(Fault.html, least=200),
    "redirect": Fault.redirect,
    "empty": _number(Fault.empty, least=200),
    "wrong_id": Fault.wrong_id,
    "oversized": _number(Fault.oversized, least=0),
    "latency": _seconds(Fault.latency),
    "stall": _seconds(Fault.stall),
    "applied_late": _seconds(Fault.applied_late),
    "slow_drip": _number(Fault.slow_drip, least=1),
    "truncate": _number(Fault.truncate, least=0),
}

FAULT_NAMES: tuple[str, ...] = tuple(_BARE)
"""Every name that `parse_fault` and `fault_rates` know."""

_WHEN = re.compile(r"(?P<nth>[0-9]+)|(?P<percent>[0-9]+(?:\.[0-9]+)?)%", re.ASCII)


def make_fault(name: str, argument: str | None = None) -> Fault:
    """Return a fault by its name and, for some, an argument.

    Raises:
        ValueError: For an unknown name or an argument that does not fit.
    """
    if name not in _BARE:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(FAULT_NAMES)}")
    if argument is None:
        return _BARE[name]()
    if name not in _WITH_ARGUMENT:
        takers = ", ".join(_WITH_ARGUMENT)
        raise ValueError(f"the fault {name!r} takes no argument; those that do: {takers}")
    try:
        return _WITH_ARGUMENT[name](argument)
    except ValueError:
        raise ValueError(f"the fault {name!r} cannot take the argument {argument!r}") from None


def parse_fault(text: str) -> FaultRule:
    """Read `NAME`, `NAME=ARG`, `NAME@5` (the fifth request) or `NAME@5%` (a share of them).

    Raises:
        ValueError: When the spelling is wrong; the message says what would be right.
    """
    spelled, at, when = text.rpartition("@")
    match = _WHEN.fullmatch(when.strip()) if at else None
    if match is None:
        if at and "=" not in spelled:
            raise ValueError(f"{text!r}: after the @ comes a whole number or a percentage")
        # Any other "@" belongs to the argument, such as a URL.
        spelled = text
    name, equals, argument = spelled.partition("=")
    fault = make_fault(name.strip(), argument.strip() if equals else None)
    if match is None:
        return FaultRule(fault=fault)
    if match["percent"] is not None:
        return FaultRule(fault=fault, share=float(match["percent"]) / 100)
    return FaultRule(fault=fault, nth=int(match["nth"]))


def make_rules(rates: Mapping[str, float]) -> Iterable[FaultRule]:
    """Return a random rule for every named fault; rates are from 0 to 1."""
    return [FaultRule(fault=make_fault(name), share=share) for name, share in rates.items()]
