"""C. Slow, silent, early: F28 to F36."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from faults.acts import Raw, Truth, http, json_errors
from faults.always import DEADLINE, TIMEOUT, trial
from faults.operations import (
    MEETING_ID,
    Operation,
    change,
    create,
    each_operation,
    update,
    update_and_create,
)
from faults.peer import Act, Exchange, Peer, behave, scripted
from gong_async import RetryPolicy

pytestmark = pytest.mark.looptime

HEADERS = "APITimeoutError headers"
BODY = "APITimeoutError body"
_HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: applica"


@each_operation
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(Raw(then="hold"), id="f28_silence"),
        pytest.param(Raw(_HALF_A_HEAD, then="hold"), id="f29_half_of_the_headers"),
    ],
)
async def test_f28_f29_no_answer(operation: Operation, act: Act) -> None:
    """No whole head of an answer within an attempt's time: in doubt, and repeated if harmless."""
    async with Peer(always=act) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        peak = peer.peak

    assert str(verdict) == operation.lost(HEADERS, attempts=4)
    assert verdict.seconds >= verdict.attempts * TIMEOUT
    assert peak == 1


@each_operation
async def test_f28_silent_once(operation: Operation) -> None:
    """One silent answer costs one attempt's time."""
    async with scripted([Raw(then="hold")]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.once_lost(HEADERS)


@each_operation
async def test_f28_deadline_ends_the_call(operation: Operation) -> None:
    """The time for the whole call is kept, in the middle of an attempt and between two."""
    policy = RetryPolicy(deadline=12.0)
    async with Peer(always=Raw(then="hold")) as peer, trial(peer, retry=policy) as case:
        verdict = await case.run(operation)

    assert verdict.seconds <= 12.5
    assert verdict.failure.outcome_unknown is operation.writes


@each_operation
async def test_f30_half_of_the_body(operation: Operation) -> None:
    """A status of 200 without the rest of its body is no success."""
    async with Peer(always=Truth(keep=12, then="hold")) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.lost(BODY, attempts=4)


@each_operation
@pytest.mark.parametrize(
    ("data", "phase"),
    [(http(headers=["X-Pad: " + 300 * "x"]), HEADERS), (http(b"{" + 300 * b" "), BODY)],
    ids=["head", "body"],
)
async def test_f31_one_byte_at_a_time(operation: Operation, data: bytes, phase: str) -> None:
    """Bytes that keep coming do not keep an attempt alive."""
    act = Raw(data, piece=1, interval=0.05)
    async with Peer(always=act) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == operation.lost(phase, attempts=4)
    assert verdict.seconds >= verdict.attempts * TIMEOUT


async def _drip(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.line.send(http(b"{", length=10**9))
    while True:
        await exchange.line.send(b" " * 100)
        await asyncio.sleep(0.05)


@update_and_create
async def test_f32_endless_drip(operation: Operation) -> None:
    """A body that never ends is ended by the attempt's time, and does not pile up."""
    async with Peer(always=_drip) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        most = await case.peak_memory(operation)

    assert str(verdict) == operation.lost(BODY, attempts=4)
    assert most < 8 * 1024 * 1024


LARGE = 16 * 1024 * 1024
"""More than all buffers between client and server hold."""


async def _stop_reading(exchange: Exchange) -> None:
    """Leave the request's body where it is, long enough for anybody to lose patience."""
    await asyncio.sleep(2 * TIMEOUT)
    await exchange.line.gone()


@pytest.mark.parametrize("make", [update, create])
async def test_f33_server_stops_reading(make: Callable[..., Operation]) -> None:
    """An upload that the server does not take ends with the attempt: some of it has arrived."""
    operation = make(title="x" * LARGE)
    async with Peer(always=_stop_reading) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await asyncio.sleep(2 * TIMEOUT)

    assert str(verdict) == operation.lost("APITimeoutError send", attempts=4)


async def test_f33_server_reads_on_late() -> None:
    """A server that only pauses gets the whole upload, and the call its answer."""

    async def pause(exchange: Exchange) -> None:
        await asyncio.sleep(TIMEOUT - 1)
        await behave(exchange)

    operation = update(title="x" * LARGE)
    async with scripted([pause]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


async def _apply_late(exchange: Exchange) -> None:
    await exchange.read()
    await asyncio.sleep(TIMEOUT + 2)
    await exchange.apply()
    await exchange.line.gone()


@each_operation
async def test_f34_applied_after_we_gave_up(operation: Operation) -> None:
    """A repetition begins when the socket of the attempt before it is closed, with its bytes."""
    closed_before: list[bool] = []

    async def second(exchange: Exchange) -> None:
        closed_before.append(exchange.peer.lines[0].reader.at_eof())
        await behave(exchange)

    async with scripted([_apply_late, second]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await asyncio.sleep(TIMEOUT)
        applied = list(peer.applied)

    assert str(verdict) == operation.once_lost(HEADERS)
    assert closed_before == [True] * (verdict.attempts - 1)
    assert len(applied) == verdict.attempts
    assert len(set(applied)) == 1


def _gateway_timeout(seconds: float) -> Act:
    """Answer 504 now, and apply later."""

    async def act(exchange: Exchange) -> None:
        await exchange.apply_later(seconds)
        await exchange.line.send(http(json_errors("slow"), status="504 Gateway Timeout"))

    return act


@each_operation
async def test_f35_gateway_timeout_and_applied_later(operation: Operation) -> None:
    """After a 504 the change may still be on its way: a second at least before the same again."""
    policy = RetryPolicy(deadline=DEADLINE, backoff_base=0.0)
    async with scripted([_gateway_timeout(0.5)]) as peer, trial(peer, retry=policy) as case:
        verdict = await case.run(operation)
        times = [seen.at for seen in peer.seen]
        applied = set(peer.applied)

    assert str(verdict) == (
        "ok after 2" if operation.repeatable else "ServerError 504 answered unknown after 1"
    )
    assert all(later - first >= 1 for first, later in pairwise(times))
    assert len(applied) <= 1


async def test_f35_newer_change_waits_for_the_older_to_settle() -> None:
    """In bulk the next change of a meeting keeps 30 s away from one whose outcome is unknown."""
    acts = [_gateway_timeout(20)] * 4
    changes = [change(title="older"), change(title="newer")]
    async with scripted(acts) as peer, trial(peer) as case:
        outcomes = [outcome async for outcome in case.gong.update_many(changes)]
        bodies = [body for _, _, body in peer.applied]
        gap = peer.seen[4].at - peer.seen[3].at
        await asyncio.sleep(20)

    assert [outcome.ok for outcome in outcomes] == [False, True]
    assert gap >= 30 - 1e-6
    assert b'"newer"' in bodies[-1]


@each_operation
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("413 Content Too Large", "RequestRejectedError 413 answered known after 1"),
        ("400 Bad Request", "BadRequestError 400 answered known after 1"),
        ("401 Unauthorized", "AuthenticationError 401 answered known after 1"),
    ],
    ids=["413", "400", "401"],
)
async def test_f36_refused_before_the_body_was_read(
    operation: Operation, status: str, expected: str
) -> None:
    """An early refusal is reported as what it is."""
    data = http(json_errors("no"), status=status, headers=["Connection: close"])
    act = Raw(data, early=True)
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == expected
    assert verdict.failure.errors == ("no",)


@pytest.mark.parametrize("make", [update, create])
@pytest.mark.parametrize("then", ["hold", "close", "reset"])
async def test_f36_refused_in_the_middle_of_a_large_body(
    make: Callable[..., Operation], then: Any
) -> None:
    """A refusal that arrives while we still send is not hidden by the end of the connection."""
    operation = make(title="x" * LARGE)
    head = ("Connection: close",)
    data = http(json_errors("too large"), status="413 Content Too Large", headers=head)

    async def refuse(exchange: Exchange) -> None:
        await exchange.line.send(data)
        await asyncio.sleep(0.1)
        await exchange.line.end(then)

    async with scripted([refuse]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "RequestRejectedError 413 answered known after 1"


@pytest.mark.parametrize("make", [update, create])
async def test_f36_success_before_the_body_was_read(make: Callable[..., Operation]) -> None:
    """A success for a request that never arrived whole is not believed."""
    operation = make(title="x" * LARGE)

    async def approve(exchange: Exchange) -> None:
        body = b'{"requestId":"early","meetingId":"%s"}' % MEETING_ID.encode()
        await exchange.line.send(http(body))
        await exchange.line.end("reset")

    async with scripted([approve]) as peer, trial(peer) as case:
        verdict = await case.run(operation)

    assert str(verdict) == "ProtocolError unexpected maybe unknown after 1"
