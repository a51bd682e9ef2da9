"""Conversion between models and JSON: accepted and rejected values, and the paths of errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, Literal

import pytest
from attrs import field, frozen

from gong_async import (
    CreatedMeeting,
    DecodeError,
    Endpoint,
    GongClient,
    IntegrationStatus,
    Invitee,
    MeetingUpdate,
    NewMeeting,
    ProtocolError,
    RawResult,
    Result,
    UserIntegration,
    ValidationError,
)
from gong_async._json import from_json
from gong_async.models._shared import camel_case
from gong_async.models.converter import make_converter, structure, to_json
from gong_async.testing import FakeGong, Fault

Wire = Callable[[str], Any]

MEETING: dict[str, Any] = {
    "start_time": datetime(2026, 11, 24, 15, 0, tzinfo=UTC),
    "end_time": datetime(2026, 11, 24, 15, 45, tzinfo=UTC),
    "organizer_email": "dana@example.com",
    "invitees": [Invitee(email="lee@customer.example")],
}
UPDATE = MeetingUpdate(title="Renewal 日本 🎉", **MEETING)
NEW = NewMeeting(**MEETING)
REQUEST_ID = "4al018gzaztcr8nbukw"


def answering(payload: object, status: int = 200) -> Fault:
    """Return a response with this JSON; bytes are sent unchanged."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {"x-traceid": REQUEST_ID}
    return Fault.status(status, body=body, headers=headers, content_type="application/json")


async def test_json_is_sent_as_utf8(gong: GongClient, fake_gong: FakeGong) -> None:
    """Text is sent as UTF-8, without escapes, with the content type of JSON."""
    await gong.meetings.update("42", UPDATE)

    assert "日本 🎉".encode() in fake_gong.received[0].body
    assert fake_gong.received[0].headers["content-type"] == "application/json"


async def test_new_fields_are_kept(gong: GongClient, fake_gong: FakeGong) -> None:
    """A field that the class does not define is no error and is kept in `extra`."""
    new = {"shiny": {"deep": [1, 2]}, "nothing": None, "extra": 1, "meta": 2, "alreadyGone": True}
    fake_gong.script(answering({"requestId": "r", "meetingId": "42", **new}))

    updated = await gong.meetings.update("42", UPDATE)

    assert updated.extra == new
    assert updated.meta.status == 200


async def test_gong_cannot_set_local_fields(gong: GongClient, fake_gong: FakeGong) -> None:
    """`already_gone` describes our own attempts; a response with that name does not change it."""
    fake_gong.script(
        answering({"requestId": "r", "organizerEmail": "dana@example.com", "alreadyGone": True})
    )

    deleted = await gong.meetings.delete("42", organizer_email="dana@example.com")

    assert deleted.already_gone is False
    assert deleted.extra == {"alreadyGone": True}


async def test_new_fields_deep_inside_are_kept(gong: GongClient, fake_gong: FakeGong) -> None:
    """Inner objects may grow, too."""
    user = {"email": "a@example.com", "exists": True, "valid": True, "score": 1.5}
    fake_gong.script(answering({"requestId": "r", "users": [user]}))

    status = await gong.meetings.integration_status(["a@example.com"])

    assert status.users == (
        UserIntegration(email="a@example.com", exists=True, valid=True, extra={"score": 1.5}),
    )


@pytest.mark.parametrize(
    ("model", "payload", "paths"),
    [
        (
            IntegrationStatus,
            {"users": [{"email": "a@b", "valid": True}]},
            ["$.users[0].exists: missing"],
        ),
        (
            IntegrationStatus,
            {"users": [{"email": "a@b", "valid": True, "exists": 1}]},
            ["$.users[0].exists: expected true or false, got a number"],
        ),
        (
            IntegrationStatus,
            {"users": [{"email": "a@b", "valid": True, "exists": None}]},
            ["$.users[0].exists: expected true or false, got null"],
        ),
        (
            IntegrationStatus,
            {"users": [{"email": "a@b", "valid": "yes"}, 7, None]},
            [
                "$.users[0].exists: missing",
                "$.users[0].valid: expected true or false, got a string",
                "$.users[1]: expected an object, got a number",
                "$.users[2]: expected an object, got null",
            ],
        ),
        (IntegrationStatus, {"users": 5}, ["$.users: expected a list, got a number"]),
        (IntegrationStatus, {"users": "abc"}, ["$.users: expected a list, got a string"]),
        (IntegrationStatus, {"users": {"a": 1}}, ["$.users: expected a list, got an object"]),
        (CreatedMeeting, {}, ["$.meetingId: missing"]),
        (CreatedMeeting, {"meetingId": None}, ["$.meetingId: expected a string, got null"]),
        (CreatedMeeting, {"meetingId": True}, ["$.meetingId: expected a string, got a boolean"]),
        (CreatedMeeting, {"meetingId": 1.0}, ["$.meetingId: expected a string, got a number"]),
        (CreatedMeeting, {"meetingId": ["1"]}, ["$.meetingId: expected a string, got a list"]),
        (
            CreatedMeeting,
            {"meetingId": "1", "meetingUrl": {}, "additionalInvitees": [{"firstName": []}]},
            [
                "$.additionalInvitees[0].firstName: expected a string, got a list",
                "$.meetingUrl: expected a string, got an object",
            ],
        ),
    ],
)
def test_every_mismatch_is_reported_with_its_path(
    model: type[object], payload: dict[str, Any], paths: list[str]
) -> None:
    """Paths have Gong's names."""
    with pytest.raises(DecodeError) as caught:
        structure(make_converter(), payload, model)

    assert sorted(caught.value.paths) == sorted(paths)
    assert all(path in str(caught.value) for path in paths)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


