"""The day's count and the load of each process, as rows of the shared file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attrs import define

from gong_async.limits.day import MINUTE, DayRule
from gong_async.limits.load import FORGOTTEN, NO_LOAD, Load
from gong_async.limits.sqlite.process import is_gone, namespace

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

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
    """A day's count whose minutes are rows."""

    connection: Connection
    company: str
    rule: DayRule
    count: int
    oldest: float | None = None
    latest: float | None = None
    falls: float = 0.0

    def renew(self, now: float) -> None:
        """Forget the minutes that do not count any more."""
        self._look()
        gone = self.rule.gone(now)
        if self.oldest is not None and self.oldest <= gone:
            self._run("DELETE FROM minute WHERE key = ? AND began <= ?", gone)
            self._recount()
        if self.latest is not None and self.latest > now + MINUTE:
            # The clock was set back. Counted as of now these calls are gone a day from now,
            # whatever the clock had shown.
            ahead = self._run("SELECT sum(calls) FROM minute WHERE key = ? AND began > ?", now)
            self._run("DELETE FROM minute WHERE key = ? AND began > ?", now)
            self._run(_ADD, now, ahead)
            self._recount()
        self.falls = self.rule.falls_at(now, self.oldest)

    def used(self, now: float) -> int:
        """Return the calls of the present day; once it has fallen, the last count says nothing."""
        return self.count if now < self.falls else 0

    def add(self, now: float) -> None:
        """Count a call."""
        if self.latest is None or now >= self.latest + MINUTE:
            self.latest = now
            self.oldest = now if self.oldest is None else self.oldest
        self._run(_ADD, self.latest, 1)
        self.count += 1

    def take_back(self, now: float) -> None:
        """Count one call less."""
        if self.latest is not None:
            self._run(_ADD, self.latest, -1)
            self.count -= 1

    def falls_at(self, now: float) -> float:
        """Return when the count falls next."""
        return self.falls

    def _look(self) -> None:
        self.oldest, self.latest = self.connection.execute(
            _ENDS, (self.company, self.company)
        ).fetchone()

    def _recount(self) -> None:
        self._look()
        self.count = self._run("SELECT sum(calls) FROM minute WHERE key = ?") or 0

    def _run(self, statement: str, *values: Any) -> Any:
        row = self.connection.execute(statement, (self.company, *values)).fetchone()
        return row[0] if row else None


if TYPE_CHECKING:
    from gong_async._storage.database import Connection

_TELL = "INSERT OR REPLACE INTO crowd VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LEAVE = "DELETE FROM crowd WHERE key = ? AND name = ?"
_FORGET = "DELETE FROM crowd WHERE written NOT BETWEEN ? AND ?"
_OTHERS = (
    "SELECT name, pid, namespace, interactive, bulk, in_flight FROM crowd "
    "WHERE key = ? AND name <> ?"
)


@define
class StoredLoad:
    """A company's calls, a row for each queue that has any."""

    connection: Connection
    company: str

    def publish(self, name: str, load: Load, now: float) -> None:
        """Write down how many are in the queue `name`; an empty queue has no row."""
        self._forget(now)
        if load == NO_LOAD:
            self._leave(name)
            return
        counts = (load.interactive, load.bulk, load.in_flight)
        row = (self.company, name, os.getpid(), namespace(), *counts, now)
        self.connection.execute(_TELL, row)

    def others(self, name: str, now: float) -> Load:
        """Return how many are in all queues but `name`; those of the dead do not count."""
        self._forget(now)
        total = NO_LOAD
        for other, pid, space, *counts in self.connection.execute(
            _OTHERS, (self.company, name)
        ).fetchall():
            if is_gone(pid, space):
                self._leave(other)
            else:
                total += Load(*counts)
        return total

    def _leave(self, name: str) -> None:
        self.connection.execute(_LEAVE, (self.company, name))

    def _forget(self, now: float) -> None:
        # What is later than now was written before the machine was started anew.
        self.connection.execute(_FORGET, (now - FORGOTTEN, now))
