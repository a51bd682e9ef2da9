"""Whether a failed attempt is repeated, and after how long.

`decide` is the whole policy of what may be repeated, as one pure function. `RetryPolicy` says how
often and how long, `RetryBudget` keeps all calls of a client together from multiplying the load.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator
from enum import Enum, auto
from typing import Any, TypeVar

import backoff
from attrs import define, field, frozen

from gong_async._settings import a_flag, a_number
from gong_async._wire import Effect
from gong_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    Delivery,
    GongError,
    ProtocolError,
    RateLimitError,
    ServerError,
    TLSError,
)

T = TypeVar("T")


class Action(Enum):
    """What to do after a failed attempt."""

    FAIL = auto()
    RETRY = auto()
    RETRY_ONCE = auto()
    WAIT = auto()
    """Repeat when the limit allows; a refusal by the limit is not counted as an attempt."""
    RENEW = auto()
    """Repeat once with a renewed credential."""


@frozen
class Decision:
    """What to do after a failed attempt, and what is known if it was the last one."""

    action: Action
    outcome_unknown: bool = False


_MOST_ON_TOP = 1.0
_NOT_PROCESSED = frozenset({421, 423, 425})
_NEVER_HEALS = frozenset({501, 505})
_SEE_OTHER = 303
_REQUEST_TIMEOUT = 408


def decide(error: GongError, effect: Effect, *, resend_creates: bool = False) -> Decision:
    """Return what to do after `error` ended an attempt of a call with `effect`.

    A request that provably never left is repeated whatever it does. One that may have arrived is
    repeated only if a second application changes nothing: reads, full replacements, deletions.
    A creation is not, unless the caller said that it may be.
    """
    writes = effect != "read"
    repeatable = effect != "create" or resend_creates
    if isinstance(error, APIStatusError):
        return _decide_status(error, writes=writes, repeatable=repeatable)
    if isinstance(error, TLSError):
        return Decision(Action.FAIL)
    if isinstance(error, APIConnectionError | APITimeoutError):
        if isinstance(error, APITimeoutError) and error.phase in {"queue", "total"}:
            unknown = writes and error.delivery is Delivery.MAYBE
            return Decision(Action.FAIL, outcome_unknown=unknown)
        if error.delivery is Delivery.NOT_SENT:
            gone = isinstance(error, APIConnectionError) and error.reason == "dns"
            return Decision(Action.RETRY_ONCE if gone else Action.RETRY)
        return Decision(Action.RETRY if repeatable else Action.FAIL, outcome_unknown=writes)
    if isinstance(error, ProtocolError):
        if error.flaw == "cut" and effect == "read":
            return Decision(Action.RETRY)
        cut = error.flaw == "cut" and repeatable
        # Whoever does not speak HTTP gets no creation twice, whatever the caller allows.
        stranger = error.flaw == "not_http" and effect != "create"
        action = Action.RETRY_ONCE if cut or stranger else Action.FAIL
        return Decision(action, outcome_unknown=writes)
    return Decision(Action.FAIL)


def _decide_status(error: APIStatusError, *, writes: bool, repeatable: bool) -> Decision:
    status = error.status or 0
    if isinstance(error, RateLimitError):
        # Not answered: an earlier refusal holds this call for longer than it cares to wait.
        answered = error.delivery is Delivery.ANSWERED
        return Decision(Action.WAIT if answered else Action.FAIL)
    if isinstance(error, AuthenticationError):
        return Decision(Action.RENEW)
    if status in _NOT_PROCESSED:
        return Decision(Action.RETRY)
    if status in _NEVER_HEALS:
        return Decision(Action.FAIL)
    if isinstance(error, ServerError) or status == _REQUEST_TIMEOUT:
        # Something in front of Gong may answer for it while the change is still being applied.
        return Decision(Action.RETRY if repeatable else Action.FAIL, outcome_unknown=writes)
    # "See other" is said after the work was done.
    return Decision(Action.FAIL, outcome_unknown=writes and status == _SEE_OTHER)


class Again(Exception):  # noqa: N818 - a signal to the loop below, never seen by callers
    """The attempt failed with `error` and shall be repeated after `wait` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


