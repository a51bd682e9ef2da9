"""Update many meetings from a CSV file of your own making.

The columns are those of your export; this file shows how they become changes. For files in the
format of the command line, `gong-async bulk run FILE` needs no code at all.

GONG_ACCESS_KEY=... GONG_ACCESS_KEY_SECRET=... python examples/bulk_import.py bookings.csv
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
from collections.abc import Iterator
from contextlib import aclosing
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from gong_async import (
    DailyQuotaExceededError,
    GongClient,
    Invitee,
    MeetingChange,
    MeetingUpdate,
)


def read_changes(path: Path) -> Iterator[MeetingChange]:
    """Read one change from each row: gong_id, begins, ends, host, guests, subject."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, restval="")
        for row in rows:
            try:
                yield MeetingChange(
                    meeting_id=row["gong_id"],
                    update=MeetingUpdate(
                        start_time=datetime.fromisoformat(row["begins"]),
                        end_time=datetime.fromisoformat(row["ends"]),
                        organizer_email=row["host"],
                        invitees=[Invitee(email=guest) for guest in row["guests"].split()],
                        title=row["subject"],
                    ),
                )
            except ValueError as error:  # a ValidationError is one, and says which field is wrong
                raise ValueError(f"{path.name}, line {rows.line_num}: {error}") from None


async def run(path: Path) -> bool:
    """Update every meeting of the file; return whether all were."""
    # Everything is read and checked before the first request: half a file is worse than none.
    changes = list(read_changes(path))
    stopped = asyncio.Event()
    source = takewhile(lambda _: not stopped.is_set(), changes)
    updated = failed = 0
    async with (
        GongClient.from_env() as gong,
        aclosing(gong.update_many(source)) as outcomes,
    ):
        async for outcome in outcomes:
            if outcome.error is None:
                updated += 1
                continue
            failed += 1
            print(f"row {outcome.index + 1}: {outcome.error}", file=sys.stderr)
            if isinstance(outcome.error, DailyQuotaExceededError):
                stopped.set()  # what is under way is read to its end; nothing new begins
    print(f"{updated} updated, {failed} failed, {len(changes) - updated - failed} not tried")
    return updated == len(changes)


def main() -> int:
    """Read the file's name from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Update many meetings from a CSV file.")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        return 0 if asyncio.run(run(arguments.file)) else 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
