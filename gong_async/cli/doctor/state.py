"""`gong-async doctor`: checks the state directory, its files and jobs."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gong_async._storage.database import Database
from gong_async._storage.private_file import MOUNTS, file_system_problem, state_directory
from gong_async.bulk.records import BulkStatus, moment, number_of
from gong_async.bulk.store.job_file import jobs_directory, ledger_path, list_jobs
from gong_async.bulk.store.schema import LEDGER
from gong_async.cli.bulk.wording import name_of
from gong_async.cli.doctor.findings import Diagnosis, advised, note, ok, problem
from gong_async.errors import ConfigurationError, GongError, JournalError
from gong_async.limits.sqlite.tables import FILE_NAME, LIMITS

_ELSEWHERE = "set GONG_STATE_DIR to your own directory on a local disk"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TOO_LITTLE_SPACE = 16 * 1024**2
_LITTLE_SPACE = 256 * 1024**2
_MOST_NAMED = 5


def check_state() -> Iterator[Diagnosis]:
    """Check the directory; its contents only if it is usable."""
    folder = Path()
    try:
        folder = state_directory()
        found = _directory(folder)
        yield found
        if found.level == "problem":
            return
        yield _disk_space(folder)
        if folder.exists():
            yield from _files(folder)
            yield from _jobs()
            yield from _locks(folder)
    except ConfigurationError as error:
        yield advised("state", str(error), _ELSEWHERE)
    except OSError as error:
        yield problem("state", f"{folder}: {error.strerror or error}", _ELSEWHERE)


def _directory(folder: Path) -> Diagnosis:
    there = _existing(folder)
    if not there.is_dir():
        return problem("state", f"{folder}: {there} is not a directory", _ELSEWHERE)
    wrong, unless = file_system_problem(there, MOUNTS)
    if wrong:
        return problem("state", wrong, f"{unless}{_ELSEWHERE}")
    if not os.access(there, os.W_OK | os.X_OK):
        return problem("state", f"{folder}: {there} is not writable by this user", _ELSEWHERE)
    if there != folder:
        return ok("state", f"{folder} does not exist yet, and can be created")
    mode = stat.S_IMODE(folder.stat().st_mode) if os.name == "posix" else 0
    if mode & _WRITABLE_BY_OTHERS:
        return problem("state", f"other users can write to {folder}", f"chmod 700 {folder}")
    if mode & _FOR_OTHERS:
        return note("state", f"other users can read {folder}", f"chmod 700 {folder}")
    return ok("state", f"{folder}, private to this user")


def _disk_space(folder: Path) -> Diagnosis:
    free = shutil.disk_usage(_existing(folder)).free
    seen = f"{free / 1024**2:,.0f} MiB free"
    do = "free disk space: jobs write a journal before sending, and a full disk stops them"
    if free < _TOO_LITTLE_SPACE:
        return problem("disk", seen, do)
    return note("disk", seen, do) if free < _LITTLE_SPACE else ok("disk", seen)


def _files(folder: Path) -> Iterator[Diagnosis]:
    foreign = [path for path in folder.rglob("*") if not os.access(path, os.R_OK | os.W_OK)]
    if foreign:
        seen = f"{number_of(len(foreign), 'file')} not accessible to this user, first {foreign[0]}"
        yield problem("files", seen, f"chown them, as with sudo chown -R $USER {folder}")
        return
    names = {"limits": (folder / FILE_NAME, LIMITS), "ledger": (ledger_path(), LEDGER)}
    for check, (path, schema) in names.items():
        if not path.exists():
            yield ok(check, "does not exist yet")
            continue
        try:
            with closing(Database(path, schema)) as database, database.snapshot():
                yield ok(check, f"{path.name} is readable")
        except GongError as error:
            yield advised(check, str(error), _ELSEWHERE)


def _jobs() -> Iterator[Diagnosis]:
    unfinished: list[BulkStatus] = []
    running = ended = 0
    for job in list_jobs():
        try:
            status = job.status()
        except JournalError as error:
            yield advised("jobs", str(error), f"move {job.path} away")
            continue
        if status.state in {"completed", "cancelled"}:
            ended += 1
        elif status.pid is not None:
            running += 1
        else:
            unfinished.append(status)
    yield ok("jobs", f"{running:,} running, {len(unfinished):,} stopped, {ended:,} ended")
    for status in unfinished[-_MOST_NAMED:]:
        yield _stopped(status)
    if len(unfinished) > _MOST_NAMED:
        more = number_of(len(unfinished) - _MOST_NAMED, "more job")
        yield note("jobs", f"{more} stopped before the end", "gong-async bulk list")


def _stopped(status: BulkStatus) -> Diagnosis:
    name, why = name_of(status), f": {status.reason}" if status.reason else ""
    seen = f"{status.id} is {status.state}, {status.left:,} of {status.total:,} pending{why}"
    do = f"gong-async bulk resume {name}, or gong-async bulk cancel {name}"
    if status.resume_at is not None and status.state == "waiting":
        do = f"from {moment(status.resume_at)} on, or now with --wait: {do}"
    return note("jobs", seen, do)


def _locks(folder: Path) -> Iterator[Diagnosis]:
    journals = jobs_directory(folder)
    left = [path for path in journals.glob("*.lock") if not path.with_suffix("").exists()]
    if left:
        seen = f"{number_of(len(left), 'lock')} without a journal in {journals}"
        yield note("locks", seen, "remove them unless a job is being planned: they are unused")
    else:
        yield ok("locks", "no stale locks")


def _existing(folder: Path) -> Path:
    """Return the directory, or its closest existing parent."""
    return next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
