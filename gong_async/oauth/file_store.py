"""A login in a private file of this machine."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from attrs import field, frozen

from gong_async._secret import Secret
from gong_async._storage.lock import ProcessLock
from gong_async._storage.private_file import (
    Purpose,
    absolute,
    make_private_file,
    state_directory,
)
from gong_async.errors import ConfigurationError
from gong_async.oauth.store import LOCK_SECONDS
from gong_async.oauth.tokens import Tokens

T = TypeVar("T")

FILE_NAME = "login.json"

_ELSEWHERE = "set GONG_STATE_DIR to a directory of yours on a local disk"
_PURPOSE = Purpose(
    "the login's file",
    ConfigurationError,
    _ELSEWHERE,
    instead="keep the login in Redis",
)
_LARGEST = 64 * 1024
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NOT_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_LOOK_EVERY = 0.05


def login_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return where `gong-async login` keeps its login."""
    return state_directory(environ) / FILE_NAME


@frozen
class FileTokenStore:
    """Keeps a login in a file for this user alone, shared by all his processes on this machine.

    The file is replaced as a whole: whoever dies while he writes leaves the one before.

    Args:
        path: the file; by default that of `gong-async login`.
    """

    path: Path = field(factory=login_path, converter=absolute)

    @property
    def name(self) -> str:
        """The path."""
        return f"file {self.path}"

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Keep all other processes, and other tasks of this one, from renewing."""
        path = self.path.with_name(self.path.name + ".lock")
        held = ProcessLock(path)
        give_up = time.monotonic() + LOCK_SECONDS
        await asyncio.to_thread(make_private_file, path, _PURPOSE)
        while not await _take(held):
            if time.monotonic() > give_up:
                raise ConfigurationError(
                    f"another program has held {path} for {LOCK_SECONDS:g} s; end it and try again"
                )
            await asyncio.sleep(_LOOK_EVERY)
        try:
            yield
        finally:
            held.release()

    async def load(self) -> Tokens | None:
        """Read the file."""
        kept = await asyncio.to_thread(self._read)
        return None if kept is None else Tokens.restore(kept)

    async def save(self, tokens: Tokens) -> None:
        """Replace the file, and have the disk keep it."""
        await asyncio.to_thread(self._write, tokens)

    async def clear(self) -> None:
        """Remove the file."""
        await asyncio.to_thread(self._remove)

    @property
    def _draft(self) -> Path:
        # Of a fixed name, so that what a dead process has left is not left for ever.
        return self.path.with_name(self.path.name + ".new")

    def _read(self) -> Secret | None:
        try:
            opened = os.open(self.path, os.O_RDONLY | _NOT_THROUGH_LINKS)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = error.strerror or type(error).__name__
        else:
            try:
                problem = self._problem(os.fstat(opened))
                if not problem:
                    return Secret(os.read(opened, _LARGEST).decode(errors="replace"))
            finally:
                os.close(opened)
        raise ConfigurationError(f"the login's file {self.path} cannot be used: {problem}")

    def _problem(self, status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return "it is not a regular file; remove it and log in again"
        if os.name == "posix" and status.st_mode & _FOR_OTHERS:
            return "other users may read it, or could have; remove it and log in again"
        return ""

    def _write(self, tokens: Tokens) -> None:
        try:
            self._replace(tokens)
        except OSError as error:
            problem = error.strerror or type(error).__name__
        else:
            return
        raise ConfigurationError(
            f"the new login cannot be written to {self.path}: {problem}; {_ELSEWHERE}, "
            "and log in again"
        )

    def _replace(self, tokens: Tokens) -> None:
        draft = self._draft
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOT_THROUGH_LINKS
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(tokens.reveal().encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        _sync_folder(self.path.parent)

    def _remove(self) -> None:
        for path in (self._draft, self.path):
            path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            _sync_folder(self.path.parent)


async def _take(lock: ProcessLock) -> bool:
    """Try to take the lock; who is cancelled meanwhile does not keep it."""
    taking = asyncio.ensure_future(asyncio.to_thread(lock.take))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(lambda _: lock.release())
        raise


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
