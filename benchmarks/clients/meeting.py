"""The meetings that every client updates, and their JSON as people write it by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

START = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
FIRST_ID = 7_000_000_000_000_000_000
KEY, SECRET = "benchmark-key", "benchmark-secret"


class Meeting(NamedTuple):
    """What a program knows of a meeting before it calls Gong."""

    id: str
    start: datetime
    end: datetime
    organizer: str
    invitees: tuple[tuple[str, str], ...]
    """Email and name of each."""
    title: str


def make_meetings(count: int) -> list[Meeting]:
    """Return so many different meetings, made before anything is measured."""
    return [_make_meeting(number) for number in range(count)]


def by_hand(meeting: Meeting) -> dict[str, Any]:
    """Return the body of the update as a plain dict, for the clients that have no models."""
    return {
        "startTime": meeting.start.isoformat(),
        "endTime": meeting.end.isoformat(),
        "organizerEmail": meeting.organizer,
        "invitees": [{"email": email, "displayName": name} for email, name in meeting.invitees],
        "title": meeting.title,
    }


def _make_meeting(number: int) -> Meeting:
    start = START + timedelta(minutes=15 * (number % 1_000))
    invitees = [(f"lee{number}@customer.example", "Lee Moss"), ("kim@customer.example", "Kim Aoki")]
    if number % 2:
        invitees.append(("noa@partner.example", "Noa Bär"))
    return Meeting(
        id=str(FIRST_ID + number),
        start=start,
        end=start + timedelta(minutes=45),
        organizer=f"organizer{number % 100}@example.com",
        invitees=tuple(invitees),
        title=f"Renewal {number}",
    )
