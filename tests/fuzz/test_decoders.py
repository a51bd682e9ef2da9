"""Every decoder, fed with what hypothesis can think of: an answer, or an error of its own kind."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gong_async import (
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    CreatedMeeting,
    DecodeError,
    DeletedMeeting,
    GongError,
    IntegrationStatus,
    ProtocolError,
    RawResult,
    Result,
    Secret,
    UpdatedMeeting,
    ValidationError,
)
from gong_async._json import from_json
from gong_async._redact import Redactor
from gong_async._settings.base_url import base_url
from gong_async._wire import Request, Response
from gong_async._wire.response import (
    parse_retry_after,
    read_success,
    request_id,
    retry_after,
    status_error,
)
from gong_async.auth import auth_from_env
from gong_async.errors import LONGEST_WAIT
from gong_async.models.converter import make_converter, structure, to_json
from gong_async.models.meetings import meeting_id

SECRET = "s3cret/with+odd=chars"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONVERTER = make_converter()
RESULTS = (UpdatedMeeting, CreatedMeeting, DeletedMeeting, IntegrationStatus, RawResult)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
known_keys = st.sampled_from(
    ["requestId", "meetingId", "meetingUrl", "additionalInvitees", "organizerEmail", "users",
     "email", "exists", "valid", "errors", "userFacingError", "fixUrl", "helpUrl", "extra", "meta"]
)  # fmt: skip
payloads = st.recursive(
    st.dictionaries(known_keys | st.text(max_size=5), json_values, max_size=6),
    lambda inner: st.dictionaries(known_keys, inner | st.lists(inner, max_size=3), max_size=6),
    max_leaves=5,
)
bodies = st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()) | (
    payloads.map(lambda value: json.dumps(value).encode())
)  # fmt: skip
header_text = st.text(st.characters(exclude_characters="\r\n"), max_size=40)
headers = st.dictionaries(
    st.sampled_from(
        ["Retry-After", "Date", "Content-Type", "x-traceid", "Location", "Content-Encoding"]
    ),
    header_text,
).map(CIMultiDict)
REQUESTS = [
    Request(method, "https://api.gong.io/x", "/x", effect, {})  # type: ignore[arg-type]
    for method, effect in (("PUT", "replace"), ("DELETE", "delete"), ("POST", "create"))
]


def is_plain(text: str) -> bool:
    """Whether a text is one line without anything that acts, and may be stored anywhere."""
    return not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(each) for each in text}


@given(bodies)
@example(b"\xef\xbb\xbf{}")
@example(b'{"a": NaN}')
@example(b"[" * 100_000)
@example(b"9" * 5_000)
@example(b'"\\ud800"')
@example('{"a":1}'.encode("utf-16"))
@example(b"\xff\xfe\x00\xd8")
def test_json(body: bytes) -> None:
    """Bytes are JSON that can be written anywhere, or a `ValueError`; numbers are finite."""
    try:
        found = from_json(body)
    except ValueError:
        return

    assert json.dumps(found, ensure_ascii=False).encode()
    assert not any(isinstance(leaf, float) and math.isnan(leaf) for leaf in leaves(found))


def leaves(value: Any) -> list[Any]:
    """Return what a JSON value consists of."""
    match value:
        case list():
            return [leaf for item in value for leaf in leaves(item)]
        case dict():
            return [leaf for item in value.values() for leaf in leaves(item)]
        case _:
            return [value]


@given(payloads, st.sampled_from(RESULTS))
def test_structure(payload: dict[str, Any], cls: type[Result]) -> None:
    """A payload becomes what was asked for, or a `DecodeError` that says where it does not fit."""
    try:
        result = structure(CONVERTER, payload, cls)
    except DecodeError as error:
        assert error.paths
        assert error.__context__ is None
        return

    assert isinstance(result, cls)
    usable = getattr(result, "meeting_id", "")
    assert isinstance(usable, str)
    if isinstance(result, CreatedMeeting):
        assert meeting_id(usable) == usable


@given(json_values)
def test_bodies_are_json_or_refused(value: object) -> None:
    """What is sent is JSON that means the same, or is refused with one of two errors."""
    try:
        sent = to_json(CONVERTER, value)
    except (TypeError, ValueError):
        return

    assert json.loads(sent) == json.loads(json.dumps(value))


@given(st.integers(100, 999), headers, bodies, st.sampled_from(REQUESTS), st.sampled_from(RESULTS))
def test_answers(
    status: int, header: CIMultiDict[str], body: bytes, request: Request, cls: type[Result]
) -> None:
    """Any answer is a payload or an error of ours, in plain text without the secret."""
    redact = Redactor([Secret(SECRET)])
    echo = base64.b64encode(SECRET.encode())
    response = Response(status, header, body + SECRET.encode() + echo)
    errors: list[GongError] = []
    if 200 <= status < 300:
        try:
            assert isinstance(read_success(request, response, redact)[0], dict)
        except ProtocolError as error:
            errors.append(error)
    else:
        errors.append(status_error(response, redact, NOW))
    said = request_id(response, redact)

    assert said is None or is_plain(said)
    for found in errors:
        assert is_plain(str(found))
        assert SECRET not in str(found)
        assert echo.decode().rstrip("=") not in str(found)
        assert len(found.message) < 1000
        assert found.__context__ is None


@given(st.lists(header_text, max_size=3), st.none() | header_text)
@example(["1" * 5000], None)
@example(["Fri, 31 Dec 9999 23:59:59 GMT"], "Mon, 01 Jan 0001 00:00:00 +2359")
@example(["٣", "1_0", "+1", "nan", "inf", "-5", "0x10", "1e3"], None)
def test_waits(values: list[str], date: str | None) -> None:
    """Any header is a wait between 0 and a day, or nothing."""
    wait = parse_retry_after(values, date=date, now=NOW)
    header = CIMultiDict([("Retry-After", value) for value in values])

    assert wait is None or 0 <= wait <= LONGEST_WAIT
    assert retry_after(Response(429, header, b""), NOW) == parse_retry_after(
        values, date=None, now=NOW
    )


@given(st.text(max_size=100), st.text(min_size=8, max_size=20), st.text(max_size=100))
def test_redaction(before: str, secret: str, after: str) -> None:
    """A secret of any characters is not left in any text, which is one line in the end."""
    redact = Redactor([Secret(secret)])
    shown = redact(before + secret + after)

    assert is_plain(shown)
    assert len(shown) <= 500
    assert secret not in shown or secret in redact("***")


@given(st.binary(max_size=400), st.integers(1, 100))
def test_excerpts(body: bytes, limit: int) -> None:
    """The beginning of any bytes is a short plain text."""
    shown = Redactor([Secret(SECRET)]).excerpt(body, limit)

    assert is_plain(shown)
    assert len(shown) <= limit


@given(st.text(max_size=30), st.text(max_size=30))
@pytest.mark.parametrize("build", [BasicAuth, lambda key, _: BearerAuth(key)])
def test_credentials(build: Callable[[str, str], Any], key: str, secret: str) -> None:
    """A credential is a header of printable ASCII, or a `ConfigurationError` that shows none."""
    try:
        auth = build(key, secret)
    except ConfigurationError as error:
        assert error.__context__ is None
        return
    value = asyncio.run(auth.authorization()).reveal()

    assert value.isascii()
    assert value.isprintable()
    assert repr(auth).count("***") == len(repr(auth).split("***")) - 1 >= 1


@given(
    st.dictionaries(
        st.sampled_from(["GONG_ACCESS_KEY", "GONG_ACCESS_KEY_SECRET", "GONG_BEARER_TOKEN"]),
        st.text(max_size=20),
    )
)
def test_environments(environ: dict[str, str]) -> None:
    """Any environment is a credential or a `ConfigurationError`."""
    try:
        auth = auth_from_env(environ)
    except ConfigurationError as error:
        assert is_plain(str(error))
        return

    assert isinstance(auth, BasicAuth | BearerAuth)


@given(st.text(max_size=40) | st.builds("https://{}".format, st.text(max_size=40)))
@example("https://[::1")
@example("https://a:b/c@d")
def test_base_urls(url: str) -> None:
    """Any text is a safe prefix or a `ConfigurationError`."""
    try:
        checked = base_url(url)
    except ConfigurationError as error:
        assert is_plain(str(error))
        assert error.__context__ is None
        return

    assert checked.startswith(("https://", "http://"))
    assert checked.isascii()
    assert not set("@?#\\ ") & set(checked.partition("//")[2].partition("/")[0])
    assert base_url(checked) == checked


@given(st.text(max_size=30) | st.integers() | st.floats() | st.none() | st.binary(max_size=5))
def test_meeting_ids(value: Any) -> None:
    """Anything is 1 to 20 ASCII digits or a `ValidationError`."""
    try:
        found = meeting_id(value)
    except ValidationError as error:
        assert is_plain(str(error))
        assert error.__context__ is None
        return

    assert found.isascii()
    assert found.isdigit()
    assert 1 <= len(found) <= 20
