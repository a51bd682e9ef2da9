"""A file of an older version becomes one of this version: completely, or not at all."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from gong_async._storage.database import Database, Schema
from gong_async._storage.private_file import Purpose
from gong_async.errors import JournalError

OLD = Schema(
    Purpose("the file of things", JournalError, "give another path"),
    application=1,
    version=1,
    tables="CREATE TABLE thing (name TEXT);",
    remedy="move it away",
    synchronous="FULL",
)
NEW = evolve(
    OLD,
    version=3,
    tables="CREATE TABLE item (label TEXT, kind TEXT);",
    migrations={
        1: "ALTER TABLE thing RENAME COLUMN name TO label; -- a comment; with a semicolon\n"
        "ALTER TABLE thing RENAME TO item;",
        2: "ALTER TABLE item ADD COLUMN kind TEXT;\nUPDATE item SET kind = 'a; b';",
    },
)
STATEMENTS = 4
KILLED = """
import os, signal, sqlite3, sys
from functools import partial
from pathlib import Path
from test_migration import NEW
from gong_async._storage.database import Database

class Connection(sqlite3.Connection):
    left = int(sys.argv[2])
    def execute(self, statement, *values):
        if any(word in statement for word in ("ALTER", "UPDATE", "user_version =", "COMMIT")):
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1
        return super().execute(statement, *values)

sqlite3.connect = partial(sqlite3.connect, factory=Connection)
Database(Path(sys.argv[1]), NEW).make()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file of the first version."""
    path = tmp_path / "state" / "things.sqlite3"
    with closing(Database(path, OLD)) as database, database.transaction() as connection:
        connection.execute("INSERT INTO thing VALUES ('kept')")
    return path


def content(path: Path) -> tuple[int, list[tuple[str, ...]]]:
    """Return the version and the rows of a file, as another program reads them."""
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        table = "thing" if version == 1 else "item"
        return version, connection.execute(f"SELECT * FROM {table}").fetchall()


def test_each_version_is_migrated_to_the_next(path: Path) -> None:
    """The migrations run in order, and what was in the file is kept."""
    Database(path, NEW).make()

    assert content(path) == (3, [("kept", "a; b")])


def test_a_migrated_file_is_not_migrated_again(path: Path) -> None:
    """The second one to open it finds the present version."""
    Database(path, NEW).make()
    Database(path, NEW).make()

    assert content(path) == (3, [("kept", "a; b")])


def test_a_new_file_needs_no_migration(tmp_path: Path) -> None:
    """Its tables are those of the present version."""
    path = tmp_path / "state" / "things.sqlite3"
    Database(path, NEW).make()

    assert content(path) == (3, [])


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    """The file stays one of the older version, which an older program can use."""
    broken = evolve(NEW, migrations={**NEW.migrations, 2: "INSERT INTO item VALUES (1, 2, 3, 4);"})
    with pytest.raises(JournalError, match="cannot be used now"):
        Database(path, broken).make()

    assert content(path) == (1, [("kept",)])


@pytest.mark.parametrize("statements", range(STATEMENTS + 2))
def test_a_killed_migration_changes_nothing(path: Path, statements: int) -> None:
    """The process dies before any of its statements, or before the commit."""
    command = [sys.executable, "-c", KILLED, str(path), str(statements)]
    died = subprocess.run(
        command, check=False, timeout=60, cwd=Path(__file__).parent, capture_output=True, text=True
    )
    after_death = content(path)
    Database(path, NEW).make()

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert after_death == (1, [("kept",)])
    assert content(path) == (3, [("kept", "a; b")])


def test_a_file_in_use_by_an_older_version_is_left_alone(path: Path) -> None:
    """Its process would find other tables than it knows."""
    with pytest.raises(JournalError, match="in use by an older version"):
        Database(path, NEW, in_use=lambda: True).make()

    assert content(path) == (1, [("kept",)])
