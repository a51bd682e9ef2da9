"""SIGINT and SIGTERM while a loop runs."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts(told: Callable[[], None]) -> Iterator[None]:
    """Call `told` in the running loop for each SIGINT and SIGTERM, in place of what they do."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    loop = asyncio.get_running_loop()

    def received(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(told)

    # Not `loop.add_signal_handler`, which Windows lacks.
    before = [(number, signal.signal(number, received)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
