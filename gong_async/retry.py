"""Whether a failed attempt is retried, and after how long.

`decide` is the whole policy of what may be retried, as one pure function. `RetryPolicy` sets the
number of retries and the waits; `RetryBudget` limits the retries of all calls of a client.
"""

from __future__ import annotations

import random
from enum import Enum, auto
from itertools import islice

import backoff
from attrs import define, field, frozen

from gong_async._settings.values import a_flag, a_number
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


class Action(Enum):
    """What to do after a failed attempt."""

    FAIL = auto()
    RETRY = auto()
    RETRY_ONCE = auto()
    WAIT = auto()
    """Retry after the limiter's pause; a 429 does not count as a failure."""
    RENEW = auto()
    """Retry once with a renewed credential."""


@frozen
class Decision:
    """What to do after a failed attempt, and whether its outcome is unknown."""

    action: Action
    outcome_unknown: bool = False


_MAX_JITTER = 1.0
_MOST_DOUBLINGS = 63
_NOT_PROCESSED = frozenset({421, 423, 425})
_PERMANENT = frozenset({501, 505})
_SEE_OTHER = 303
_REQUEST_TIMEOUT = 408
_GATEWAY_TIMEOUT = 504


def decide(error: GongError, effect: Effect, *, resend_creates: bool = False) -> Decision:
    """Return what to do after `error` ended an attempt of a call with `effect`.

    A request that was certainly not sent is retried whatever its effect. One that may have arrived
    is retried only if it is idempotent: a read, a full replacement or a deletion. A creation is
    retried only with `resend_creates`.
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
        # A creation is not sent again to a server that does not speak HTTP, whatever is allowed.
        not_http = error.flaw == "not_http" and effect != "create"
        action = Action.RETRY_ONCE if cut or not_http else Action.FAIL
        return Decision(action, outcome_unknown=writes)
    return Decision(Action.FAIL)


def _decide_status(error: APIStatusError, *, writes: bool, repeatable: bool) -> Decision:
    status = error.status or 0
    if isinstance(error, RateLimitError):
        # Not answered: the pause after an earlier 429 is longer than this call may wait.
        answered = error.delivery is Delivery.ANSWERED
        return Decision(Action.WAIT if answered else Action.FAIL)
    if isinstance(error, AuthenticationError):
        return Decision(Action.RENEW)
    if status in _NOT_PROCESSED:
        return Decision(Action.RETRY)
    if status in _PERMANENT:
        return Decision(Action.FAIL)
    if isinstance(error, ServerError) or status == _REQUEST_TIMEOUT:
        # A gateway may respond while Gong is still applying the change.
        return Decision(Action.RETRY if repeatable else Action.FAIL, outcome_unknown=writes)
    # 303 See Other is sent after the request was processed.
    return Decision(Action.FAIL, outcome_unknown=writes and status == _SEE_OTHER)


@frozen(kw_only=True)
class RetryPolicy:
    """How often a call is retried, and after which waits.

    Raises:
        ConfigurationError: a value is out of range.
    """

    max_attempts: int = field(default=4, validator=a_number(whole=True, above=0))
    """Attempts of one call at most. A 429 is not counted, nor is a 401 after which the credential
    was renewed."""
    max_refusals: int = field(default=10, validator=a_number(whole=True, least=0))
    """429 responses after which one call is retried, at most."""
    max_wait: float = field(default=60.0, validator=a_number(least=0, infinite=True))
    """Seconds: if Gong asks for a longer wait, the error is raised instead, with `retry_at`."""
    deadline: float | None = field(default=None, validator=a_number(above=0, optional=True))
    """Seconds for the whole call: permits, attempts and waits. None means no limit. For a bulk call
    it starts with the first permit, and waits for permits do not count."""
    backoff_base: float = field(default=0.5, validator=a_number(least=0))
    """Seconds: the first wait is random between 0 and this, which doubles with each failure."""
    backoff_cap: float = field(default=20.0, validator=a_number(least=0))
    """Seconds: the upper bound of that range."""
    backoff_floor: float = field(default=0.1, validator=a_number(least=0))
    """Seconds: the shortest wait between attempts."""
    resend_creates: bool = field(default=False, validator=a_flag)
    """Retry a creation whose response was lost. It may then be created twice."""

    def attempts_after(self, action: Action) -> int:
        """Return how many attempts a call may have, by what follows a failed one."""
        match action:
            case Action.RETRY:
                return self.max_attempts
            case Action.RETRY_ONCE:
                return min(2, self.max_attempts)
            case _:
                return 0

    def backoff(self, failures: int) -> float:
        """Return the seconds to wait after `failures` failed attempts, with full jitter."""
        ceilings = backoff.expo(factor=self.backoff_base, max_value=self.backoff_cap)
        # What the generator yields first is not a wait.
        ceiling = next(islice(ceilings, min(failures, _MOST_DOUBLINGS), None))
        return max(self.backoff_floor, backoff.full_jitter(ceiling))

    def wait_after(self, error: GongError, failures: int) -> float | None:
        """Return the seconds to wait after `error`, the last of so many; None if too many."""
        wait = self.backoff(failures)
        if error.status == _GATEWAY_TIMEOUT:
            wait = max(wait, 1.0)  # Gong may still be applying the change behind the gateway
        if isinstance(error, ServerError) and error.retry_after is not None:
            if error.retry_after > self.max_wait:
                return None
            wait = max(wait, self.after_refusal(error.retry_after, failures))
        return wait

    def after_refusal(self, retry_after: float | None, refusals: int) -> float:
        """Return the seconds to pause all calls after a 429: at least `retry_after`."""
        if retry_after is None:
            return max(1.0, self.backoff(refusals))
        # Jitter is added, never subtracted, so that throttled programs do not resume together.
        return retry_after + random.uniform(0.0, min(0.25 * retry_after, _MAX_JITTER))  # noqa: S311

    @property
    def longest_pause(self) -> float:
        """Seconds that a pause after a 429 may delay a call: `max_wait` and our jitter."""
        return self.max_wait + _MAX_JITTER


@define
class RetryBudget:
    """Limits retries to a small fraction of a client's calls, so that an outage is not amplified.

    Every call earns `ratio` tokens, up to `ceiling`; a retry costs 1 token, after a timeout 2.
    """

    tokens: float = 10.0
    ratio: float = 0.2
    ceiling: float = 100.0
    calls: int = 0
    """Calls since tokens were last earned; the pipeline counts them."""

    def spend(self, error: GongError) -> bool:
        """Pay for a retry after `error`; return whether there were enough tokens."""
        self.tokens = min(self.ceiling, self.tokens + self.ratio * self.calls)
        self.calls = 0
        cost = 2.0 if isinstance(error, APITimeoutError) else 1.0
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True
