"""What an answer says: its payload, or the error that it stands for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from multidict import CIMultiDict

from gong_async import (
    APIStatusError,
    ConflictError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    Secret,
    ServerError,
)
from gong_async._redact import Redactor
from gong_async._wire import Effect, Request, Response
from gong_async._wire.response import read_success, request_id, retry_after, status_error

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SECRET = "hunter2hunter2hunter2hunter2hunt"


def response(status: int, body: object = b"", **headers: str) -> Response:
    """Make an answer; anything but bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, CIMultiDict(named), content)


def request(effect: Effect = "replace") -> Request:
    """Make a request with this effect."""
    return Request("PUT", "https://x/v2/meetings/42", "/v2/meetings/{meetingId}", effect, {})


def error(status: int, body: object = b"", **headers: str) -> Any:
    """Return what an answer stands for."""
    return status_error(response(status, body, **headers), Redactor([Secret(SECRET)]), NOW)


def payload(status: int, body: object = b"", effect: Effect = "replace") -> dict[str, Any]:
    """Return what a success says."""
    redact = Redactor([Secret(SECRET)])
    return read_success(request(effect), response(status, body), redact)[0]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_success_is_its_object(status: int) -> None:
    """The label of the content does not matter, parsing decides."""
    assert payload(status, {"meetingId": "42"}) == {"meetingId": "42"}


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("effect", ["replace", "delete"])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf"])
def test_a_change_may_be_answered_with_nothing(status: int, effect: Effect, body: bytes) -> None:
    """For a replacement or a deletion the status says everything."""
    assert payload(status, body, effect) == {}


@pytest.mark.parametrize("effect", ["create", "read"])
def test_a_response_that_must_have_content_may_not_be_empty(effect: Effect) -> None:
    """A creation returns an id, and a read returns data."""
    with pytest.raises(ProtocolError, match="without a body") as caught:
        payload(200, b"", effect)

    assert caught.value.flaw == "content"


@pytest.mark.parametrize("status", [101, 203, 205, 206, 226, 299])
def test_other_successes_are_not_believed(status: int) -> None:
    """Part of an answer, or one that a proxy made, is none."""
    with pytest.raises(ProtocolError, match=str(status)) as caught:
        payload(status, {"meetingId": "42"})

    assert caught.value.flaw == "unexpected"
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b'{"meetingId":"4', "cut"),
        (b'{"meetingId":', "cut"),
        (b"[1,", "cut"),
        (b'{"a":NaN}', "content"),
        (b"<!doctype html><title>Log in</title>", "content"),
        (b"\x1f\x8b\x08 not unpacked", "content"),
        (b"OK", "content"),
        (b"[]", "shape"),
        (b"null", "shape"),
        (b"42", "shape"),
        (b'"42"', "shape"),
    ],
)
def test_the_flaw_decides_whether_it_may_heal(body: bytes, flaw: str) -> None:
    """What begins as JSON was cut on its way; what never was JSON, or is no object, stays so."""
    with pytest.raises(ProtocolError) as caught:
        payload(200, body)

    assert caught.value.flaw == flaw


def test_an_unbelievable_answer_shows_its_kind_and_beginning() -> None:
    """A login page is recognized by its first words; what would act on a terminal is escaped."""
    page = b"<title>Sign\x1b[2J in</title>" + b"x" * 10_000
    with pytest.raises(ProtocolError) as caught:
        read_success(request(), response(200, page, Content_Type="text/html"), Redactor())

    assert "text/html" in str(caught.value)
    assert r"<title>Sign\u001b[2J in</title>" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("before", range(0, 33, 4))
def test_a_secret_at_the_edge_of_what_is_shown_is_redacted_whole(status: int, before: int) -> None:
    """An echo of our secret is redacted before the text is cut, wherever it stands."""
    answer = response(status, b"-" * before + (SECRET.encode() + b" ") * 400)
    redact = Redactor([Secret(SECRET)])

    text = str(_failure(answer, redact))

    assert "***" in text
    assert "hunt" not in text


def _failure(answer: Response, redact: Redactor) -> Exception:
    if answer.status != 200:
        return status_error(answer, redact, NOW)
    with pytest.raises(ProtocolError) as caught:
        read_success(request(), answer, redact)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<h1>502 Bad Gateway</h1>",
        b"\xff\xfe\x00 not text",
        b'{"requestId":"4al0","errors":["cut of',
        b"[1, 2]",
        b"null",
        b'{"errors":NaN}',
        b'{"errors":{"a":1}}',
        b'{"errors":7}',
        b'{"errors":[{"line":1,"description":"odd"},null,7]}',
        b'{"requestId":7,"errors":null}',
        b'{"n":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b"x" * 1_000_000,
    ],
    ids=lambda body: ascii(body[:24]),
)
@pytest.mark.parametrize("status", [400, 404, 409, 429, 500, 502])
def test_no_body_hides_the_status(status: int, body: bytes) -> None:
    """Whatever an error's body is, the status is reported, briefly."""
    found = error(status, body)

    assert isinstance(found, APIStatusError)
    assert found.status == status
    assert f"Gong answered {status}" in found.message
    assert len(found.message) <= 500


