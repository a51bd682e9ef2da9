"""Any model and any answer is converted without loss, or rejected."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gong_async import (
    AdditionalInvitee,
    CreatedMeeting,
    DecodeError,
    IntegrationStatus,
    Invitee,
    MeetingUpdate,
    RawResult,
    UpdatedMeeting,
    UserIntegration,
)
from gong_async._json import from_json
from gong_async.models.converter import make_converter, structure, to_json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = st.text(st.characters(categories=["L", "N"], max_codepoint=0x2FF), min_size=1, max_size=9)
emails = st.emails() | st.builds("{}@example.com".format, words)
invitees = st.builds(
    Invitee,
    email=emails,
    display_name=st.none() | texts,
    first_name=st.none() | texts,
    last_name=st.none() | texts,
)
zones = st.builds(timezone, st.integers(-14 * 4, 14 * 4).map(lambda q: timedelta(minutes=15 * q)))
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001
updates = st.builds(
    lambda start, length, **fields: MeetingUpdate(
        start_time=start, end_time=start + length, **fields
    ),
    start=times,
    length=st.timedeltas(timedelta(seconds=1), timedelta(days=9)),
    organizer_email=emails,
    invitees=st.lists(invitees, max_size=4),
    title=st.none() | texts,
    external_id=st.none() | texts,
    provider=st.none() | texts,
)


@given(updates)
@settings(deadline=None)
def test_what_is_written_can_be_read_back(update: MeetingUpdate) -> None:
    """Every field of an update is in its JSON, times to the second."""
    written = json.loads(to_json(make_converter(), update))

    assert datetime.fromisoformat(written.pop("startTime")) == update.start_time.replace(
        microsecond=0
    )
    assert datetime.fromisoformat(written.pop("endTime")) == update.end_time.replace(microsecond=0)
    assert written.pop("organizerEmail") == update.organizer_email
    assert (
        tuple(
            Invitee(
                email=invitee.get("email"),
                display_name=invitee.get("displayName"),
                first_name=invitee.get("firstName"),
                last_name=invitee.get("lastName"),
            )
            for invitee in written.pop("invitees")
        )
        == update.invitees
    )
    assert written == {
        name: value
        for name, value in [
            ("title", update.title),
            ("externalId", update.external_id),
            ("provider", update.provider),
        ]
        if value is not None
    }


results = st.one_of(
    st.builds(UpdatedMeeting, meeting_id=texts, request_id=st.none() | texts),
    st.builds(
        CreatedMeeting,
        meeting_id=st.integers(0, 10**20 - 1).map(str),
        meeting_url=st.none() | texts,
        additional_invitees=st.lists(
            st.builds(AdditionalInvitee, email=st.none() | texts, first_name=st.none() | texts)
        ).map(tuple),
    ),
    st.builds(
        IntegrationStatus,
        users=st.lists(
            st.builds(UserIntegration, email=texts, exists=st.booleans(), valid=st.booleans())
        ).map(tuple),
    ),
)


@given(results)
@settings(deadline=None)
def test_results_round_trip(result: UpdatedMeeting | CreatedMeeting | IntegrationStatus) -> None:
    """A result that is written and read again is equal."""
    converter = make_converter()

    again = structure(converter, json.loads(to_json(converter, result)), type(result))

    assert again == result


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "meetingId",
                "users",
                "requestId",
                "meetingUrl",
                "additionalInvitees",
                "extra",
                "meta",
                "x",
            ]
        ),
        json_values,
    )
)
@pytest.mark.parametrize("model", [UpdatedMeeting, CreatedMeeting, IntegrationStatus, RawResult])
@settings(deadline=None)
def test_any_object_is_decoded_or_rejected(model: type[object], payload: dict[str, Any]) -> None:
    """Every JSON object is a result, or a `DecodeError` with a path."""
    read: object = None
    paths: tuple[str, ...] = ()
    try:
        read = structure(make_converter(), payload, model)
    except DecodeError as error:
        paths = error.paths

    assert isinstance(read, model) or paths
    assert all(path.startswith("$.") for path in paths)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
@settings(deadline=None)
def test_any_bytes_are_parsed_or_rejected(body: bytes) -> None:
    """Every body is a value that can be encoded again, or a `ValueError`."""
    try:
        value = from_json(body)
    except ValueError:
        return

    assert isinstance(json.dumps(value, ensure_ascii=False).encode(), bytes)
