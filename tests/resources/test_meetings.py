"""The operations on meetings, and calls that are not modelled, from end to end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from attrs import frozen

from gong_async import (
    AdditionalInvitee,
    BasicAuth,
    ConfigurationError,
    Endpoint,
    GongClient,
    IntegrationStatus,
    Invitee,
    Limits,
    MeetingUpdate,
    NewMeeting,
    NotFoundError,
    RawResult,
    RetryPolicy,
    ValidationError,
)
from gong_async.models._shared import Result
from gong_async.testing import FakeGong, Fault

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 11, 24, 15, 0, tzinfo=BERLIN)
END = datetime(2026, 11, 24, 15, 45, tzinfo=BERLIN)
DANA = "dana@example.com"
ID = "7782342274025937895"


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """Run a fake without limits."""
    async with FakeGong(per_second=None, per_day=None) as fake:
        yield fake


@pytest_asyncio.fixture
async def gong(fake: FakeGong) -> AsyncIterator[GongClient]:
    """Make a client of the fake, without limits of its own."""
    auth = BasicAuth(fake.access_key, fake.access_key_secret)
    limits = Limits(per_second=None, per_day=None)
    async with GongClient(auth, base_url=fake.url, limits=limits) as client:
        yield client


def update(**options: Any) -> MeetingUpdate:
    """Make an update; only what is given beyond the least."""
    return MeetingUpdate(
        start_time=START, end_time=END, organizer_email=DANA, invitees=(), **options
    )


def new(**options: Any) -> NewMeeting:
    """Make a new meeting; only what is given beyond the least."""
    return NewMeeting(start_time=START, end_time=END, organizer_email=DANA, invitees=(), **options)


# Update.


async def test_an_update_sends_every_field(fake: FakeGong, gong: GongClient) -> None:
    """Names as Gong spells them, times with their offset."""
    updated = await gong.meetings.update(
        ID,
        MeetingUpdate(
            start_time=START,
            end_time=END,
            organizer_email=DANA,
            invitees=[
                Invitee(
                    email="lee@customer.example",
                    display_name="Lee Lang",
                    first_name="Lee",
                    last_name="Lang",
                )
            ],
            title="Renewal",
            external_id="7JEHFRGXDDZFEW2FC4U",
            provider="zoom",
        ),
    )

    request = fake.received[0]
    assert updated.meeting_id == ID
    assert (request.method, request.path) == ("PUT", f"/v2/meetings/{ID}")
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "startTime": "2026-11-24T15:00:00+01:00",
        "endTime": "2026-11-24T15:45:00+01:00",
        "organizerEmail": DANA,
        "invitees": [
            {
                "email": "lee@customer.example",
                "displayName": "Lee Lang",
                "firstName": "Lee",
                "lastName": "Lang",
            }
        ],
        "title": "Renewal",
        "externalId": "7JEHFRGXDDZFEW2FC4U",
        "provider": "zoom",
    }


async def test_an_update_sends_nothing_that_is_not_set(fake: FakeGong, gong: GongClient) -> None:
    """What was left out does not travel as null."""
    await gong.meetings.update(ID, update())

    assert set(fake.received[0].json) == {"startTime", "endTime", "organizerEmail", "invitees"}


async def test_a_number_beyond_64_bits_is_an_id(fake: FakeGong, gong: GongClient) -> None:
    """Every digit arrives."""
    updated = await gong.meetings.update(99999999999999999999, update())

    assert updated.meeting_id == "99999999999999999999"
    assert fake.received[0].meeting_id == "99999999999999999999"


@pytest.mark.parametrize("bad", ["", "7.78E+18", "../users", "٣", "1" * 21, " 1", True, 1.0, None])
async def test_a_bad_id_never_leaves(fake: FakeGong, gong: GongClient, bad: Any) -> None:
    """The error names the field, and Gong hears nothing."""
    with pytest.raises(ValidationError) as caught:
        await gong.meetings.update(bad, update())

    assert caught.value.field == "meeting_id"
    assert fake.received_count == 0


async def test_an_update_must_be_a_meeting_update(fake: FakeGong, gong: GongClient) -> None:
    """A new meeting looks alike, but is not meant."""
    with pytest.raises(ValidationError) as caught:
        await gong.meetings.update(ID, new())  # type: ignore[arg-type]

    assert "expected a MeetingUpdate, got NewMeeting" in str(caught.value)
    assert fake.received_count == 0


# Create.


async def test_a_creation_answers_with_id_and_link(fake: FakeGong, gong: GongClient) -> None:
    """The id is text, the link is there, and Gong has the meeting once."""
    created = await gong.meetings.create(new(title="Kick-off"))

    request = fake.received[0]
    assert (request.method, request.path) == ("POST", "/v2/meetings")
    assert created.meeting_id == fake.applied[0].meeting_id
    assert created.meeting_url is not None
    assert created.meeting_url.startswith("https://")
    assert fake.applied[0].body["title"] == "Kick-off"


async def test_a_creation_answers_with_those_to_be_invited(
    fake: FakeGong, gong: GongClient
) -> None:
    """Gong's additional invitees come as objects; what we do not know of the answer is kept."""
    fake.script(
        Fault.status(
            201,
            body=b'{"requestId":"r1","meetingId":123,"meetingUrl":"https://gong.example/m/123",'
            b'"additionalInvitees":[{"email":"rec@gong.example","displayName":"Recorder",'
            b'"firstName":null}],"region":"eu"}',
            content_type="application/json",
        )
    )

    created = await gong.meetings.create(new())

    assert created.meeting_id == "123"
    assert created.additional_invitees == (
        AdditionalInvitee(email="rec@gong.example", display_name="Recorder"),
    )
    assert created.extra == {"region": "eu"}
    assert created.request_id == "r1"
    assert created.meta.status == 201


