"""When a bulk run stops by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gong_async import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    DailyQuotaExceededError,
    GongError,
    NotFoundError,
    Outcome,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RedirectError,
    ServerError,
    TLSError,
    UsageError,
)
from gong_async.cli.trouble import Trouble

Make = Callable[[], GongError | None]


def rows_until_stop(make: Make, *, most: int = 50, same_meeting: bool = False) -> int | None:
    """Return how many such outcomes it takes to stop a run."""
    trouble = Trouble(patience=60)
    for number in range(most):
        error = make()
        outcome: Outcome[Any, Any] = Outcome(index=number, change=None, error=error)
        if trouble.look(outcome, "1" if same_meeting else str(number)) is not None:
            return number + 1
    return None


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (lambda: AuthenticationError("x", status=401), 1),
        (lambda: PermissionDeniedError("x", status=401, missing_scope="s"), 1),
        (lambda: DailyQuotaExceededError("x"), 1),
        (lambda: UsageError("x"), 1),
        (lambda: RateLimitError("x", status=429, attempts=1, retry_after=61), 1),
        (lambda: RateLimitError("x", status=429, attempts=0, retry_after=61), 1),
        (lambda: RateLimitError("x", status=429, attempts=11, retry_after=1), 3),
        (lambda: PermissionDeniedError("x", status=403), 3),
        (lambda: TLSError("x"), 3),
        (lambda: RedirectError("x", status=302), 3),
        (lambda: APIConnectionError("x"), 20),
        (lambda: APITimeoutError("x"), 20),
        (lambda: ServerError("x", status=503), 20),
        (lambda: ProtocolError("x"), 20),
        (lambda: NotFoundError("x", status=404), None),
        (lambda: BadRequestError("x", status=400), None),
        (lambda: None, None),
    ],
)
def test_how_often_it_takes(make: Make, rows: int | None) -> None:
    """What befalls every row stops the run; what is one meeting's own never does."""
    assert rows_until_stop(make) == rows


def test_a_success_between() -> None:
    """A row that is done proves that the trouble is not everybody's."""
    errors = iter([PermissionDeniedError("x", status=403)] * 2 + [None])

    def make() -> GongError | None:
        nonlocal errors
        error = next(errors, None)
        if error is None:
            errors = iter([PermissionDeniedError("x", status=403)] * 2 + [None])
        return error

    assert rows_until_stop(make) is None


def test_rows_of_the_same_meeting() -> None:
    """One meeting that is forbidden stays one, however many rows it has."""
    assert (
        rows_until_stop(lambda: PermissionDeniedError("x", status=403), same_meeting=True) is None
    )
