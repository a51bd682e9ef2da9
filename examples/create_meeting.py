"""Put a new meeting into Gong, after asking whether its organizer can have one.

GONG_ACCESS_KEY=... GONG_ACCESS_KEY_SECRET=... python examples/create_meeting.py dana@example.com
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime, timedelta

from gong_async import GongClient, GongError, Invitee, NewMeeting


async def create(organizer_email: str) -> str:
    """Create a meeting of 45 minutes, a day from now, and return its id."""
    start = datetime.now(UTC) + timedelta(days=1)
    meeting = NewMeeting(
        start_time=start,
        end_time=start + timedelta(minutes=45),
        organizer_email=organizer_email,
        invitees=[Invitee(email="lee@customer.example", display_name="Lee")],
        title="Renewal",
        external_id="order-4711",
    )
    async with GongClient.from_env() as gong:
        status = await gong.meetings.integration_status([organizer_email])
        for user in status.users:
            if not user.valid:
                print(f"Gong warns: {user.user_facing_error or 'no reason given'}", file=sys.stderr)
        created = await gong.meetings.create(meeting)
    print(f"meeting {created.meeting_id}, for the invitation: {created.meeting_url}")
    for guest in created.additional_invitees:
        print(f"invite {guest.email} too, so that Gong can record")
    return created.meeting_id


def main() -> int:
    """Read the organizer's email from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Put a new meeting into Gong.")
    parser.add_argument("organizer_email")
    arguments = parser.parse_args()
    try:
        asyncio.run(create(arguments.organizer_email))
    except GongError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
