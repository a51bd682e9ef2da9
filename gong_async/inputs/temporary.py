"""A private temporary SQLite database on disk, removed when it is closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    Connection = sqlite3.Connection


@contextmanager
def temporary_database(tables: str) -> Iterator[Connection]:
    """Create an unnamed database. SQLite keeps a few megabytes of it in memory.

    What does not fit goes into a file in the directory for temporary files, which SQLite makes for
    this user alone and unlinks at once. All is one transaction, which is never committed.

    Raises:
        OSError: the directory for temporary files cannot be used, or is full.
    """
    import sqlite3  # noqa: PLC0415 - not before a file is read

    problem = ""
    try:
        # One thread at a time uses it, not always the same one.
        connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        with closing(connection):
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA cache_size = -8000")  # kilobytes
            connection.executescript(tables)
            connection.execute("BEGIN")
            yield connection
    except sqlite3.Error as error:
        problem = str(error)
    if problem:
        raise OSError(f"a temporary file cannot be written ({problem}); check TMPDIR")
