"""A SQLite file: opened safely, changed in short transactions, with readable errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from gong_async._storage.private_file import MOUNTS, Purpose, make_private_file

if TYPE_CHECKING:
    import sqlite3

    Connection = sqlite3.Connection

_BUSY_SECONDS = 10.0
_HEADER = (
    "SELECT (SELECT application_id FROM pragma_application_id), "
    "(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master)"
)
_CHECK_IT = "check that its disk has room and that no other program keeps it locked"


@frozen
class Schema:
    """The schema and purpose of one kind of file."""

    purpose: Purpose
    application: int
    """SQLite's application id, which identifies our files."""
    version: int
    tables: str
    """The statements that create the tables of a new file."""
    remedy: str
    """What to do with a file that cannot be read, as the end of a sentence."""
    synchronous: Literal["NORMAL", "FULL"]
    """NORMAL survives the death of a process; FULL also a power cut, at the cost of its time."""
    migrations: Mapping[int, str] = field(factory=dict)
    """By version, the statements that change a file of that version to the next one.

    For a version without an entry, `tables` creates what is missing.
    """

    def scripts(self, version: int) -> list[str]:
        """Return the scripts that bring a file from `version` to this one; 0 is a new file."""
        if not version:
            return [self.tables]
        return [self.migrations.get(old, self.tables) for old in range(version, self.version)]


@define(eq=False)
class Database:
    """The file, opened at first use. All methods but `close` belong to one thread."""

    path: Path
    schema: Schema
    mounts: Path = MOUNTS
    companion: Database | None = None
    """A second file, attached as `companion`, that transactions of this one also change."""
    in_use: Callable[[], bool] | None = None
    """Whether another process works with the file, which is not migrated then."""
    _connection: Connection | None = field(default=None, init=False, repr=False)
    _watched: list[str] = field(factory=list, init=False, repr=False)
    """This file, its log, and those of the companion."""
    _identities: dict[str, tuple[int, int]] = field(factory=dict, init=False, repr=False)
    """Device and inode of each of them that is there."""
    _size: int = field(default=0, init=False, repr=False)
    """The last known size of the file, in bytes."""

    @contextmanager
    def transaction(
        self, *, before_commit: Callable[[], None] | None = None
    ) -> Iterator[Connection]:
        """Lock the file for a transaction. Writes before an exception in the block are kept.

        What `before_commit` raises takes everything back.

        Raises:
            GongError: as the purpose makes it: the file cannot be used.
        """
        import sqlite3  # noqa: PLC0415 - not before the file is used

        # Not in `_explained`: a second context would cost something for each commit.
        try:
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            except BaseException:
                connection.execute("COMMIT")
                raise
            try:
                if before_commit is not None:
                    before_commit()
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return
        except sqlite3.Error as error:
            problem = self._problem(error)
        self.close()
        raise self.schema.purpose.error(problem)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Read a snapshot of the file, while other processes go on writing.

        Raises:
            GongError: as the purpose makes it: the file cannot be used.
        """
        with self._explained():
            connection = self._connection or self._open()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def compact(self) -> None:
        """Rewrite the file, so that removed data stays in no free space and in no log.

        Raises:
            GongError: as the purpose makes it: the file cannot be used.
        """
        with self._explained():
            connection = self._connection or self._open()
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def displaced(self) -> Path | None:
        """Return a file that was removed or replaced since it was opened; None if there is none.

        This file itself also when it was cut off, as by copying a smaller one over it. For use
        inside a transaction, when all of them are open.
        """
        for path in self._watched:
            try:
                status = os.stat(path)  # noqa: PTH116 - for each commit, and Path costs more
            except OSError:
                identity, size = None, 0
            else:
                identity, size = (status.st_dev, status.st_ino), status.st_size
            known = self._identities.get(path)
            if known is None and identity is not None:
                self._identities[path] = identity  # the first transaction creates its log
            elif known != identity:
                return Path(path)
            if path is self._watched[0]:
                if size < self._size:
                    return self.path
                self._size = size
        return None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        connection, self._connection = self._connection, None
        self._identities.clear()
        self._size = 0
        if connection is not None:
            connection.close()

    def _open(self) -> Connection:
        import sqlite3  # noqa: PLC0415 - not before the file is used

        make_private_file(self.path, self.schema.purpose, mounts=self.mounts)
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
                paths = [self.path] if self.companion is None else [self.path, self.companion.path]
                self._watched = [f"{path}{end}" for path in paths for end in ("", "-wal")]
                for file in paths:
                    with suppress(OSError):
                        found = file.stat()
                        self._identities[str(file)] = found.st_dev, found.st_ino
                return connection

    def _prepare(self, connection: Connection) -> None:
        schema = self.schema
        version = self._version(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {schema.synchronous}")
        if version < schema.version:
            self._migrate(connection)
        if self.companion is not None:
            self.companion.make()
            connection.execute("ATTACH DATABASE ? AS companion", (str(self.companion.path),))
            connection.execute(
                f"PRAGMA companion.synchronous = {self.companion.schema.synchronous}"
            )

    def _version(self, connection: Connection) -> int:
        """Return the version of the file's schema, which this version of gong_async can use."""
        schema, purpose = self.schema, self.schema.purpose
        foreign = purpose.foreign or purpose.error
        application, version, tables = connection.execute(_HEADER).fetchone()
        if tables and application != schema.application:
            raise foreign(f"{self.path} is a database of another program; {schema.remedy}")
        if version > schema.version:
            raise foreign(
                f"{self.path} was written by a newer version of gong_async (format {version}, "
                f"this one knows {schema.version}); update this one"
            )
        if 0 < version < schema.version and self.in_use is not None and self.in_use():
            raise purpose.error(
                f"{self.path} is in use by an older version of gong_async (format {version}, "
                f"this one migrates it to {schema.version}); wait until that process has ended"
            )
        return int(version)

    def _migrate(self, connection: Connection) -> None:
        """Create the tables, or change those of an older version: completely, or not at all."""
        import sqlite3  # noqa: PLC0415 - not before the file is used

        schema = self.schema
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have migrated it before this one got the lock.
            for script in schema.scripts(self._version(connection)):
                for statement in statements(script):
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {schema.application}")
            connection.execute(f"PRAGMA user_version = {schema.version}")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # Closing the connection rolls everything back. Trying again would fail again.
            raise schema.purpose.error(self._problem(error)) from None

    def make(self) -> None:
        """Create the file if it is missing."""
        with self.transaction():
            pass
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Convert SQLite's errors to exceptions of this package."""
        import sqlite3  # noqa: PLC0415 - not before the file is used

        try:
            yield
            return
        except sqlite3.Error as error:
            problem = self._problem(error)
        self.close()
        raise self.schema.purpose.error(problem)

    def _problem(self, error: sqlite3.Error) -> str:
        import sqlite3  # noqa: PLC0415 - not before the file is used

        file = f"{self.schema.purpose.title} {self.path}"
        if isinstance(error, sqlite3.OperationalError):
            return f"{file} cannot be used now ({error}); {_CHECK_IT}"
        return f"{file} is damaged or foreign ({error}); {self.schema.remedy}"


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, each as one text."""
    import sqlite3  # noqa: PLC0415 - not before the file is used

    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