async def test_a_creation_must_be_a_new_meeting(gong: GongClient) -> None:
    """An update looks alike, but is not meant."""
    with pytest.raises(ValidationError) as caught:
        await gong.meetings.create(update())  # type: ignore[arg-type]

    assert "expected a NewMeeting, got MeetingUpdate" in str(caught.value)


# Delete.


async def test_a_deletion_names_the_organizer_in_its_body(fake: FakeGong, gong: GongClient) -> None:
    """DELETE with a JSON body, as Gong wants it."""
    deleted = await gong.meetings.delete(ID, organizer_email=DANA)

    request = fake.received[0]
    assert (request.method, request.path) == ("DELETE", f"/v2/meetings/{ID}")
    assert request.json == {"organizerEmail": DANA}
    assert deleted.meeting_id == ID
    assert not deleted.already_gone
    assert ID in fake.missing_meetings


async def test_deleting_what_is_not_there_is_an_error(fake: FakeGong, gong: GongClient) -> None:
    """The error names the meeting."""
    fake.missing_meetings.add(ID)

    with pytest.raises(NotFoundError) as caught:
        await gong.meetings.delete(ID, organizer_email=DANA)

    assert caught.value.meeting_id == ID


@pytest.mark.parametrize("bad", ["", "dana", "a@b@c", "da na@example.com"])
async def test_a_deletion_with_a_bad_email_never_leaves(
    fake: FakeGong, gong: GongClient, bad: str
) -> None:
    """The error names the field, and Gong hears nothing."""
    with pytest.raises(ValidationError) as caught:
        await gong.meetings.delete(ID, organizer_email=bad)

    assert caught.value.field == "organizer_email"
    assert fake.received_count == 0


# Integration status.


