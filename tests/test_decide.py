"""What may be repeated: the whole table, every event by every kind of call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import pytest

from gong_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    DailyQuotaExceededError,
    DecodeError,
    Delivery,
    GongError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    TLSError,
    UsageError,
    ValidationError,
)
from gong_async._wire import Effect
from gong_async.errors import Flaw, Phase, status_error_class
from gong_async.retry import Action, Decision, decide

Make = Callable[[], GongError]

EFFECTS: tuple[Effect, ...] = ("read", "replace", "delete", "create")

CELLS = {
    "fail": Decision(Action.FAIL),
    "retry": Decision(Action.RETRY),
    "once": Decision(Action.RETRY_ONCE),
    "wait": Decision(Action.WAIT),
    "renew": Decision(Action.RENEW),
    # Gong may have applied it: unknown if this was the last attempt.
    "U": Decision(Action.FAIL, outcome_unknown=True),
    "retry/U": Decision(Action.RETRY, outcome_unknown=True),
    "once/U": Decision(Action.RETRY_ONCE, outcome_unknown=True),
    # Never repeated, unless the caller said that a creation may be.
    "U*": Decision(Action.FAIL, outcome_unknown=True),
}
RESENT = {
    "lost": Decision(Action.RETRY, outcome_unknown=True),
    "cut": Decision(Action.RETRY_ONCE, outcome_unknown=True),
}


def connection(delivery: Delivery, reason: str) -> Make:
    """Make an error of the connection."""
    return lambda: APIConnectionError("x", reason=reason, delivery=delivery)  # type: ignore[arg-type]


def timeout(phase: Phase, delivery: Delivery) -> Make:
    """Make a timeout."""
    return lambda: APITimeoutError("x", phase=phase, delivery=delivery)


def flawed(flaw: Flaw) -> Make:
    """Make the error of an answer that cannot be believed."""
    return lambda: ProtocolError("x", flaw=flaw, status=200, delivery=Delivery.MAYBE)


def answered(status: int) -> Make:
    """Make the error of a status."""
    return lambda: status_error_class(status)("x", status=status)


NOT_SENT, MAYBE = Delivery.NOT_SENT, Delivery.MAYBE

#    event                                        GET      PUT        DELETE     POST that creates
TABLE: dict[str, tuple[Make, str]] = {
    "configuration":     (lambda: ConfigurationError("x"),
                                                 "fail     fail       fail       fail"),
    "validation":        (lambda: ValidationError("a", "b"),
                                                 "fail     fail       fail       fail"),
    "client closed":     (lambda: UsageError("x"),
                                                 "fail     fail       fail       fail"),
    "our day is over":   (lambda: DailyQuotaExceededError("x", delivery=NOT_SENT),
                                                 "fail     fail       fail       fail"),
    "held too long":     (lambda: RateLimitError("x", status=429, delivery=NOT_SENT),
                                                 "fail     fail       fail       fail"),
    "no turn in time":   (timeout("queue", NOT_SENT),
                                                 "fail     fail       fail       fail"),
    "pool timeout":      (timeout("pool", NOT_SENT),
                                                 "retry    retry      retry      retry"),
    "connect timeout":   (timeout("connect", NOT_SENT),
                                                 "retry    retry      retry      retry"),
    "TLS timeout":       (timeout("tls", NOT_SENT),
                                                 "retry    retry      retry      retry"),
    "refused":           (connection(NOT_SENT, "connect"),
                                                 "retry    retry      retry      retry"),
    "no such host":      (connection(NOT_SENT, "dns"),
                                                 "once     once       once       once"),
    "no trust":          (lambda: TLSError("x", delivery=NOT_SENT),
                                                 "fail     fail       fail       fail"),
    "connection lost":   (connection(MAYBE, "lost"),
                                                 "retry    retry/U    retry/U    U*"),
    "send timeout":      (timeout("send", MAYBE),
                                                 "retry    retry/U    retry/U    U*"),
    "headers timeout":   (timeout("headers", MAYBE),
                                                 "retry    retry/U    retry/U    U*"),
    "body timeout":      (timeout("body", MAYBE),
                                                 "retry    retry/U    retry/U    U*"),
    "deadline, sent":    (timeout("total", MAYBE),
                                                 "fail     U          U          U"),
    "deadline, unsent":  (timeout("total", NOT_SENT),
                                                 "fail     fail       fail       fail"),
    "2xx cut short":     (flawed("cut"),         "retry    once/U     once/U     U*"),
    "2xx of another":    (flawed("mismatch"),    "fail     U          U          U"),
    "2xx other shape":   (flawed("shape"),       "fail     U          U          U"),
    "2xx undecodable":   (lambda: DecodeError("x", paths=["$"]),
                                                 "fail     U          U          U"),
    "2xx login page":    (flawed("content"),     "fail     U          U          U"),
    "not HTTP":          (flawed("not_http"),    "once     once/U     once/U     U"),
    "1xx flood, 101":    (flawed("unexpected"),  "fail     U          U          U"),
    "missing scope":     (lambda: PermissionDeniedError("x", status=401, missing_scope="api:x"),
                                                 "fail     fail       fail       fail"),
}  # fmt: skip

STATUSES: dict[tuple[int, ...], str] = {
    # status                                GET      PUT        DELETE     POST that creates
    (300, 301, 302, 305, 307, 308):        "fail     fail       fail       fail",
    # "See other" is said after the work was done.
    (303,):                                "fail     U          U          U",
    (400, 402, 405, 406, 407, 410, 411, 412, 413, 414, 415, 416, 417, 418, 422, 424, 426, 428,
     431, 451, 499):                       "fail     fail       fail       fail",
    (401,):                                "renew    renew      renew      renew",
    (403, 404, 409):                       "fail     fail       fail       fail",
    (408,):                                "retry    retry/U    retry/U    U*",
    (421, 423, 425):                       "retry    retry      retry      retry",
    (429,):                                "wait     wait       wait       wait",
    (501, 505):                            "fail     fail       fail       fail",
    (500, 502, 503, 504, 507, 508, 511, *range(520, 531), 598, 599):
                                           "retry    retry/U    retry/U    U*",
}  # fmt: skip


def rows() -> Iterator[tuple[str, Make, str]]:
    """Yield every event with its row."""
    for name, (make, row) in TABLE.items():
        yield name, make, row
    for statuses, row in STATUSES.items():
        for status in statuses:
            yield str(status), answered(status), row


CASES = [
    pytest.param(make, effect, cell, id=f"{name}-{effect}")
    for name, make, row in rows()
    for effect, cell in zip(EFFECTS, row.split(), strict=True)
]


@pytest.mark.parametrize(("make", "effect", "cell"), CASES)
def test_decides_as_the_table_says(make: Make, effect: Effect, cell: str) -> None:
    """Each event is answered by the table, for each kind of call."""
    assert decide(make(), effect) == CELLS[cell]


@pytest.mark.parametrize(("make", "effect", "cell"), CASES)
def test_resending_creations_changes_the_marked_cells_only(
    make: Make, effect: Effect, cell: str
) -> None:
    """The caller's word makes a lost creation repeatable, and touches nothing else."""
    error = make()
    cut = isinstance(error, ProtocolError)
    expected = RESENT["cut" if cut else "lost"] if cell == "U*" else CELLS[cell]

    assert decide(error, effect, resend_creates=True) == expected


def test_every_status_that_is_an_error_is_decided() -> None:
    """No status between 300 and 599 falls through to an exception."""
    decisions = [
        decide(APIStatusError("x", status=status), effect)
        for status, effect in chain.from_iterable(
            ((status, effect) for effect in EFFECTS) for status in range(300, 600)
        )
    ]

    assert len(decisions) == 300 * len(EFFECTS)


@pytest.mark.parametrize("status", range(600))
def test_what_reads_is_never_in_doubt(status: int) -> None:
    """A call that changes nothing has no unknown outcome."""
    assert not decide(status_error_class(status)("x", status=status), "read").outcome_unknown