async def test_a_mismatch_is_an_error_of_the_call(gong: GongClient, fake_gong: FakeGong) -> None:
    """An answer of another shape is no success; the error has the method and route."""
    fake_gong.script(answering({"requestId": REQUEST_ID, "meetingUrl": "https://x"}))

    with pytest.raises(DecodeError) as caught:
        await gong.meetings.create(NEW)

    error = caught.value
    assert error.paths == ("$.meetingId: missing",)
    assert (error.method, error.route, error.attempts) == ("POST", "/v2/meetings", 1)
    assert error.outcome_unknown


async def test_a_mismatch_keeps_status_and_request_id(
    gong: GongClient, fake_gong: FakeGong
) -> None:
    """Gong's support needs the request id of a wrong answer."""
    fake_gong.script(answering({"requestId": "from the body", "meetingId": None}))

    with pytest.raises(DecodeError) as caught:
        await gong.meetings.create(NEW)

    assert caught.value.status == 200
    assert caught.value.request_id == "from the body"


async def test_optional_fields_may_be_null(gong: GongClient, fake_gong: FakeGong) -> None:
    """Null counts as absent for a field with a default."""
    fake_gong.script(
        answering(
            {"requestId": "r", "meetingId": "42", "meetingUrl": None, "additionalInvitees": None}
        )
    )

    created = await gong.meetings.create(NEW)

    assert created == CreatedMeeting(meeting_id="42", request_id="r")


@pytest.mark.parametrize("digits", ["99999999999999999999", "9007199254740993", "1"])
async def test_ids_as_numbers_keep_every_digit(
    digits: str, gong: GongClient, fake_gong: FakeGong
) -> None:
    """An id that Gong sends as a JSON number becomes a string without loss of digits."""
    fake_gong.script(answering(f'{{"requestId":"r","meetingId":{digits}}}'.encode()))

    updated = await gong.meetings.update(digits, UPDATE)

    assert updated.meeting_id == digits


async def test_lone_surrogates_in_answers_are_replaced(
    gong: GongClient, fake_gong: FakeGong
) -> None:
    """A lone surrogate is legal JSON and cannot be encoded as UTF-8; U+FFFD replaces it."""
    body = rb'{"requestId":"r","meetingId":"1","meetingUrl":"a\ud83dz","new":["\uDE00"]'
    fake_gong.script(answering(body + rb',"k\ud800":"\ud83d\ude00"}'))

    created = await gong.meetings.create(NEW)

    assert created.meeting_url == "a\ufffdz"
    assert created.extra == {"new": ["\ufffd"], "k\ufffd": "😀"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"meetingId":"1","score":NaN}',
        b'{"meetingId":"1","score":Infinity}',
        b'{"meetingId":"1","score":-Infinity}',
        b'{"meetingId":"1","big":' + b"1" * 5000 + b"}",
        b'{"meetingId":"1","deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"meetingId":"\xff"}',
        b'{"meetingId":"\xed\xa0\x80"}',
        b'{"meetingId":"1"',
        b"<html>",
        b"null",
        b'"text"',
        b"7",
        b"[]",
        b'["1"]',
    ],
    ids=lambda body: body[:28].decode(errors="replace"),
)
async def test_a_200_without_a_valid_json_object_is_no_success(
    body: bytes, gong: GongClient, fake_gong: FakeGong
) -> None:
    """It is a `ProtocolError`, and the outcome is unknown."""
    fake_gong.script(answering(body), times=None)

    with pytest.raises(ProtocolError) as caught:
        await gong.meetings.create(NEW)

    assert caught.value.outcome_unknown
    assert caught.value.status == 200


