"""With which code a command ends that has brought a job so far."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gong_async.bulk.records import BulkStatus
from gong_async.cli.bulk.summary import exit_of
from gong_async.cli.diagnostics import Exit

COUNTS = {"pending": 0, "in_flight": 0, "succeeded": 0, "failed": 0, "in_doubt": 0, "skipped": 0}
SKIPPED = {"superseded": 0, "unchanged": 0, "organizer": 0, "cancelled": 0}


def status(state: Any, **items: int) -> BulkStatus:
    """Return the status of a job with these items."""
    counts: Any = {name: items.get(name, 0) for name in COUNTS}
    skipped: Any = {name: items.get(name, 0) for name in SKIPPED}
    return BulkStatus(
        id="20261122-0",
        path=Path("/x/20261122-0.sqlite3"),
        state=state,
        reason=None,
        resume_at=None,
        origin="https://api.gong.io",
        planned_at=datetime.now(UTC),
        total=sum(items.values()),
        counts=counts,
        skipped=skipped,
        runs=1,
        pid=None,
        began_at=None,
        ended_in_run=0,
        seconds=0.0,
        finishes_at=None,
    )


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (status("completed"), Exit.DONE),
        (status("completed", succeeded=3), Exit.DONE),
        (status("completed", succeeded=3, superseded=2, unchanged=1), Exit.DONE),
        (status("completed", succeeded=3, failed=1), Exit.FAILED),
        (status("completed", succeeded=3, in_doubt=1), Exit.FAILED),
        (status("completed", succeeded=3, organizer=1), Exit.FAILED),
        (status("cancelled", succeeded=3, cancelled=1), Exit.FAILED),
        (status("cancelled", succeeded=3), Exit.DONE),
        (status("planned", pending=3), Exit.RESUMABLE),
        (status("paused", pending=3), Exit.RESUMABLE),
        (status("waiting", pending=3), Exit.RESUMABLE),
        (status("interrupted", in_flight=1), Exit.RESUMABLE),
    ],
    ids=lambda value: value.state if isinstance(value, BulkStatus) else value.name,
)
def test_exit_codes(found: BulkStatus, code: Exit) -> None:
    """0 if nothing is left to be desired, 75 if it can go on, 1 otherwise."""
    assert exit_of(found) == code
