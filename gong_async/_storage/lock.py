"""A lock between processes, which the system takes back when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOOKS = 3
_LOOK_STEP = 0.003


@define(eq=False)
class ProcessLock:
    """Held by one process at a time; another that asks is refused and does not wait."""

    path: Path
    _lock: BaseFileLock | None = field(default=None, init=False, repr=False)

    def take(self) -> bool:
        """Take the lock; return False if another holds it."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 - not before it is used

        lock = FileLock(self.path, timeout=0, mode=0o600, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._lock = lock
        return True

    def release(self) -> None:
        """Give the lock back; without holding it nothing happens."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def is_held(self) -> bool:
        """Tell whether anybody holds it now."""
        if not self.path.exists():
            return False
        if sys.platform == "win32":
            return self._cannot_be_taken()
        import fcntl  # noqa: PLC0415 - not there on Windows

        opened = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Those who look share the lock, and so do not take each other for its holder.
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(opened)
        return False

    def _cannot_be_taken(self) -> bool:
        for _ in range(_LOOKS):
            if self.take():
                self.release()
                return False
            time.sleep(_LOOK_STEP)  # whoever else looks holds it for a moment, too
        return True
