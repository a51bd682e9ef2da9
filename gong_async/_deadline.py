"""Cancels calls at their deadline, or when the client is closed."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

from attrs import define, field

from gong_async.errors import APITimeoutError, Delivery, Phase, UsageError

_UNSENT = frozenset({"queue", "pool", "connect", "tls"})


@define(eq=False)
class OpenCalls:
    """The running calls of a client and all its `with_options` copies."""

    closed: bool = False
    scopes: set[DeadlineScope] = field(factory=set, init=False)

    def check(self) -> None:
        """Raise `UsageError` if the client is closed."""
        if self.closed:
            msg = "the client is closed; create a new one"
            raise UsageError(msg)

    async def cut(self) -> None:
        """Close: cancel every running call, in whatever loop it runs."""
        self.closed = True
        for scope in list(self.scopes):
            if not scope.loop.is_closed():
                scope.loop.call_soon_threadsafe(scope.expire)
        # Two iterations of the loop: one for the cancellations, one for what they release.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


class DeadlineScope:
    """A block of one task that raises `TimeoutError` when its time is over.

    It is cut off after `seconds`, or when the client is closed.
    As `asyncio.timeout`, which takes five times as long to enter and to leave.
    """

    __slots__ = (
        "_cancelling",
        "_left",
        "_others",
        "_seconds",
        "_task",
        "_timer",
        "expired",
        "loop",
        "until",
    )

    def __init__(self, open_calls: OpenCalls, seconds: float | None) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.until = math.inf
        """The deadline, on the loop's clock."""
        self.expired = False
        self._others = open_calls.scopes
        self._seconds = seconds
        self._left: float | None = None
        """The seconds left while the clock is stopped; None before its first start."""
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def time_left(self) -> float:
        """Return the seconds until the deadline; infinity without one, and while it is stopped."""
        return math.inf if self.until == math.inf else self.until - self.loop.time()

    def expire(self) -> None:
        """Cancel the block, if it has not ended."""
        if self in self._others and not self.expired and self._task is not None:
            self.expired = True
            self._task.cancel()

    def count_time(self, seconds: float) -> None:
        """Start the clock: cancel after `seconds`, less the time counted before."""
        if self._timer is None:
            self.until = self.loop.time() + (seconds if self._left is None else self._left)
            self._timer = self.loop.call_at(self.until, self.expire)

    def stop_time(self) -> None:
        """Stop the clock until `count_time`; closing the client still cancels the block."""
        if self._timer is not None and (left := self.until - self.loop.time()) > 0:
            self._timer.cancel()
            self._timer, self._left, self.until = None, left, math.inf

    def __enter__(self) -> Self:
        self.loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self.loop)
        self._cancelling = 0 if self._task is None else self._task.cancelling()
        if self._seconds is not None:
            self.until = self.loop.time() + self._seconds
            self._timer = self.loop.call_at(self.until, self.expire)
        self._others.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._others.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        if not self.expired or self._task is None:
            return
        # If the task was also cancelled from outside, it stays cancelled.
        ours_alone = self._task.uncancel() <= self._cancelling
        if ours_alone and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error


def expiry_error(
    phase: Phase, *, attempts: int, writes: bool, deadline: float | None
) -> APITimeoutError | UsageError:
    """Return the error of a call that was ended by its deadline, or by closing the client (None).

    `phase` is that of its current attempt, `writes` whether it changes anything at Gong.
    """
    error: APITimeoutError | UsageError
    if deadline is None:
        error = UsageError("the client was closed during the call")
    elif attempts == 0:
        msg = f"no permit within the deadline of {deadline:g} s; nothing was sent"
        error = APITimeoutError(msg, phase="queue")
    else:
        msg = f"no result within the deadline of {deadline:g} s"
        error = APITimeoutError(msg, phase="total")
    error.delivery = Delivery.NOT_SENT if phase in _UNSENT else Delivery.MAYBE
    error.outcome_unknown = writes and error.delivery is Delivery.MAYBE
    return error
