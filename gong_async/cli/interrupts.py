"""Handlers of SIGINT, SIGTERM and SIGHUP while an event loop runs."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows


@contextmanager
def interrupts(
    reported: Callable[[], object], *, hung_up: Callable[[], object] | None = None
) -> Iterator[None]:
    """Call `reported` in the running loop for each SIGINT and SIGTERM.

    The first SIGHUP calls `hung_up`, or `reported`; later ones are dropped, because a closing
    terminal sends several. An ignored SIGHUP, as under nohup, stays ignored. Once one was
    received, the command is ending: after the block further signals are ignored, since they would
    kill the process before it prints its summary and exits with its own code.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    loop = asyncio.get_running_loop()

    hangups = 0
    ending = False

    def stop() -> None:
        nonlocal ending
        ending = True
        reported()

    def hang_up() -> None:
        nonlocal hangups, ending
        hangups += 1
        ending = True
        if hangups == 1:
            (hung_up or reported)()

    def received(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)

    calls: dict[int, Callable[[], object]] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
        calls[_HANGUP] = hang_up
    before = [(number, signal.getsignal(number)) for number in calls]
    for number, call in calls.items():
        try:
            # Wakes a loop that is about to wait; a plain handler would run only afterwards.
            loop.add_signal_handler(number, call)
        except NotImplementedError:  # on Windows
            signal.signal(number, received)
    try:
        yield
    finally:
        for number, handler in before:
            with suppress(NotImplementedError):  # on Windows
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN if ending else handler)


async def interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; a signal cancels it, so that it can clean up.

    Raises:
        KeyboardInterrupt: a signal was received.
    """
    task = asyncio.ensure_future(work)
    with interrupts(task.cancel):
        await asyncio.wait([task])
    if task.cancelled():
        raise KeyboardInterrupt
    return task.result()
