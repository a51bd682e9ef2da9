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
    reported: Callable[[], object], *, repeated: Callable[[], object] | None = None
) -> Iterator[None]:
    """Call `reported` in the running loop for each SIGINT, SIGTERM and SIGHUP.

    A repeat of the same SIGINT or SIGTERM calls `repeated`, if given. Signals of two kinds are not
    a repeat: a closing terminal, or a supervisor, sends SIGHUP and then SIGTERM. Repeats of SIGHUP
    are dropped, because a closing terminal sends several. An ignored SIGHUP, as under nohup, stays
    ignored. Once a signal was received, the command is ending: after the block further signals are
    ignored, since they would kill the process before it prints its summary and exits with its own
    code.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    loop = asyncio.get_running_loop()
    seen: set[int] = set()

    def handle(number: int) -> None:
        if number not in seen:
            seen.add(number)
            reported()
        elif number != _HANGUP:
            (repeated or reported)()

    def received(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(handle, number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
        numbers.append(_HANGUP)
    before = [(number, signal.getsignal(number)) for number in numbers]
    for number in numbers:
        try:
            # Wakes a loop that is about to wait; a plain handler would run only afterwards.
            loop.add_signal_handler(number, handle, number)
        except NotImplementedError:  # on Windows
            signal.signal(number, received)
    try:
        yield
    finally:
        for number, handler in before:
            with suppress(NotImplementedError):  # on Windows
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN if seen else handler)


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