async def test_the_status_of_users_comes_with_gongs_reasons(
    fake: FakeGong, gong: GongClient
) -> None:
    """Who exists, who is valid, and what the others have to do."""
    fake.add_user("ghost@example.com", exists=False, valid=False)
    fake.add_user(
        "lapsed@example.com",
        valid=False,
        user_facing_error="The consent page is off.",
        fix_url="https://gong.example/fix",
        help_url="https://gong.example/help",
    )

    status = await gong.meetings.integration_status(
        [DANA, "ghost@example.com", "lapsed@example.com"]
    )

    dana, ghost, lapsed = status.users
    assert (dana.email, dana.exists, dana.valid) == (DANA, True, True)
    assert (ghost.exists, ghost.valid) == (False, False)
    assert lapsed.user_facing_error == "The consent page is off."
    assert (lapsed.fix_url, lapsed.help_url) == (
        "https://gong.example/fix",
        "https://gong.example/help",
    )


async def test_250_emails_are_asked_in_three_calls_and_merged(
    fake: FakeGong, gong: GongClient
) -> None:
    """100, 100 and 50; one answer in the order asked, and `meta` counts all three."""
    emails = [f"user{number}@example.com" for number in range(250)]

    status = await gong.meetings.integration_status(iter(emails))

    assert [len(request.json["emails"]) for request in fake.received] == [100, 100, 50]
    assert [user.email for user in status.users] == emails
    assert status.meta.attempts == 3
    assert status.meta.status == 200
    assert status.request_id


async def test_no_emails_ask_nothing(fake: FakeGong, gong: GongClient) -> None:
    """An empty list has an empty answer, without a call."""
    status = await gong.meetings.integration_status([])

    assert status == IntegrationStatus()
    assert fake.received_count == 0


async def test_one_bad_email_of_many_never_leaves(fake: FakeGong, gong: GongClient) -> None:
    """The error names its place, and not one of the calls is made."""
    emails = [f"user{number}@example.com" for number in range(250)]
    emails[180] = "no email"

    with pytest.raises(ValidationError) as caught:
        await gong.meetings.integration_status(emails)

    assert caught.value.field == "emails[180]"
    assert fake.received_count == 0


async def test_one_email_is_not_a_list_of_letters(fake: FakeGong, gong: GongClient) -> None:
    """A string in place of a list is reported as such."""
    with pytest.raises(ValidationError) as caught:
        await gong.meetings.integration_status(DANA)

    assert "expected a list of emails" in str(caught.value)
    assert fake.received_count == 0


# Calls that are not modelled.


async def test_any_operation_can_be_called_by_its_route(fake: FakeGong, gong: GongClient) -> None:
    """The whole answer is there under Gong's own names, with id and meta."""
    answer = await gong.request("GET /v2/users")

    assert isinstance(answer, RawResult)
    assert isinstance(answer.data["users"], list)
    assert answer.request_id == answer.data["requestId"]
    assert (answer.meta.status, answer.meta.attempts) == (200, 1)
    assert fake.received[0].operation == "listUsers"


async def test_path_and_query_are_encoded(fake: FakeGong, gong: GongClient) -> None:
    """Nothing in a value can leave its place in the URL."""
    with pytest.raises(NotFoundError) as caught:
        await gong.request(
            "GET /v2/things/{thing}/parts/{number}",
            path={"thing": "a/b?c=d&e#f %2F ü", "number": 7},
            query={"from": "2026-01-01T00:00:00+02:00", "all": True, "q": "a&b=c d", "n": 1.5},
        )

    request = fake.received[0]
    assert request.path == "/v2/things/a%2Fb%3Fc%3Dd%26e%23f%20%252F%20%C3%BC/parts/7"
    assert request.query == {
        "from": "2026-01-01T00:00:00+02:00",
        "all": "true",
        "q": "a&b=c d",
        "n": "1.5",
    }
    assert caught.value.route == "/v2/things/{thing}/parts/{number}"


@pytest.mark.parametrize("value", ["", ".", "..", "a\nb"])
async def test_a_path_variable_that_would_change_the_route_is_refused(
    fake: FakeGong, gong: GongClient, value: str
) -> None:
    """The error names the variable, and Gong hears nothing."""
    with pytest.raises(ValidationError) as caught:
        await gong.request("GET /v2/things/{thing}", path={"thing": value})

    assert caught.value.field == "thing"
    assert fake.received_count == 0


