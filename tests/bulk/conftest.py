"""What the tests of bulk jobs share: changes, and a look into the journal that imports nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from gong_async import MeetingChange, MeetingUpdate

START = datetime(2026, 11, 24, 15, tzinfo=UTC)


class MakeChange(Protocol):
    """Makes a change of a meeting."""

    def __call__(
        self, number: int, title: str = "Renewal", organizer: str = "dana@example.com"
    ) -> MeetingChange:
        """Make it."""
        ...


Query = Callable[..., list[tuple[Any, ...]]]
"""Reads a journal: its path, the statement, and the statement's values."""


@pytest.fixture
def change() -> MakeChange:
    """Make changes of meetings."""

    def change(
        number: int, title: str = "Renewal", organizer: str = "dana@example.com"
    ) -> MeetingChange:
        update = MeetingUpdate(
            start_time=START,
            end_time=START + timedelta(hours=1),
            organizer_email=organizer,
            invitees=[],
            title=title,
        )
        return MeetingChange(meeting_id=number, update=update)

    return change


@pytest.fixture
def query() -> Query:
    """Read a journal by a connection of our own, as another program would."""

    def query(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement, values).fetchall()

    return query


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a state directory that does not exist yet."""
    return tmp_path / "state"