@pytest.mark.parametrize("depth", [10, 300, 900, 5000])
def test_a_lone_surrogate_at_any_depth_is_replaced_or_rejected(depth: int) -> None:
    """Beyond the recursion limit of the interpreter, parsing raises `ValueError`."""
    body = b"[" * depth + rb'"\ud800"' + b"]" * depth
    text = ""
    try:
        text = json.dumps(from_json(body), ensure_ascii=False)
    except ValueError as error:
        text = str(error)

    assert "\ufffd" in text or "nested too deeply" in text


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + b'{"requestId":"r","meetingId":"42"}',
        '{"requestId":"r","meetingId":"42"}'.encode("utf-16"),
        '{"requestId":"r","meetingId":"42"}'.encode("utf-16-le"),
        b' \r\n {"requestId":"r","meetingId":"42"} \n',
        b'{"requestId":"r","meetingId":"41","meetingId":"42"}',
    ],
    ids=["BOM", "UTF-16", "UTF-16 without BOM", "blanks", "the last of equal keys"],
)
async def test_unusual_but_legal_json_is_decoded(
    body: bytes, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Every encoding of JSON is detected; the last of duplicate keys is used."""
    fake_gong.script(answering(body))

    updated = await gong.meetings.update("42", UPDATE)

    assert updated.meeting_id == "42"
    assert updated.meta.attempts == 1


async def test_a_raw_result_has_the_whole_json_object(
    gong: GongClient, fake_gong: FakeGong
) -> None:
    """`request` with a route returns the JSON object with Gong's names."""
    fake_gong.script(answering({"requestId": "r", "users": [{"id": 10**19}]}))

    answer = await gong.request("GET /v2/users")

    assert answer == RawResult(data={"requestId": "r", "users": [{"id": 10**19}]}, request_id="r")


class Loop(list["Loop"]):
    """A list that contains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.append(self)


def deep(levels: int) -> list[Any]:
    """Return nested lists."""
    nest: list[Any] = []
    for _ in range(levels):
        nest = [nest]
    return nest


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        Decimal("1.5"),
        b"bytes",
        bytearray(b"bytes"),
        {1, 2},
        object(),
        "\ud800",
        1j,
        Loop(),
        deep(100_000),
        datetime(2026, 1, 1),  # noqa: DTZ001 - this is the fault
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28))),
    ],
    ids=[
        "NaN", "inf", "-inf", "Decimal", "bytes", "bytearray", "set", "object", "lone surrogate",
        "complex", "loop", "deep", "naive time", "offset with seconds",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["value", "key of an object", "item of a list"])
async def test_a_body_without_a_json_form_is_rejected(
    value: Any, place: str, gong: GongClient, fake_gong: FakeGong
) -> None:
    """`request` raises `ValidationError` before anything is sent."""
    body = {"value": value, "key of an object": {"a": value}, "item of a list": [0, value]}[place]

    with pytest.raises(ValidationError, match=r"^body: "):
        await gong.request("POST /v2/anything", body=body)

    assert fake_gong.received_count == 0


async def test_a_body_may_contain_models_and_times(gong: GongClient, fake_gong: FakeGong) -> None:
    """`request` takes attrs classes and aware times anywhere in its body."""
    body = {"when": datetime(2026, 1, 1, tzinfo=UTC), "who": [Invitee(first_name="Lee")]}
    fake_gong.script(answering({"requestId": "r"}))

    await gong.request("POST /v2/meetings", body=body)

    assert fake_gong.received[0].json == {
        "when": "2026-01-01T00:00:00Z",
        "who": [{"firstName": "Lee"}],
    }


@frozen
class Folder:
    """A recursive class."""

    folder_name: str
    folders: tuple[Folder, ...] = ()


def test_a_class_may_be_recursive() -> None:
    """A tree of objects is written at every level."""
    tree = Folder("a", (Folder("b", (Folder("c"),)), Folder("d")))

    written = json.loads(to_json(make_converter(), tree))

    assert written == {
        "folderName": "a",
        "folders": [
            {"folderName": "b", "folders": [{"folderName": "c"}]},
            {"folderName": "d"},
        ],
    }


@pytest.mark.parametrize(
    ("name", "gongs"),
    [("title", "title"), ("start_time", "startTime"), ("user_facing_error", "userFacingError")],
)
def test_names_become_camel_case(name: str, gongs: str) -> None:
    """Python names in code, Gong's names on the wire."""
    assert camel_case(name) == gongs


class Color(Enum):
    """An enum of strings."""

    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    """An enum of integers."""

    LOW = 1
    HIGH = 2


class Shade(StrEnum):
    """An enum whose members are strings."""

    DARK = "dark"


@frozen(kw_only=True)
class Deep:
    """A nested object with a field of each type."""

    at: datetime | None = None
    day: date | None = None
    whole: int | None = None
    part: float | None = None
    flag: bool | None = None
    color: Color | None = None
    level: Level | None = None
    shade: Shade | None = None
    kind: Literal["a", 1] | None = None
    name: str | None = None
    call_id: str | None = None
    matrix: list[list[int]] = field(factory=list)
    tags: set[str] = field(factory=set)
    by_name: dict[str, int] = field(factory=dict)
    plain: dict = field(factory=dict)  # type: ignore[type-arg]
    anything: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Owned(Result):
    """A result class of the caller."""

    deep: tuple[Deep, ...] = ()


GOOD: list[tuple[str, object, object]] = [
    ("at", "2026-11-24T15:00:00Z", datetime(2026, 11, 24, 15, tzinfo=UTC)),
    ("at", "2026-11-24T16:00:00.250+01:00", datetime(2026, 11, 24, 15, 0, 0, 250_000, UTC)),
    ("at", "2026-11-24t15:00z", datetime(2026, 11, 24, 15, tzinfo=UTC)),
    ("day", "2026-11-24", date(2026, 11, 24)),
    ("whole", 10**30, 10**30),
    ("part", 3.5, 3.5),
    ("part", 3, 3.0),
    ("part", 10**20, 1e20),
    ("flag", False, False),
    ("color", "red", Color.RED),
    ("level", 2, Level.HIGH),
    ("shade", "dark", Shade.DARK),
    ("kind", 1, 1),
    ("name", "7", "7"),
    ("call_id", 9007199254740993, "9007199254740993"),
    ("matrix", [[1], [], [2, 3]], [[1], [], [2, 3]]),
    ("tags", ["a", "b"], {"a", "b"}),
    ("by_name", {"a": 1}, {"a": 1}),
    ("plain", {"a": [1.5]}, {"a": [1.5]}),
    ("anything", {}, {}),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
async def test_every_type_is_decoded_from_its_json_form(
    name: str, value: object, expected: object, gong: GongClient, fake_gong: FakeGong
) -> None:
    """A field of the caller's class gets exactly its type."""
    fake_gong.script(answering({"requestId": "r", "deep": [{camel_case(name): value}]}))

    answer = await gong.request(Endpoint("GET", "/v2/x", Owned))

    found = getattr(answer.deep[0], name)
    assert found == expected
    assert type(found) is type(expected)


def _with(name: str, *values: Any) -> list[tuple[str, object]]:
    return [(name, value) for value in values]


BAD: list[tuple[str, Any]] = [
    *_with("at",
        "2026-11-24T15:00:00", "2026-11-24", "24.11.2026 15:00", "2026-13-24T15:00:00Z", 1795721000,
        "2026-11-24T15:00:00.1234567Z", "", True, "now", "2026-W48-2T15:00Z",  # noqa: FBT003
    ),
    *_with("day", "2026-11-24T00:00:00Z", "20261124", "2026-02-30", 20261124, ""),
    *_with("whole", "3", 3.7, 3.0, True, False, "", [3], {}),  # noqa: FBT003
    *_with("part", "3.7", True, 2**53 + 1, 10**400, "", [1.0]),  # noqa: FBT003
    *_with("flag", "true", 1, 0, "", "no", []),
    *_with("color", "RED", "green", 1, True, ["red"], {}),  # noqa: FBT003
    *_with("level", True, 1.0, "1", "LOW", 3),  # noqa: FBT003
    *_with("shade", "DARK", "light", 7),
    *_with("kind", True, 1.0, "1", "b", ["a"]),  # noqa: FBT003
    *_with("name", 7, 7.5, True, ["a"], {"a": 1}),  # noqa: FBT003
    *_with("call_id", 7.5, True, ["7"]),  # noqa: FBT003
    *_with("matrix", "12", [[1], "2"], [["1"]], {"0": [1]}, [[True]]),
    *_with("tags", "ab", {"a": 1}, ["a", "a"], ["a", 1]),
    *_with("by_name", [["a", 1]], "a", {"a": "1"}, {"a": True}, []),
    *_with("plain", [], [["a", 1]], "", [1]),
    *_with("anything", [], [["a", 1]], ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
async def test_nothing_is_converted_silently(
    name: str, value: object, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Every other value is a `DecodeError` with its path."""
    fake_gong.script(answering({"requestId": "r", "deep": [{}, {camel_case(name): value}]}))

    with pytest.raises(DecodeError) as caught:
        await gong.request(Endpoint("GET", "/v2/x", Owned))

    assert [path for path in caught.value.paths if path.startswith(f"$.deep[1].{camel_case(name)}")]
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("returns", [int, bytes, list[int], dict[str, int], complex, Decimal])
async def test_a_type_without_a_json_form_is_a_decode_error(
    returns: Any, gong: GongClient, fake_gong: FakeGong
) -> None:
    """The error is `DecodeError`, never one of cattrs."""
    fake_gong.script(answering({"requestId": "r"}))

    with pytest.raises(DecodeError):
        await gong.request(Endpoint("GET", "/v2/x", returns))
