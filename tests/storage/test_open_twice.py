"""A file that one process has open twice while others come and go."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from gong_async._storage.database import Database, Schema
from gong_async._storage.private_file import Purpose
from gong_async.errors import JournalError

THINGS = Schema(
    Purpose("the file of things", JournalError, "give another path"),
    application=1,
    version=1,
    tables="CREATE TABLE thing (name TEXT);",
    remedy="move it away",
    synchronous="FULL",
)
VISIT = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*(name for name, in connection.execute("SELECT name FROM thing")))
connection.close()
"""


def seen_by_another(path: Path) -> str:
    """Let another process open the file, read it, and close it."""
    command = [sys.executable, "-c", VISIT, str(path)]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_second_look_does_not_cost_the_log(tmp_path: Path) -> None:
    """Who opens and closes the file beside its writer leaves the writer's locks alone.

    Without them, the next process that closes the file takes itself for the last one, and removes
    the log that the writer goes on writing to.
    """
    path = tmp_path / "state" / "things.sqlite3"
    with closing(Database(path, THINGS)) as writer:
        with writer.transaction() as connection:
            connection.execute("INSERT INTO thing VALUES ('before')")
        with closing(Database(path, THINGS)) as reader, reader.snapshot() as connection:
            connection.execute("SELECT count(*) FROM thing").fetchone()
        first = seen_by_another(path)
        with writer.transaction() as connection:
            connection.execute("INSERT INTO thing VALUES ('after')")
        second = seen_by_another(path)

    assert (first, second) == ("before", "before after")
