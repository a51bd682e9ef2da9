"""A journal and its ledger as plain SQL finds them, without a line of the library.

Written from the description of the tables alone, so that a mistake of the library cannot hide
behind itself.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATES = frozenset({"pending", "in_flight", "succeeded", "failed", "in_doubt", "skipped"})
FINAL = frozenset({"succeeded", "failed", "in_doubt", "skipped"})
REASONS = frozenset({"superseded", "unchanged", "organizer", "cancelled"})


@dataclass(frozen=True)
class Item:
    """One change."""

    index: int
    line: int | None
    meeting_id: str
    digest: str
    state: str
    reason: str | None
    attempts: int
    status: int | None
    message: str | None


@dataclass(frozen=True)
class Attempt:
    """One announced request."""

    index: int
    number: int
    run: int
    ended: bool
    status: int | None
    error: str | None


@dataclass(frozen=True)
class JournalView:
    """All of a journal."""

    header: dict[str, Any]
    items: dict[int, Item]
    attempts: list[Attempt]
    tally: dict[str, int]
    runs: list[tuple[int, int, bool]]
    """Number, process and whether it ended, of each run."""
    bodies: dict[int, str] = field(repr=False)
    """Digests of the bodies themselves, as SQLite holds them."""
    integrity: str = "ok"

    @property
    def planned(self) -> bool:
        """Whether planning came to its end."""
        return self.header.get("state") not in {None, "planning"}

    def in_state(self, *states: str) -> list[Item]:
        """Return the items in these states."""
        return [item for item in self.items.values() if item.state in states]


def read_journal(path: Path) -> JournalView | None:
    """Read a journal; None if there is none, or no tables are in it yet."""
    if not path.exists() or not path.stat().st_size:
        return None
    with closing(sqlite3.connect(path, timeout=10)) as file:
        if not file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return None
        file.execute("BEGIN")
        items = file.execute(
            "SELECT item_index, line, meeting_id, hex(digest), state, reason, attempts, status, "
            "message FROM item"
        )
        return JournalView(
            header=dict(file.execute("SELECT name, value FROM job")),
            items={row[0]: Item(*row) for row in items},
            attempts=[
                Attempt(*row)
                for row in file.execute(
                    "SELECT item_index, number, run, ended_at IS NOT NULL, status, error "
                    "FROM attempt ORDER BY item_index, number"
                )
            ],
            tally=dict(file.execute("SELECT state, items FROM tally")),
            runs=list(file.execute("SELECT number, pid, ended_at IS NOT NULL FROM run")),
            bodies={
                index: hashlib.sha256(body).hexdigest()
                for index, body in file.execute("SELECT item_index, body FROM content")
            },
            integrity=file.execute("PRAGMA integrity_check").fetchone()[0],
        )


def read_ledger(path: Path) -> dict[str, tuple[str | None, str | None]]:
    """Return digest and claim for each meeting of the ledger."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path, timeout=10)) as file:
        if not file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return {}
        rows = file.execute("SELECT meeting_id, hex(digest), unsettled FROM meeting")
        return {id_: (digest.lower() or None, claim) for id_, digest, claim in rows}


def problems(view: JournalView) -> list[str]:
    """List what contradicts itself in a journal at any moment of its life."""
    found: list[str] = []
    if view.integrity != "ok":
        found.append(f"integrity_check: {view.integrity}")
    counted = dict.fromkeys([*STATES - {"skipped"}, *REASONS], 0)
    announced: dict[int, list[Attempt]] = {}
    for attempt in view.attempts:
        announced.setdefault(attempt.index, []).append(attempt)
    for item in view.items.values():
        counted[item.reason if item.state == "skipped" else item.state] += 1  # type: ignore[index]
        rows = announced.get(item.index, [])
        where = f"item {item.index} ({item.state})"
        if [row.number for row in rows] != list(range(1, item.attempts + 1)):
            found.append(f"{where} counts {item.attempts} attempts, and {len(rows)} are written")
        if item.state in {"in_flight", "succeeded"} and not rows:
            found.append(f"{where} has no attempt")
        if view.bodies.get(item.index) != item.digest.lower():
            found.append(f"{where} has a body that is not its digest's")
    for name, items in view.tally.items():
        if counted.get(name, 0) != items:
            found.append(f"tally says {items} {name}, and {counted.get(name, 0)} are there")
    known = {number for number, _, _ in view.runs}
    found += [
        f"attempt {row.number} of item {row.index} belongs to run {row.run}, which is not there"
        for row in view.attempts
        if row.run not in known
    ]
    return found
