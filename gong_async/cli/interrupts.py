"""SIGINT and SIGTERM while a loop runs."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts(told: Callable[[], object]) -> Iterator[None]:
    """Call `told` in the running loop for each SIGINT and SIGTERM, in place of what they do."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    loop = asyncio.get_running_loop()

    def received(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(told)

    before = [(number, signal.getsignal(number)) for number in _SIGNALS]
    for number in _SIGNALS:
        try:
            # It wakes a loop that is about to wait; a plain handler would only run afterwards.
            loop.add_signal_handler(number, told)
        except NotImplementedError:  # on Windows
            signal.signal(number, received)
    try:
        yield
    finally:
        for number, handler in before:
            with suppress(NotImplementedError):  # on Windows
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


async def interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns. A signal cancels it, so that it can tidy up.

    Raises:
        KeyboardInterrupt: a signal came.
    """
    task = asyncio.ensure_future(work)
    with interrupts(task.cancel):
        await asyncio.wait([task])
    if task.cancelled():
        raise KeyboardInterrupt
    return task.result()
