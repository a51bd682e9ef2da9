"""Through a session of the caller's own: the same faults, as far as they do not need our own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from faults.acts import Raw, Truth, http, json_errors
from faults.always import trial
from faults.line import Then
from faults.operations import Operation, each_operation
from faults.peer import Act, Exchange, scripted

pytestmark = pytest.mark.looptime


async def _huge(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.line.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b"[" * 99
    )
    for _ in range(160):
        await exchange.line.send(b" " * 65_536)
    await exchange.line.end("close")


REFUSALS = {
    "400": "BadRequestError 400 answered known after 1",
    "404": "NotFoundError 404 answered known after 1",
    "409": "ConflictError 409 answered known after 1",
    "302": "RedirectError 302 answered known after 1",
}
LOST: dict[str, tuple[Act, str]] = {
    "reset": (Raw(then="reset"), "APIConnectionError lost"),
    "closed": (Raw(then="close"), "APIConnectionError lost"),
    "silent": (Raw(then="hold"), "APITimeoutError headers"),
    "silent_body": (Raw(http(b"{", length=999), then="hold"), "APITimeoutError body"),
    "cut": (Raw(http(b"{", length=999), then="close"), "ProtocolError cut"),
    "huge": (_huge, "ProtocolError cut"),
    "not_http": (Raw(b"SSH-2.0-OpenSSH\r\n\r\n", then="close"), "ProtocolError not_http"),
}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session of the caller's."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as own:
        yield own


@each_operation
async def test_a_call_succeeds(operation: Operation, session: aiohttp.ClientSession) -> None:
    """One request, one answer, and the session stays open."""
    async with scripted([Truth()]) as peer, trial(peer, session=session, closes=False) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"
    assert not session.closed


@each_operation
@pytest.mark.parametrize("status", REFUSALS)
async def test_a_refusal_is_final(
    operation: Operation, status: str, session: aiohttp.ClientSession
) -> None:
    """What Gong refuses is reported as what it is, and not repeated; no redirect is followed."""
    headers = ["Location: /elsewhere"] if status == "302" else []
    act = Raw(http(json_errors("no"), status=f"{status} X", headers=headers), then="keep")
    async with scripted([act]) as peer, trial(peer, session=session, closes=False) as case:
        verdict = await case.run(operation)

    assert str(verdict) == REFUSALS[status]


@each_operation
@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_leaves_a_doubt(
    operation: Operation, fault: str, session: aiohttp.ClientSession
) -> None:
    """Repeated if that is harmless, and by us alone: aiohttp's own repetition is switched off."""
    act, failure = LOST[fault]
    async with scripted([act]) as peer, trial(peer, session=session, closes=False) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost(failure)


@each_operation
@pytest.mark.parametrize("then", ["close", "hold"])
async def test_the_status_of_an_error_stands(
    operation: Operation, then: Then, session: aiohttp.ClientSession
) -> None:
    """Whether the body behind it breaks off or never ends."""
    act = Raw(http(b"{", status="404 Not Found", length=999), then=then)
    async with scripted([act]) as peer, trial(peer, session=session, closes=False) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "NotFoundError 404 answered known after 1"