def test_html_is_shown_in_part() -> None:
    """Of a page that is no JSON the beginning is shown, and no errors are made up."""
    found = error(502, b"<h1>502</h1>" + b"x" * 10_000, Content_Type="application/json")

    assert "<h1>502</h1>" in found.message
    assert found.errors == ()


def test_many_errors_are_counted_and_not_kept() -> None:
    """Twenty are kept, five hundred characters each; the rest is a number."""
    found = error(400, {"errors": ["e" * 10_000] * 20 + ["e"] * 99_980})

    assert len(found.errors) == 20
    assert {len(text) for text in found.errors} == {500}
    assert found.errors_omitted == 99_980
    assert len(str(found)) < 1000


def test_one_error_as_text_is_one_error() -> None:
    """`errors` may be a text where it should be a list."""
    assert error(400, {"errors": "odd"}).errors == ("odd",)


def test_foreign_text_is_made_safe() -> None:
    """Secrets are redacted; line breaks, escapes and bidi overrides are shown, not done."""
    said = f"bad\r\nSet-Cookie: x \x1b[31m \u202e {SECRET} =1+1"
    found = error(400, {"requestId": f"a\n{SECRET}", "errors": [said]}, x_traceid="b")

    assert found.errors == (r"bad\u000d\u000aSet-Cookie: x \u001b[31m \u202e *** =1+1",)
    assert found.request_id == r"a\u000a***"
    assert SECRET not in str(found) and "\n" not in str(found)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"requestId": "body"}, {"x-traceid": "header"}, "body"),
        ({"requestId": ""}, {"x-traceid": "header"}, "header"),
        ({"requestId": 7}, {"x-traceid": "header"}, "header"),
        ({}, {"X-TraceId": "header"}, "header"),
        (None, {"x-traceid": "header"}, "header"),
        ({}, {"x-traceid": f"a\n{SECRET}"}, r"a\u000a***"),
        ({}, {}, None),
    ],
)
def test_request_id_comes_from_the_body_or_the_header(
    body: object, headers: dict[str, str], expected: str | None
) -> None:
    """Gong repeats its id in a header, which remains when the body is no JSON."""
    response = Response(200, CIMultiDict(headers), b"")

    assert request_id(response, Redactor([Secret(SECRET)]), body) == expected


@pytest.mark.parametrize(
    ("said", "scope"),
    [
        ("You don't have permission to use 'api:meetings:user:update' in your app.",
         "api:meetings:user:update"),
        ("you DON'T have permission to use 'api:users:read' here", "api:users:read"),
    ],
)  # fmt: skip
def test_a_401_that_names_a_scope(said: str, scope: str) -> None:
    """The scope is read from Gong's words, for there is no field."""
    found = error(401, {"errors": ["first", said]})

    assert isinstance(found, PermissionDeniedError)
    assert found.missing_scope == scope


@pytest.mark.parametrize(
    "body",
    [
        {"errors": ["Invalid credentials"]},
        {"errors": ["permission to use '<script>'"]},
        b"",
        b"<p>",
    ],
)
def test_any_other_401_is_about_the_credential(body: object) -> None:
    """Only what names a scope is about a scope."""
    found = error(401, body)

    assert type(found).__name__ == "AuthenticationError"


@pytest.mark.parametrize("odd", ["", None, 7, ["x"], {"a": 1}])
def test_conflict_takes_text_or_nothing(odd: object) -> None:
    """Extra keys of another type count as absent."""
    found = error(409, {"errors": [], "userFacingError": odd, "fixUrl": odd, "helpUrl": odd})

    assert isinstance(found, ConflictError)
    assert (found.user_facing_error, found.fix_url, found.help_url) == (None, None, None)


def test_retry_at_is_now_and_the_wait() -> None:
    """The time is given by our own clock."""
    found = error(429, b"", Retry_After="90")

    assert isinstance(found, RateLimitError)
    assert found.retry_at == NOW + timedelta(seconds=90)


def test_retry_after_counts_on_pages_too() -> None:
    """A proxy's page may carry the header; the longer of two counts."""
    headers = CIMultiDict([("Retry-After", "3"), ("retry-after", "7")])
    found = status_error(Response(503, headers, b"<p>busy</p>"), Redactor(), NOW)

    assert isinstance(found, ServerError)
    assert found.retry_after == 7.0


def test_retry_after_is_none_without_the_header() -> None:
    """No header, no wait."""
    assert retry_after(response(429), NOW) is None


@pytest.mark.parametrize("status", [100, 101, 199, 304, 600, 999])
def test_what_is_no_answer_is_a_protocol_error(status: int) -> None:
    """An informational status, "not modified" and made-up ones are no status of Gong's."""
    found = error(status)

    assert isinstance(found, ProtocolError)
    assert (found.flaw, found.status) == ("unexpected", status)