async def test_a_missing_path_variable_is_reported(gong: GongClient) -> None:
    """The route says what it needs."""
    with pytest.raises(ValidationError) as caught:
        await gong.request("PUT /v2/meetings/{meetingId}", body={})

    assert caught.value.field == "meetingId"


@pytest.mark.parametrize("endpoint", ["FETCH /v2/users", "/v2/users", "GET", "GET v2/users", ""])
async def test_an_operation_that_is_none_is_refused(gong: GongClient, endpoint: str) -> None:
    """Method and route, or a clear error."""
    with pytest.raises(ConfigurationError):
        await gong.request(endpoint)


async def test_a_body_of_any_json_form_is_sent(fake: FakeGong, gong: GongClient) -> None:
    """Models with Python names and plain data may be mixed."""
    answer = await gong.request(
        "PUT /v2/meetings/{meetingId}", path={"meetingId": ID}, body=update(title="Übergabe")
    )

    assert answer.data["meetingId"] == ID
    assert fake.applied[0].body["title"] == "Übergabe"


@pytest.mark.parametrize("body", [{"when": object()}, {"n": float("nan")}, {"s": "\ud800"}])
async def test_a_body_without_a_json_form_is_refused(
    fake: FakeGong, gong: GongClient, body: object
) -> None:
    """The error names the body, and Gong hears nothing."""
    with pytest.raises(ValidationError) as caught:
        await gong.request("POST /v2/things", body=body)

    assert caught.value.field == "body"
    assert fake.received_count == 0


@frozen(kw_only=True)
class Users(Result):
    """An answer of the caller's own."""

    users: tuple[dict[str, Any], ...] = ()


async def test_an_endpoint_of_the_callers_own_has_a_typed_answer(gong: GongClient) -> None:
    """A class of one's own is filled like ours, with `meta`, and keeps the rest in `extra`."""
    endpoint = Endpoint("GET", "/v2/users", Users)

    answer = await gong.request(endpoint)

    assert isinstance(answer, Users)
    assert isinstance(answer.users, tuple)
    assert answer.meta.status == 200
    assert "records" in answer.extra


async def test_the_effect_decides_whether_a_call_is_repeated(
    fake: FakeGong, gong: GongClient
) -> None:
    """A POST that only reads may be repeated when its answer is lost."""
    fake.script(Fault.drop_after())
    endpoint = Endpoint("POST", "/v2/meetings/integration/status", RawResult, effect="read")
    quick = gong.with_options(retry=RetryPolicy(backoff_floor=0, backoff_base=0))

    answer = await quick.request(endpoint, body={"emails": [DANA]})

    assert answer.meta.attempts == 2


# Every result.


async def test_results_say_how_the_call_went_and_keep_what_is_unknown(
    fake: FakeGong, gong: GongClient
) -> None:
    """`meta` and `extra` are there, and do not make equal results unequal."""
    body = f'{{"requestId":"r1","meetingId":"{ID}","newField":{{"a":[1]}}}}'.encode()
    fake.script(Fault.status(200, body=body, content_type="application/json"), times=2)

    first = await gong.meetings.update(ID, update())
    second = await gong.meetings.update(ID, update())

    assert first.extra == {"newField": {"a": [1]}}
    assert first.meta.request_id == first.request_id == "r1"
    assert first.meta.seconds_on_wire > 0
    assert first == second


async def test_times_are_sent_as_given(fake: FakeGong, gong: GongClient) -> None:
    """Offsets stay as they are, UTC is `Z`, fractions are dropped."""
    await gong.meetings.update(
        ID,
        MeetingUpdate(
            start_time=datetime(2026, 3, 1, 10, 0, 0, 999_999, tzinfo=UTC),
            end_time=START + timedelta(days=1),
            organizer_email=DANA,
            invitees=[],
        ),
    )

    assert fake.received[0].json["startTime"] == "2026-03-01T10:00:00Z"
    assert fake.received[0].json["endTime"] == "2026-11-25T15:00:00+01:00"
