"""The SQLite file that processes share: opened with care, changed in short transactions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from gong_async.errors import ConfigurationError
from gong_async.limits.state_file import MOUNTS, make_state_file

if TYPE_CHECKING:
    import sqlite3

    Connection = sqlite3.Connection

_BUSY_SECONDS = 10.0
_APPLICATION = 0x474F4E47
_VERSION = 1

_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS company (
    key TEXT PRIMARY KEY,          -- API origin and fingerprint of the key id
    boot TEXT NOT NULL,            -- the run of the machine that steady times belong to
    steady REAL NOT NULL,          -- the steady time at which the row was written
    next_slot REAL NOT NULL,
    next_bulk_slot REAL NOT NULL,
    held_until REAL,
    held_until_wall REAL,          -- the same on the wall clock, for after a restart
    probe_until REAL,
    used INTEGER NOT NULL,         -- the sum of the minutes below
    pace TEXT                      -- what was learned, as JSON
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minute (
    key TEXT NOT NULL,
    began REAL NOT NULL,           -- seconds since the epoch
    calls INTEGER NOT NULL,
    PRIMARY KEY (key, began)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prober (
    key TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    namespace TEXT NOT NULL        -- in which the pid means something
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS crowd (
    key TEXT NOT NULL,
    name TEXT NOT NULL,            -- of a queue: a process has one for each event loop
    pid INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    interactive INTEGER NOT NULL,  -- calls that wait
    bulk INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    written REAL NOT NULL,         -- steady time
    PRIMARY KEY (key, name)
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_HEADER = (
    "SELECT (SELECT application_id FROM pragma_application_id), "
    "(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master), "
    "(SELECT count(*) FROM sqlite_master WHERE name = 'crowd')"
)
_CHECK_IT = "check that its disk has room and that no other program keeps it locked"
_MOVE_IT = "move it away and start again (the day's count begins anew), or set GONG_STATE_DIR"


@define(eq=False)
class Database:
    """The file, opened at the first use. All but `close` belongs to one thread."""

    path: Path
    mounts: Path = MOUNTS
    _connection: Connection | None = field(default=None, init=False, repr=False)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Have the file to oneself. What was written before an error of the block stays.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        import sqlite3  # noqa: PLC0415 - not before the file is used

        with self._explained():
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except sqlite3.Error:
                connection.execute("ROLLBACK")
                raise
            except BaseException:
                connection.execute("COMMIT")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> Connection:
        import sqlite3  # noqa: PLC0415 - not before the file is used

        make_state_file(self.path, mounts=self.mounts)
        give_up = time.monotonic() + _BUSY_SECONDS
        while True:
            # It may be closed by another thread than the one that uses it.
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except sqlite3.OperationalError:
                # While another process switches to WAL, SQLite does not wait for its lock.
                connection.close()
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)
            except BaseException:
                connection.close()
                raise
            else:
                self._connection = connection
                return connection

    def _prepare(self, connection: Connection) -> None:
        application, version, tables, crowds = connection.execute(_HEADER).fetchone()
        if tables and application != _APPLICATION:
            raise ConfigurationError(f"{self.path} is a database of another program; {_MOVE_IT}")
        if version > _VERSION:
            raise ConfigurationError(
                f"{self.path} was written by a newer version of gong_async; update this one"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        # Survives the death of any process; a power cut may cost the last moments.
        connection.execute("PRAGMA synchronous = NORMAL")
        if not crowds:
            # A file of before this table is given it: programs that do not know it lose nothing.
            connection.executescript(_TABLES)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's errors into words for people."""
        import sqlite3  # noqa: PLC0415 - not before the file is used

        problem: str
        try:
            yield
            return
        except sqlite3.OperationalError as error:
            problem = f"the limits' file {self.path} cannot be used now ({error}); {_CHECK_IT}"
        except sqlite3.Error as error:
            problem = f"the limits' file {self.path} is damaged or foreign ({error}); {_MOVE_IT}"
        self.close()
        raise ConfigurationError(problem)
