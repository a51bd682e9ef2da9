"""The support bundle of a job: what helps to find a fault, and no personal data."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from attrs import asdict

from gong_async._distribution import __version__
from gong_async.bulk.reports.groups import anonymous, read_groups
from gong_async.bulk.store.job_file import JobFile

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

_MOST_ITEMS = 1_000
_MOST_ATTEMPTS = 20
_REQUEST = ("number", "run", "sent_at", "ended_at", "status", "request_id", "error")
_ITEMS = (
    "SELECT item_index, line, meeting_id, state, attempts, status, request_id, error "
    "FROM item WHERE state IN ('failed', 'in_doubt') ORDER BY item_index LIMIT ?"
)
_ATTEMPTS = (
    "SELECT number, run, sent_at, ended_at, status, request_id, error FROM attempt "
    "WHERE item_index = ? ORDER BY number DESC LIMIT ?"
)
_RUNS = "SELECT number, began_at, ended_at, items FROM run ORDER BY number"


def support_bundle(job: JobFile) -> dict[str, object]:
    """Return versions, options, counts, runs, and the request ids of what went wrong, as JSON.

    It contains no address, title, name, content, path or credential. Meetings have their ids.

    Raises:
        JournalError: the journal is missing or cannot be read.
    """
    status = job.status()
    with job.reading() as connection:
        header: dict[str, Any] = dict(connection.execute("SELECT * FROM job").fetchall())
        (sqlite,) = connection.execute("SELECT sqlite_version()").fetchone()
        items = [_item(connection, row) for row in connection.execute(_ITEMS, (_MOST_ITEMS,))]
        groups = read_groups(connection, job.path, personal=False)
        runs = [
            {"number": number, "began_at": _time(began), "ended_at": _time(ended), "ended": items}
            for number, began, ended, items in connection.execute(_RUNS)
        ]
    wrong = status.counts["failed"] + status.counts["in_doubt"]
    return {
        "versions": {
            "gong_async": __version__,
            "planned_by": header.get("planned_by"),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "aiohttp": _version("aiohttp"),
            "sqlite": sqlite,
            "platform": platform.platform(),
        },
        "job": {
            "id": status.id,
            "operation": header.get("operation"),
            "origin": status.origin,
            "state": status.state,
            "reason": None if status.reason is None else anonymous(status.reason, None, job.path),
            "planned_at": _time(header.get("planned_at")),
            "resume_at": _time(header.get("resume_at")),
            "purged_at": _time(header.get("purged_at")),
            "organizer_checks": header.get("check_requests", 0),
        },
        "options": json.loads(header.get("options", "{}")),
        "counts": dict(status.counts),
        "skipped": dict(status.skipped),
        "runs": runs,
        "errors": [asdict(group) for group in groups],
        "items": items,
        "items_omitted": wrong - len(items),
    }


def _item(connection: Connection, row: tuple[Any, ...]) -> dict[str, object]:
    index, line, meeting_id, state, attempts, status, request_id, error = row
    requests = connection.execute(_ATTEMPTS, (index, _MOST_ATTEMPTS)).fetchall()
    return {
        "index": index,
        "line": line,
        "meeting_id": meeting_id,
        "state": state,
        "attempts": attempts,
        "status": status,
        "request_id": request_id,
        "error": error,
        "requests": [_request(request) for request in reversed(requests)],
    }


def _request(row: tuple[Any, ...]) -> dict[str, object]:
    reported = dict(zip(_REQUEST, row, strict=True))
    return {
        **reported,
        "sent_at": _time(reported["sent_at"]),
        "ended_at": _time(reported["ended_at"]),
    }


def _time(wall: float | None) -> str | None:
    return None if wall is None else datetime.fromtimestamp(wall, UTC).isoformat()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
