"""A lock between processes, which the operating system releases when its owner dies."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from attrs import define, field

if sys.platform != "win32":
    import fcntl
if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOOKS = 3
_LOOK_STEP = 0.003


@define(eq=False)
class ProcessLock:
    """One claim to a lock file: held by one claim at a time, in this process and all others.

    A claim that is refused does not wait. Each user makes a claim of its own: only that one can
    release what it has acquired. A claim that is garbage-collected is released.
    """

    path: Path
    _descriptor: int | None = field(default=None, init=False, repr=False)
    _lock: BaseFileLock | None = field(default=None, init=False, repr=False)
    """In place of a descriptor, on Windows."""
    _pid: int = field(default=0, init=False, repr=False)

    def take(self) -> bool:
        """Acquire the lock; return False if another claim, or this one, holds it already."""
        if self._pid:
            return False
        taken = self._take_on_windows() if sys.platform == "win32" else self._take()
        if taken:
            self._pid = os.getpid()
            _CLAIMS.claims.add(self)
        return taken

    def release(self) -> None:
        """Release the lock; does nothing unless this claim holds it."""
        pid, self._pid = self._pid, 0
        descriptor, self._descriptor = self._descriptor, None
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
        if descriptor is not None:
            _close(descriptor, unlock=pid == os.getpid())

    def __del__(self) -> None:
        """Release the lock of a claim that was dropped."""
        self.release()

    @property
    def is_mine(self) -> bool:
        """Whether this claim holds the lock."""
        return self._pid != 0

    def is_in_place(self) -> bool:
        """Whether this claim holds the file that others would try to lock."""
        if self._descriptor is None:
            return self._lock is not None  # Windows does not remove a file that is open
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self.path))
        except OSError:
            return False

    def is_held(self) -> bool:
        """Whether any claim holds the lock now."""
        if not self.path.exists():
            return False
        if sys.platform == "win32":
            return self._cannot_be_taken()
        opened = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Checks use a shared lock, so that they do not take each other for the owner.
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(opened)
        return False

    def _take(self) -> bool:
        if sys.platform == "win32":
            return False
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        opened = os.open(self.path, flags, 0o600)
        taken = False
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._descriptor = opened
            # If the file was removed meanwhile, a second one with its own lock may exist.
            taken = self.is_in_place()
        except BlockingIOError:
            pass
        finally:
            if not taken:
                self._descriptor = None
                os.close(opened)
        return taken

    def _take_on_windows(self) -> bool:
        from filelock import FileLock, Timeout  # noqa: PLC0415 - not before it is used

        lock = FileLock(self.path, timeout=0, mode=0o600, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._lock = lock
        return True

    def _cannot_be_taken(self) -> bool:
        for _ in range(_LOOKS):
            claim = ProcessLock(self.path)
            if claim.take():
                claim.release()
                return False
            time.sleep(_LOOK_STEP)  # another check may own it for a moment
        return True


@define(eq=False)
class _Claims:
    """Claims of this process that were acquired, released or not."""

    claims: WeakSet[ProcessLock] = field(factory=WeakSet, init=False)

    def leave_to_parent(self) -> None:
        """Drop the locks in a forked child: it might outlive a killed parent."""
        for claim in list(self.claims):
            claim.release()


_CLAIMS = _Claims()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_CLAIMS.leave_to_parent)


def _close(descriptor: int, *, unlock: bool) -> None:
    """Give a locked file back. A forked child shares the lock, which is its parent's."""
    try:
        if unlock and sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
