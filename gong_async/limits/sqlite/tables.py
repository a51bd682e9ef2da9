"""The tables of the limits file: the daily count, the load of each queue, who probes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define

from gong_async._storage.database import Schema
from gong_async._storage.package_data import package_text
from gong_async._storage.private_file import Purpose
from gong_async.errors import ConfigurationError
from gong_async.limits.day import MINUTE, DayRule
from gong_async.limits.load import FORGOTTEN, NO_LOAD, Load

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

FILE_NAME = "limits.sqlite3"

LIMITS = Schema(
    Purpose(
        "the limits file",
        ConfigurationError,
        "set GONG_STATE_DIR to a directory of yours on a local disk",
        instead="share the limits over Redis",
    ),
    application=0x474F4E47,
    version=3,
    tables=package_text(__package__, "schema.sql"),
    migrations={1: "", 2: package_text(__package__, "from_2.sql")},
    remedy="move it away and start again (the daily count restarts), or set GONG_STATE_DIR",
    synchronous="NORMAL",
)

_ENDS = (
    "SELECT (SELECT min(began) FROM minute WHERE key = ?), "
    "(SELECT max(began) FROM minute WHERE key = ?)"
)
_ADD = (
    "INSERT INTO minute VALUES (?, ?, ?) "
    "ON CONFLICT (key, began) DO UPDATE SET calls = calls + excluded.calls"
)


@define
class StoredDay:
    """The daily count, with a row for each minute."""

    connection: Connection
    company: str
    rule: DayRule
    count: int
    oldest: float | None = None
    latest: float | None = None
    falls: float = 0.0

    def renew(self, now: float) -> None:
        """Delete the minutes that no longer count."""
        self._read_ends()
        expired = self.rule.gone(now)
        if self.oldest is not None and self.oldest <= expired:
            self._run("DELETE FROM minute WHERE key = ? AND began <= ?", expired)
            self._recount()
        if self.latest is not None and self.latest > now + MINUTE:
            # The clock was set back. Counted as of now, these calls expire a day from now,
            # whatever the clock showed before.
            ahead = self._run("SELECT sum(calls) FROM minute WHERE key = ? AND began > ?", now)
            self._run("DELETE FROM minute WHERE key = ? AND began > ?", now)
            self._run(_ADD, now, ahead)
            self._recount()
        self.falls = self.rule.falls_at(now, self.oldest)

    def used(self, now: float) -> int:
        """Return the calls of the current day; 0 once the last count has expired."""
        return self.count if now < self.falls else 0

    def add(self, now: float) -> None:
        """Count a call."""
        if self.latest is None or now >= self.latest + MINUTE:
            self.latest = now
            self.oldest = now if self.oldest is None else self.oldest
        self._run(_ADD, self.latest, 1)
        self.count += 1

    def take_back(self, now: float) -> None:
        """Uncount one call."""
        if self.latest is not None:
            self._run(_ADD, self.latest, -1)
            self.count -= 1

    def falls_at(self, now: float) -> float:
        """Return when the count next decreases."""
        return self.falls

    def _read_ends(self) -> None:
        self.oldest, self.latest = self.connection.execute(
            _ENDS, (self.company, self.company)
        ).fetchone()

    def _recount(self) -> None:
        self._read_ends()
        self.count = self._run("SELECT sum(calls) FROM minute WHERE key = ?") or 0

    def _run(self, statement: str, *values: Any) -> Any:
        row = self.connection.execute(statement, (self.company, *values)).fetchone()
        return row[0] if row else None


_PUBLISH = "INSERT OR REPLACE INTO load VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_REMOVE = "DELETE FROM load WHERE key = ? AND name = ?"
_EXPIRE = "DELETE FROM load WHERE written NOT BETWEEN ? AND ?"
_OTHERS = (
    "SELECT name, pid, namespace, interactive, bulk, in_flight FROM load "
    "WHERE key = ? AND name <> ?"
)


@define
class StoredLoad:
    """A company's load, with a row for each queue that has calls."""

    connection: Connection
    company: str

    def publish(self, name: str, load: Load, now: float) -> None:
        """Store the load of the queue `name`; an empty queue has no row."""
        self._expire(now)
        if load == NO_LOAD:
            self._remove(name)
            return
        counts = (load.interactive, load.bulk, load.in_flight)
        row = (self.company, name, os.getpid(), _namespace(), *counts, now)
        self.connection.execute(_PUBLISH, row)

    def others(self, name: str, now: float) -> Load:
        """Return the load of all queues except `name`, without those of dead processes."""
        self._expire(now)
        total = NO_LOAD
        for other, pid, space, *counts in self.connection.execute(
            _OTHERS, (self.company, name)
        ).fetchall():
            if _is_gone(pid, space):
                self._remove(other)
            else:
                total += Load(*counts)
        return total

    def _remove(self, name: str) -> None:
        self.connection.execute(_REMOVE, (self.company, name))

    def _expire(self, now: float) -> None:
        # Times in the future were written before the machine rebooted.
        self.connection.execute(_EXPIRE, (now - FORGOTTEN, now))


_PROBER = "SELECT pid, namespace FROM prober WHERE key = ?"
_PROBES = "INSERT OR REPLACE INTO prober VALUES (?, ?, ?)"


@define
class StoredProber:
    """The process whose call probes after a pause."""

    connection: Connection
    company: str

    def is_gone(self) -> bool:
        """Return whether it has certainly died: its probe has no outcome then."""
        row = self.connection.execute(_PROBER, (self.company,)).fetchone()
        return row is not None and _is_gone(*row)

    def become(self) -> None:
        """Store that this process probes."""
        self.connection.execute(_PROBES, (self.company, os.getpid(), _namespace()))


_NAMESPACE = Path("/proc/self/ns/pid")


def _namespace() -> str:
    """Return our pid namespace: a pid of another container's namespace means nothing here."""
    try:
        return str(_NAMESPACE.readlink())
    except OSError:
        return ""


def _is_gone(pid: int, space: str) -> bool:
    """Return whether a process has certainly died."""
    if os.name != "posix" or space != _namespace():
        return False
    try:
        os.kill(pid, 0)  # sends no signal, only checks
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
