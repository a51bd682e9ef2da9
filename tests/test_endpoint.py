"""Endpoints of the caller: checks of their answers, and hints of their errors."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from attrs import frozen

from gong_async import (
    ConfigurationError,
    Endpoint,
    GongClient,
    GongError,
    MeetingUpdate,
    NotFoundError,
    ProtocolError,
    RawResult,
    Result,
    RetryPolicy,
)
from gong_async.testing import FakeGong, Fault


@frozen(kw_only=True)
class User:
    """A class with a required field."""

    id: str


@frozen(kw_only=True)
class Page(Result):
    """A class without required fields."""

    users: tuple[User, ...] = ()


def answering(payload: object) -> Fault:
    """Return a response with this JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Fault.status(200, body=body)


GET_USER = Endpoint("GET", "/v2/users/{id}", User, echo="id")


async def test_echo_repeats_any_path_variable(gong: GongClient, fake_gong: FakeGong) -> None:
    """`echo` names any path variable of the route."""
    fake_gong.script(answering({"id": "42"}))

    assert await gong.request(GET_USER, path={"id": 42}) == User(id="42")


@pytest.mark.parametrize("variable", ["id", "taskId", "user_id"])
@pytest.mark.parametrize("value", ["42", 42])
async def test_echo_compares_only_its_own_variable(
    variable: str, value: object, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Other variables are ignored, and a number equals its digits."""
    endpoint = Endpoint("PUT", f"/v2/x/{{meetingId}}/y/{{{variable}}}", RawResult, echo=variable)
    fake_gong.script(answering({variable: value, "meetingId": "8"}))

    answer = await gong.request(endpoint, path={"meetingId": "7", variable: "42"})

    assert answer.data[variable] == value


@pytest.mark.parametrize(
    "payload",
    [
        {"id": "43"},
        {"id": 43},
        {"id": "042"},
        {"id": 42.0},
        {"id": ["42"]},
        {"id": True},
        {"id": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("returns", [User, RawResult])
async def test_another_echo_is_a_mismatch(
    payload: object, returns: type[Any], gong: GongClient, fake_gong: FakeGong
) -> None:
    """The answer is about another object; the error names it, for every class of the answer."""
    fake_gong.script(answering(payload))

    with pytest.raises(ProtocolError, match="about id") as caught:
        await gong.request(Endpoint("GET", "/v2/users/{id}", returns, echo="id"), path={"id": 42})

    assert caught.value.flaw == "mismatch"


@pytest.mark.parametrize("payload", [{}, {"id": None}, {"user": {"id": "42"}}], ids=str)
async def test_a_missing_echo_is_a_protocol_error(
    payload: object, gong: GongClient, fake_gong: FakeGong
) -> None:
    """An answer without the echo does not prove success."""
    fake_gong.script(answering(payload))

    with pytest.raises(ProtocolError, match="without id") as caught:
        await gong.request(GET_USER, path={"id": 42})

    assert caught.value.flaw == "shape"


@pytest.mark.parametrize("echo", ["meetingId", "ID", "users", ""])
def test_echo_names_a_variable_of_the_route(echo: str) -> None:
    """Another name raises `ConfigurationError` when the endpoint is built."""
    with pytest.raises(ConfigurationError, match="not a path variable"):
        Endpoint("GET", "/v2/users/{id}", User, echo=echo)


@pytest.mark.parametrize("requires", ["requestId", ["requestId"], (7,), None])
def test_requires_is_a_tuple_of_names(requires: Any) -> None:
    """A single string would be read letter by letter."""
    with pytest.raises(ConfigurationError, match="requires"):
        Endpoint("GET", "/v2/users", RawResult, requires=requires)


@pytest.mark.parametrize("endpoint", ["GET /v2/users", Endpoint("GET", "/v2/users", Page)])
@pytest.mark.parametrize(
    "payload",
    [{"message": "down for maintenance"}, {}, {"requestId": ""}, {"requestId": 7}],
    ids=str,
)
async def test_an_answer_needs_a_request_id_by_default(
    endpoint: Any, payload: object, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Every success of Gong has one, except for the deletion of a meeting."""
    fake_gong.script(answering(payload))

    with pytest.raises(ProtocolError, match="without requestId"):
        await gong.request(endpoint)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"organizerEmail":"dana@example.com"}'])
async def test_a_deletion_by_its_route(body: bytes, gong: GongClient, fake_gong: FakeGong) -> None:
    """The same answers count as success as for `meetings.delete`."""
    fake_gong.script(answering(body))

    answer = await gong.request("DELETE /v2/meetings/{meetingId}", path={"meetingId": 1})

    assert answer.data == (json.loads(body) if body else {})


