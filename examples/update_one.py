"""Replace one meeting by its new state, and distinguish the three ways in which that can end.

GONG_ACCESS_KEY=... GONG_ACCESS_KEY_SECRET=... python examples/update_one.py 7782342274025937895
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import datetime

from gong_async import GongClient, GongError, Invitee, MeetingUpdate


async def update(meeting_id: str) -> None:
    """Send the whole new state: what is left out is not promised to stay."""
    new_state = MeetingUpdate(
        start_time=datetime.fromisoformat("2026-11-24T15:00:00+01:00"),
        end_time=datetime.fromisoformat("2026-11-24T15:45:00+01:00"),
        organizer_email="dana@example.com",
        invitees=[Invitee(email="lee@customer.example", display_name="Lee")],
        title="Renewal",
    )
    async with GongClient.from_env() as gong:
        updated = await gong.meetings.update(meeting_id, new_state)
    attempts = updated.meta.attempts
    print(f"updated {updated.meeting_id} (request {updated.request_id}, attempts: {attempts})")


def main() -> int:
    """Read the meeting's id from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Replace one meeting by its new state.")
    parser.add_argument("meeting_id")
    arguments = parser.parse_args()
    try:
        asyncio.run(update(arguments.meeting_id))
    except GongError as error:
        verdict = "perhaps updated" if error.outcome_unknown else "not updated"
        print(f"{verdict}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
