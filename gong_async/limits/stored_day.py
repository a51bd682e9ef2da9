"""A company's count of the day in the file that processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define

from gong_async.limits.day import MINUTE, DayRule

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
