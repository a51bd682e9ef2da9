"""What an operation may leave behind in a process: threads, descriptors, complaints."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_WAIT = 3.0
"""Seconds in which a thread that has done its work may end."""


@dataclass(frozen=True)
class Holdings:
    """The threads and descriptors of this process."""

    threads: Counter[str]
    descriptors: Counter[str]

    @classmethod
    def now(cls) -> Holdings:
        """Look at the process as it is."""
        return cls(
            Counter(thread.name.partition("_")[0] for thread in threading.enumerate()),
            Counter(_kind(target) for target in _targets()),
        )

    def more_than(self, before: Holdings) -> list[str]:
        """List what is there, and was not before."""
        threads, files = self.threads - before.threads, self.descriptors - before.descriptors
        return [
            *(f"left {count} thread {name}" for name, count in threads.items()),
            *(f"left {count} descriptor of {name}" for name, count in files.items()),
        ]


def left_since(before: Holdings) -> list[str]:
    """List what was left behind, once threads had time to end."""
    gc.collect()
    give_up = time.monotonic() + MAX_WAIT
    while (left := Holdings.now().more_than(before)) and time.monotonic() < give_up:
        time.sleep(0.01)
        gc.collect()
    return left


@contextmanager
def complaints() -> Iterator[list[str]]:
    """Collect Python's warnings of coroutines, generators and resources that were left."""
    found: list[str] = []

    def unraisable(given: Any) -> None:
        found.append(f"{given.err_msg or 'exception ignored'}: {given.exc_value!r} {given.object}")

    def failed_thread(given: Any) -> None:
        found.append(f"thread {given.thread and given.thread.name}: {given.exc_value!r}")

    def shown(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
        if issubclass(category, RuntimeWarning | ResourceWarning):
            found.append(f"{category.__name__}: {message}")

    class Errors(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(f"{record.name} logged: {record.getMessage()}")

    errors = Errors(logging.ERROR)
    hooks = sys.unraisablehook, threading.excepthook
    logging.getLogger().addHandler(errors)
    sys.unraisablehook, threading.excepthook = unraisable, failed_thread
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = shown
            yield found
            gc.collect()
    finally:
        sys.unraisablehook, threading.excepthook = hooks
        logging.getLogger().removeHandler(errors)


def _targets() -> Iterator[str]:
    folder = Path("/proc/self/fd")
    for name in os.listdir(folder):  # noqa: PTH208 - names are what is asked for
        try:
            yield os.readlink(folder / name)  # noqa: PTH115
        except OSError:
            continue  # the one that was opened to look


def _kind(target: str) -> str:
    """Return a descriptor's target without what differs between two of a kind."""
    return target.partition(":")[0] if ":[" in target else target
