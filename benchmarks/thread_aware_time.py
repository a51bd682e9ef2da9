"""Virtual time for code that has sockets and threads: time leaps only while no thread works."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, TypeVar

from gong_async.bulk.store.writer import Writer

T = TypeVar("T")

_AT_WORK_SECONDS = 5.0


class _LeapingSelector(selectors.DefaultSelector):
    """Waits for what is real, and leaps over what is only waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.at_work = 0
        """Pieces of work that threads have not finished."""

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return what is ready; if nothing is and no thread works, leap to the next timer."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.at_work:
            return super().select(_AT_WORK_SECONDS)
        if timeout is None:
            return super().select(None)
        self.now += timeout
        return ready


class ThreadAwareLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time that waits for the journal's thread and for executors."""

    def __init__(self) -> None:
        self._leaping = _LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Return the virtual time."""
        return self._leaping.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Hold time while an executor works."""
        return self.hold_for(super().run_in_executor(executor, func, *args))

    def hold_for(self, work: asyncio.Future[T]) -> asyncio.Future[T]:
        """Hold time until `work` is done."""
        self._leaping.at_work += 1
        work.add_done_callback(self._done)
        return work

    def _done(self, _: object) -> None:
        self._leaping.at_work -= 1


class HoldingWriter(Writer):
    """A journal's writer that holds the time of its loop while it writes."""

    gather_seconds = 0.0  # time stands still while it would wait

    def submit(self, work: Callable[[Any], T]) -> asyncio.Future[T]:
        """Do `work`; time stands still until it is done."""
        loop = asyncio.get_running_loop()
        written = super().submit(work)
        return loop.hold_for(written) if isinstance(loop, ThreadAwareLoop) else written
