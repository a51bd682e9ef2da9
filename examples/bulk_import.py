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
from datetime import datetime
from pathlib import Path

from gong_async import (
    GongClient,
    GongError,
    Invitee,
    JournalError,
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
            except KeyError as error:
                raise ValueError(f"{path.name} has no column {error}") from None
            except ValueError as error:  # a ValidationError is one, and says which field is wrong
                raise ValueError(f"{path.name}, line {rows.line_num}: {error}") from None


def journal_of(path: Path) -> Path:
    """Return where the job of a file is written down: beside it."""
    return path.with_name(path.name + ".job.sqlite3")


async def run(path: Path) -> bool:
    """Update every meeting of the file; return whether all were.

    The job's journal lies beside the file. Run again after a stop, a crash or the end of the day's
    quota, the program goes on where it was.
    """
    journal = journal_of(path)
    async with GongClient.from_env() as gong:
        # A fault in the last line raises before anything is sent: half a file is worse than none.
        job = gong.bulk(read_changes(path), journal=journal)
        begun = journal.exists() and (await job.status()).runs
        async for item in job.resume() if begun else job.run():
            if not item.ok:
                print(f"row {item.index + 1}: {item.message}", file=sys.stderr)
        status = await job.status()
    counts = ", ".join(f"{number} {state}" for state, number in status.counts.items() if number)
    print(f"{status.state}: {counts}")
    return status.counts["succeeded"] == status.total


def explain(error: JournalError, path: Path) -> str:
    """Say what to do about a journal that cannot be used."""
    if error.reason != "input":
        return str(error)
    journal = journal_of(path)
    return (
        f"{path.name} has changed since its job was planned, and nothing was sent now. To go on "
        f"with the rows of then: gong-async bulk resume '{journal}'. To begin with the rows of "
        f"now: move {journal.name} away, and run this again; what Gong has acknowledged is left out"
    )


def main() -> int:
    """Read the file's name from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Update many meetings from a CSV file.")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        return 0 if asyncio.run(run(arguments.file)) else 1
    except JournalError as error:
        print(explain(error, arguments.file), file=sys.stderr)
        return 2
    except (GongError, OSError, ValueError, csv.Error) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
