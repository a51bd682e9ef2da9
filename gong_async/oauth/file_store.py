"""The token store in a private file of this machine."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from attrs import field, frozen

from gong_async._redact import Secret
from gong_async._settings.values import a_path
from gong_async._storage.lock import ProcessLock
from gong_async._storage.private_file import (
    Purpose,
    absolute,
    make_private_file,
    state_directory,
)
from gong_async.errors import ConfigurationError
from gong_async.oauth.tokens import LOCK_SECONDS, NewerLoginError, Tokens

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
_log = logging.getLogger("gong_async")


def login_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return where `gong-async login` keeps its login."""
    return state_directory(environ) / FILE_NAME


def _path(value: object) -> Path:
    return absolute(a_path(value))


@frozen
class FileTokenStore:
    """Keeps a login in a private file, shared by all processes of this user on this machine.

    The file is replaced as a whole. A pair that was written, and could not take its place before
    the process died, is found beside it.

    Args:
        path: the file; by default that of `gong-async login`.
    """

    path: Path = field(factory=login_path, converter=_path)

    @property
    def name(self) -> str:
        """The path."""
        return f"file {self.path}"

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Lock out renewals by other processes, and by other tasks of this one."""
        path = self.path.with_name(self.path.name + ".lock")
        held = ProcessLock(path)
        give_up = time.monotonic() + LOCK_SECONDS
        await asyncio.to_thread(make_private_file, path, _PURPOSE)
        while not await _take(held):
            if time.monotonic() > give_up:
                raise ConfigurationError(
                    f"another program has locked {path} for {LOCK_SECONDS:g} s; end it and retry"
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
        """Replace the file, and sync it to disk."""
        await asyncio.to_thread(self._write, tokens)

    async def check_writable(self) -> None:
        """Replace the file by a copy of itself, to prove that it can be written before a renewal.

        Raises:
            ConfigurationError: it cannot be replaced, for example because it is mounted by itself.
        """
        await asyncio.to_thread(self._prove)

    async def clear(self) -> None:
        """Remove the file."""
        await asyncio.to_thread(self._remove)

    @property
    def _draft(self) -> Path:
        # A fixed name, so that the leftover of a dead process is overwritten.
        return self.path.with_name(self.path.name + ".new")

    def _read(self) -> Secret | None:
        return self._read_draft() or self._read_file(self.path)

    def _read_draft(self) -> Secret | None:
        """Return the pair that was written but has not replaced the previous one."""
        try:
            kept = self._read_file(self._draft)
            if kept is not None:
                Tokens.restore(kept)
        except NewerLoginError:
            raise  # the pair before it is spent
        except ConfigurationError:
            return None  # written incompletely
        return kept

    def _read_file(self, path: Path) -> Secret | None:
        try:
            opened = os.open(path, os.O_RDONLY | _NOT_THROUGH_LINKS)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = error.strerror or type(error).__name__
        else:
            try:
                problem = self._problem(os.fstat(opened))
                if not problem:
                    kept = Secret(os.read(opened, _LARGEST).decode(errors="replace"))
                    return kept if kept.reveal() else None  # emptied by a logout
            finally:
                os.close(opened)
        raise ConfigurationError(f"the login's file {path} cannot be used: {problem}")

    def _problem(self, status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return "it is not a regular file; remove it and log in again"
        if os.name == "posix" and status.st_mode & _FOR_OTHERS:
            return "other users may read it, or could have; remove it and log in again"
        return ""

    def _prove(self) -> None:
        recovered = self._read_draft() is not None
        kept = None if recovered else self._read_file(self.path)
        try:
            if not recovered:
                self._write_draft(kept or Secret(""))
            self._replace()
            if not recovered and kept is None:
                self.path.unlink()
        except OSError as error:
            failure = error
        else:
            return
        if not recovered:
            with suppress(OSError):
                self._draft.unlink()
        raise ConfigurationError(
            f"a new login could not be written to {self.path}, so that the present one is not "
            f"renewed: {_words(failure)}"
        )

    def _write(self, tokens: Tokens) -> None:
        try:
            self._write_draft(Secret(tokens.reveal()))
        except OSError as error:
            problem = _words(error)
        else:
            try:
                self._replace()
            except OSError as error:
                _log.warning("the login is kept in %s for now: %s", self._draft, _words(error))
            return
        raise ConfigurationError(
            f"the new login cannot be written to {self.path}: {problem}, and log in again"
        )

    def _write_draft(self, text: Secret) -> None:
        draft = self._draft
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOT_THROUGH_LINKS
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(text.reveal().encode())
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(draft.parent)

    def _replace(self) -> None:
        self._draft.replace(self.path)
        _sync_folder(self.path.parent)

    def _remove(self) -> None:
        try:
            for path in (self._draft, self.path):
                self._unlink(path)
            with suppress(FileNotFoundError):
                _sync_folder(self.path.parent)
        except OSError as error:
            problem = _words(error)
        else:
            return
        raise ConfigurationError(f"the login's file {self.path} cannot be removed: {problem}")

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # The file is a mount point: it stays, without its content.
            opened = os.open(path, os.O_WRONLY | os.O_TRUNC | _NOT_THROUGH_LINKS)
            os.close(opened)


def _words(error: OSError) -> str:
    what = error.strerror or type(error).__name__
    if error.errno == errno.EBUSY:
        what += " (if it is mounted by itself, mount its directory instead)"
    return f"{what}; {_ELSEWHERE}"


async def _take(lock: ProcessLock) -> bool:
    """Try to take the lock; a cancelled caller does not keep it."""
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
