"""Who waits in each process, in the file that they share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import define

from gong_async.limits.crowd import FORGOTTEN, NOBODY, Crowd
from gong_async.limits.process import is_gone, namespace

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
class StoredCrowd:
    """A company's calls, a row for each queue that has any."""

    connection: Connection
    company: str

    def tell(self, name: str, crowd: Crowd, now: float) -> None:
        """Write down how many are in the queue `name`; an empty queue has no row."""
        self._forget(now)
        if crowd == NOBODY:
            self._leave(name)
            return
        counts = (crowd.interactive, crowd.bulk, crowd.in_flight)
        row = (self.company, name, os.getpid(), namespace(), *counts, now)
        self.connection.execute(_TELL, row)

    def others(self, name: str, now: float) -> Crowd:
        """Return how many are in all queues but `name`; those of the dead do not count."""
        self._forget(now)
        total = NOBODY
        for other, pid, space, *counts in self.connection.execute(
            _OTHERS, (self.company, name)
        ).fetchall():
            if is_gone(pid, space):
                self._leave(other)
            else:
                total += Crowd(*counts)
        return total

    def _leave(self, name: str) -> None:
        self.connection.execute(_LEAVE, (self.company, name))

    def _forget(self, now: float) -> None:
        # What is later than now was written before the machine was started anew.
        self.connection.execute(_FORGET, (now - FORGOTTEN, now))