async def test_required_fields_must_be_present(gong: GongClient, fake_gong: FakeGong) -> None:
    """`requires` replaces the request id."""
    endpoint = Endpoint("GET", "/v2/users", Page, requires=("users",))
    fake_gong.script(answering({"users": [{"id": "1"}]}))
    fake_gong.script(answering({"requestId": "r"}))

    assert (await gong.request(endpoint)).users == (User(id="1"),)
    with pytest.raises(ProtocolError, match="without users"):
        await gong.request(endpoint)


async def test_a_replacement_may_return_an_empty_body(
    gong: GongClient, fake_gong: FakeGong
) -> None:
    """With `requires=()`, an empty body is a success."""
    endpoint = Endpoint("PUT", "/v2/things", RawResult, effect="replace", requires=())
    fake_gong.script(answering(b""))
    fake_gong.script(answering(b""))

    assert (await gong.request(endpoint)).data == {}
    with pytest.raises(ProtocolError, match="without a body") as caught:
        await gong.request("PUT /v2/things")
    assert caught.value.outcome_unknown


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("method", "effect", "sent"),
    [
        ("GET", None, 2),
        ("HEAD", None, 2),
        ("DELETE", None, 2),
        ("POST", None, 1),
        ("PUT", None, 1),
        ("PATCH", None, 1),
        ("POST", "read", 2),
        ("PUT", "replace", 2),
        ("PATCH", "replace", 2),
        ("PUT", "create", 1),
    ],
)
async def test_a_put_or_patch_is_sent_again_only_if_its_effect_allows_it(
    method: str, effect: Any, sent: int, gong: GongClient, fake_gong: FakeGong
) -> None:
    """A PUT may post events: without an effect, no lost answer makes it happen twice."""
    fake_gong.script(Fault.drop_after())
    stated = {} if effect is None else {"effect": effect}
    endpoint = Endpoint(method, "/v2/things", RawResult, **stated)

    with pytest.raises(GongError) as caught:
        await gong.request(endpoint)

    assert fake_gong.received_count == sent
    assert caught.value.outcome_unknown == (endpoint.effect != "read")


@pytest.mark.parametrize("returns", [User, Page, RawResult])
async def test_a_success_with_errors_is_a_protocol_error(
    returns: type[Any], gong: GongClient, fake_gong: FakeGong
) -> None:
    """For every class of the answer, raw results included."""
    fake_gong.script(answering({"requestId": "r", "id": "1", "errors": ["no such user"]}))

    with pytest.raises(ProtocolError, match="no such user"):
        await gong.request(Endpoint("GET", "/v2/users", returns))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 429, 500, 503, 302])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_hints_of_other_operations_do_not_mention_meetings(
    status: int, method: str, gong: GongClient, fake_gong: FakeGong
) -> None:
    """Gong returns 404 for a list without calls, which has no meeting id."""
    said = "No calls found corresponding to the provided filters"
    fake_gong.script(Fault.status(status, errors=(said,)))
    once = gong.with_options(retry=RetryPolicy(max_attempts=1, max_refusals=0))

    with pytest.raises(GongError, match="No calls found") as caught:
        await once.request(f"{method} /v2/calls")

    shown = str(caught.value).lower()
    assert "meeting" not in shown
    assert "organizer" not in shown


@pytest.mark.parametrize("payload", [{"id": []}, {"requestId": "r"}], ids=str)
async def test_the_hint_of_a_callers_class_names_the_class(
    payload: object, gong: GongClient, fake_gong: FakeGong
) -> None:
    """A newer version of the library would not help."""
    fake_gong.script(answering(payload))

    with pytest.raises(ProtocolError, match="Compare the class"):
        await gong.request(Endpoint("GET", "/v2/users", User))


async def test_hints_of_meetings_mention_them(
    gong: GongClient, fake_gong: FakeGong, update: MeetingUpdate
) -> None:
    """The hint is kept in a pickle."""
    fake_gong.script(Fault.status(404, errors=("The given meeting ID was not found.",)))

    with pytest.raises(NotFoundError) as caught:
        await gong.meetings.update("42", update)

    assert "Check the meeting id and the organizer's email" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).hint == caught.value.hint


async def test_an_endpoint_may_have_its_own_hints(gong: GongClient, fake_gong: FakeGong) -> None:
    """They replace the hint of the error class."""
    endpoint = Endpoint("GET", "/v2/users", RawResult, hints={NotFoundError: "Look at the cursor"})
    fake_gong.script(Fault.status(404))

    with pytest.raises(NotFoundError, match="Look at the cursor"):
        await gong.request(endpoint)
