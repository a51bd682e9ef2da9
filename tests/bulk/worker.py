"""A process that runs a bulk job, for others to look at, to stop and to kill.

Prints a line of JSON for each item, and at last the state of the job or its error.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from gong_async import (
    BasicAuth,
    BulkOptions,
    GongClient,
    JournalError,
    Limits,
    MeetingChange,
    MeetingUpdate,
)
from gong_async.bulk import runner
from gong_async.testing.server import FAKE_ACCESS_KEY, FAKE_ACCESS_KEY_SECRET

START = datetime(2026, 11, 24, 15, tzinfo=UTC)


def change(number: int) -> MeetingChange:
    """Make the change of a meeting."""
    update = MeetingUpdate(
        start_time=START,
        end_time=START + timedelta(hours=1),
        organizer_email="dana@example.com",
        invitees=[],
    )
    return MeetingChange(meeting_id=number, update=update)


def say(**what: object) -> None:
    """Report the parent."""
    print(json.dumps(what), flush=True)  # noqa: T201 - this is how it is heard


async def work(
    *,
    url: str,
    state: str,
    journal: str,
    count: int = 0,
    resume: bool = False,
    look: float = 0.05,
    largest_file: int | None = None,
) -> None:
    """Run or resume the job."""
    runner._LOOK_SECONDS = look
    limits = Limits(per_second=None, per_day=None)
    auth = BasicAuth(FAKE_ACCESS_KEY, FAKE_ACCESS_KEY_SECRET)
    async with GongClient(auth, base_url=url, limits=limits) as gong:
        job = gong.bulk(
            [change(number) for number in range(count)] if count else None,
            journal=journal,
            state_dir=state,
            options=BulkOptions(check_organizers=False) if count else None,
        )
        try:
            if count:
                await job.plan()
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
            async for item in job.resume() if resume else job.run():
                say(index=item.index, state=item.state)
        except JournalError as error:
            say(error=str(error), reason=error.reason)
            return
        status = await job.status()
        say(job=status.state, why=status.reason)


def main(options: dict[str, Any]) -> None:
    """Do what the arguments say."""
    asyncio.run(work(**options))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
