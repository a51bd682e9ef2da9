"""Changes of made-up meetings, as many as are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gong_async import MeetingChange, MeetingUpdate

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def changes(count: int, organizers: int = 100) -> Iterator[MeetingChange]:
    """Yield one change for each of `count` meetings."""
    for number in range(count):
        yield MeetingChange(
            meeting_id=f"{7_000_000_000_000_000_000 + number}",
            update=MeetingUpdate(
                start_time=NOON,
                end_time=NOON + timedelta(hours=1),
                organizer_email=f"user{number % organizers}@example.com",
                invitees=[],
                title=f"Meeting {number}",
            ),
        )
