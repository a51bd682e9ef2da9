"""The four operations on meetings, as the tests make them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import frozen

from gong_async import GongClient, Invitee, MeetingChange, MeetingUpdate, NewMeeting, Result

MEETING_ID = "7782342274025937895"
ORGANIZER = "dana@example.com"

_FIELDS: dict[str, Any] = {
    "start_time": datetime(2026, 11, 24, 15, 0, tzinfo=UTC),
    "end_time": datetime(2026, 11, 24, 15, 45, tzinfo=UTC),
    "organizer_email": ORGANIZER,
    "invitees": [Invitee(email="lee@customer.example", display_name="Lee")],
}


@frozen
class Operation:
    """One operation, and what may be done when its answer is lost."""

    name: str
    call: Callable[[GongClient], Awaitable[Result]]
    repeatable: bool = True
    writes: bool = True

    def __str__(self) -> str:
        return self.name

    def once_lost(self, failure: str) -> str:
        """Return how a call ends whose answer is lost once: see `Verdict`."""
        return "ok after 2" if self.repeatable else self.lost(failure, attempts=1)

    def lost(self, failure: str, *, attempts: int) -> str:
        """Return how a call ends whose answer stays lost."""
        outcome = "unknown" if self.writes else "known"
        return f"{failure} maybe {outcome} after {attempts if self.repeatable else 1}"


def change(*, meeting_id: str = MEETING_ID, title: str = "Renewal") -> MeetingChange:
    """Return a line of a bulk update."""
    return MeetingChange(meeting_id=meeting_id, update=MeetingUpdate(**_FIELDS, title=title))


def update(*, meeting_id: str = MEETING_ID, title: str = "Renewal") -> Operation:
    """Return an update of a meeting."""
    state = MeetingUpdate(**_FIELDS, title=title)
    return Operation("update", lambda gong: gong.meetings.update(meeting_id, state))


def create(*, title: str = "Renewal") -> Operation:
    """Return a creation of a meeting."""
    meeting = NewMeeting(**_FIELDS, title=title)
    return Operation("create", lambda gong: gong.meetings.create(meeting), repeatable=False)


UPDATE = update()
CREATE = create()
DELETE = Operation(
    "delete", lambda gong: gong.meetings.delete(MEETING_ID, organizer_email=ORGANIZER)
)
STATUS = Operation(
    "status", lambda gong: gong.meetings.integration_status([ORGANIZER]), writes=False
)

OPERATIONS = (UPDATE, CREATE, DELETE, STATUS)

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)
each_repeatable = pytest.mark.parametrize("operation", [UPDATE, DELETE, STATUS], ids=str)
update_and_create = pytest.mark.parametrize("operation", [UPDATE, CREATE], ids=str)