def _given_wait() -> Generator[float, Any, None]:
    """Yield the wait that each `Again` carries; `backoff` sends us the exception."""
    again = yield 0.0
    while True:
        again = yield again.wait


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how long a call is repeated.

    Raises:
        ConfigurationError: a number cannot be meant.
    """

    max_attempts: int = field(default=4, validator=a_number(whole=True, above=0))
    """Requests of one call at the most. A refusal by Gong's limit (429) is not counted, nor is one
    of a credential (401) that could be renewed."""
    max_refusals: int = field(default=10, validator=a_number(whole=True, least=0))
    """Refusals by Gong's limit (429) that one call sits out."""
    max_wait: float = field(default=60.0, validator=a_number(least=0, infinite=True))
    """Seconds: a longer wait demanded by Gong is not slept but raised, with `retry_at`."""
    deadline: float | None = field(default=None, validator=a_number(above=0, optional=True))
    """Seconds for the whole call: turns, attempts and waits. None means no limit. For a bulk call
    they begin with the first permit, and no wait for a permit counts."""
    backoff_base: float = field(default=0.5, validator=a_number(least=0))
    """Seconds: the first wait between attempts is drawn from 0 to this; it doubles each time."""
    backoff_cap: float = field(default=20.0, validator=a_number(least=0))
    """Seconds: where the doubling ends."""
    backoff_floor: float = field(default=0.1, validator=a_number(least=0))
    """Seconds: the shortest wait between attempts."""
    resend_creates: bool = field(default=False, validator=a_flag)
    """Repeat a creation whose answer was lost. It may then be created twice."""

    _run: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]] = field(
        init=False, repr=False, eq=False, factory=lambda: _repeating(_once)
    )

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run `attempt` until it returns, or raises anything other than `Again`."""
        try:
            return await attempt()
        except Again as again:
            first = again
        # Only a call that is repeated needs `backoff`; it begins where the first attempt ended.
        result: T = await self._run(_continued(first, attempt))
        return result

    def backoff(self, failures: int) -> float:
        """Return the seconds to wait after `failures` failed attempts: full jitter."""
        ceiling = min(self.backoff_cap, self.backoff_base * 2.0 ** min(failures - 1, 62))
        return max(self.backoff_floor, backoff.full_jitter(ceiling))

    def after_refusal(self, retry_after: float | None, refusals: int) -> float:
        """Return the seconds to hold all calls after Gong's limit refused one: never too few."""
        if retry_after is None:
            return max(1.0, self.backoff(refusals))
        # On top, never below: programs that were told the same instant must not return together.
        return retry_after + random.uniform(0.0, min(0.25 * retry_after, _MOST_ON_TOP))  # noqa: S311

    @property
    def longest_pause(self) -> float:
        """Seconds that a refusal by Gong's limit may hold a call: `max_wait`, and what we add."""
        return self.max_wait + _MOST_ON_TOP


def _continued(first: Again, attempt: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    """Return `attempt`, with what became of the first one as its first result."""
    ended = [first]

    async def next_attempt() -> T:
        if ended:
            raise ended.pop()
        return await attempt()

    return next_attempt


async def _once(attempt: Callable[[], Awaitable[T]]) -> T:
    return await attempt()


def _repeating(once: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return `once`, repeated for as long as it raises `Again`.

    Done once per policy, because wrapping costs more than a call. No jitter: a wait that Gong
    demanded must not become shorter, and ours is drawn in `RetryPolicy.backoff`.
    """
    return backoff.on_exception(_given_wait, Again, jitter=None, logger=None)(once)


@define
class RetryBudget:
    """Keeps retries a small share of all calls of a client, so that an outage is not doubled.

    Every call earns `ratio` of a retry, up to `ceiling`; a retry costs 1, after a timeout 2.
    """

    tokens: float = 10.0
    ratio: float = 0.2
    ceiling: float = 100.0

    def earn(self) -> None:
        """Count a call."""
        self.tokens = min(self.ceiling, self.tokens + self.ratio)

    def spend(self, error: GongError) -> bool:
        """Pay for a retry after `error`; say whether there was enough."""
        cost = 2.0 if isinstance(error, APITimeoutError) else 1.0
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True
