"""Requests and responses, compared with samples written by hand from Gong's documentation."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from gong_async import (
    AdditionalInvitee,
    ConflictError,
    CreatedMeeting,
    DeletedMeeting,
    GongClient,
    IntegrationStatus,
    Invitee,
    MeetingUpdate,
    NewMeeting,
    NotFoundError,
    UpdatedMeeting,
    UserIntegration,
)
from gong_async.testing import FakeGong, Fault

Wire = Callable[[str], Any]

ID = "7782342274025937895"
REQUEST_ID = "4al018gzaztcr8nbukw"

UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, 0, tzinfo=timezone(timedelta(hours=1))),
    end_time=datetime(2026, 11, 24, 15, 45, tzinfo=timezone(timedelta(hours=1))),
    organizer_email="dana@example.com",
    invitees=[
        Invitee(email="lee@customer.example", display_name="Lee", first_name="Lee", last_name="Öz"),
        Invitee(email="kim@customer.example"),
    ],
    title="Renewal “Q4” \N{EN DASH} 日本 🎉",
    external_id="7JEHFRGXDDZFEW2FC4U",
    provider="zoom",
)
NEW = NewMeeting(
    start_time=datetime(2026, 2, 17, 2, 30, tzinfo=timezone(timedelta(hours=-8))),
    end_time=datetime(2026, 2, 19, 2, 30, tzinfo=timezone(timedelta(hours=-8))),
    organizer_email="dana@example.com",
    invitees=[Invitee(email="lee@customer.example")],
)

CALLS: dict[str, Callable[[GongClient], Awaitable[object]]] = {
    "update": lambda gong: gong.meetings.update(ID, UPDATE),
    "create": lambda gong: gong.meetings.create(NEW),
    "delete": lambda gong: gong.meetings.delete(ID, organizer_email="dana@example.com"),
    "integration_status": lambda gong: gong.meetings.integration_status(
        ["dana@example.com", "unknown@example.com"]
    ),
}

RESULTS = {
    "update": UpdatedMeeting(meeting_id=ID, request_id=REQUEST_ID),
    "create": CreatedMeeting(
        meeting_id=ID,
        meeting_url=f"https://join.gong.example/acme/{ID}",
        additional_invitees=(
            AdditionalInvitee(
                email="assistant@gong.example",
                display_name="Gong Assistant",
                first_name="Gong",
                last_name="Assistant",
            ),
        ),
        request_id=REQUEST_ID,
    ),
    "delete": DeletedMeeting(
        meeting_id=ID, organizer_email="dana@example.com", request_id=REQUEST_ID
    ),
    "integration_status": IntegrationStatus(
        users=(
            UserIntegration(
                email="dana@example.com",
                exists=True,
                valid=False,
                user_facing_error="The consent page is switched off.",
                fix_url="https://app.gong.example/settings",
                help_url="",
            ),
            UserIntegration(email="unknown@example.com", exists=False, valid=False),
        ),
        request_id=REQUEST_ID,
    ),
}


def answering(payload: object, status: int = 200) -> Fault:
    """Make the fake answer with this JSON."""
    body = json.dumps(payload).encode()
    headers = {"x-traceid": REQUEST_ID}
    return Fault.status(status, body=body, headers=headers, content_type="application/json")


@pytest.mark.parametrize("operation", CALLS)
async def test_request_is_as_gong_documents_it(
    operation: str, gong: GongClient, fake_gong: FakeGong, wire: Wire
) -> None:
    """The body has exactly the names and values of the sample."""
    await CALLS[operation](gong)

    assert json.loads(fake_gong.received[0].body) == wire(f"meetings/{operation}.request.json")


@pytest.mark.parametrize("operation", CALLS)
async def test_answer_is_read_as_gong_documents_it(
    operation: str, gong: GongClient, fake_gong: FakeGong, wire: Wire
) -> None:
    """The sample of the answer becomes the typed result without unknown fields."""
    fake_gong.script(answering(wire(f"meetings/{operation}.response.json")))

    result = await CALLS[operation](gong)

    assert result == RESULTS[operation]


async def test_not_found_is_read_as_gong_documents_it(
    gong: GongClient, fake_gong: FakeGong, wire: Wire
) -> None:
    """The error has Gong's messages and request id."""
    fake_gong.script(answering(wire("meetings/not_found.response.json"), 404))

    with pytest.raises(NotFoundError) as caught:
        await gong.meetings.update(ID, UPDATE)

    assert caught.value.errors == ("The given meeting ID was not found.",)
    assert caught.value.request_id == REQUEST_ID


async def test_conflict_is_read_as_gong_documents_it(
    gong: GongClient, fake_gong: FakeGong, wire: Wire
) -> None:
    """The three extra keys of a 409 are in the error; an empty one counts as absent."""
    fake_gong.script(answering(wire("meetings/conflict.response.json"), 409))

    with pytest.raises(ConflictError) as caught:
        await gong.meetings.update(ID, UPDATE)

    error = caught.value
    assert error.errors == ("Provider disconnected",)
    assert error.user_facing_error == "The organizer's calendar is disconnected."
    assert error.fix_url == "https://app.gong.example/fix"
    assert error.help_url is None
