"""B. Reused connections and lost answers: F17 to F27."""

from __future__ import annotations

import asyncio
import time

import pytest

from faults.acts import Raw, Truth, http
from faults.always import Probe, trial
from faults.line import Then
from faults.operations import (
    CREATE,
    DELETE,
    MEETING_ID,
    OPERATIONS,
    STATUS,
    UPDATE,
    Operation,
    each_operation,
    update,
)
from faults.peer import Act, Exchange, Peer, behave, scripted
from gong_async import GongError, IntegrationStatus
from gong_async._transport import connector

pytestmark = pytest.mark.looptime

LOST = "APIConnectionError lost"
CUT = "ProtocolError cut"

each_end = pytest.mark.parametrize("then", ["close", "reset"])


async def _reused(case: Probe, operation: Operation) -> bool:
    """Make two calls; say whether the second began on the connection of the first."""
    await operation.call(case.gong)
    await case.run(operation)
    lines = [seen.line.number for seen in case.peer.seen]
    return lines[0] == lines[1]


@each_operation
@pytest.mark.parametrize("applies", [True, False], ids=["applied", "not_applied"])
@pytest.mark.parametrize(
    "then", [pytest.param("close", id="f17_fin"), pytest.param("reset", id="f18_rst")]
)
async def test_f17_f18_lost_on_a_kept_connection(
    operation: Operation, then: Then, *, applies: bool
) -> None:
    """An answer lost on a kept connection is our repetition, seen and counted, or an error."""
    acts: list[Act] = [behave, Raw(then=then, applies=applies)]
    async with scripted(acts) as peer, trial(peer) as case:
        await operation.call(case.gong)
        verdict = await case.run(operation)
        requests = len(peer.seen)

    assert str(verdict) == operation.once_lost(LOST)
    assert requests == 1 + verdict.attempts


@pytest.mark.parametrize("operation", [UPDATE, DELETE, STATUS], ids=str)
async def test_f17_a_kept_connection_is_really_reused(operation: Operation) -> None:
    """The tests above are about kept connections: this one shows that there are any."""
    async with scripted([behave]) as peer, trial(peer) as case:
        reused = await _reused(case, operation)

    assert reused


async def test_f17_a_creation_never_uses_a_kept_connection() -> None:
    """A creation cannot be repeated, so it takes no connection that may have gone stale."""
    async with scripted([behave]) as peer, trial(peer) as case:
        reused = await _reused(case, CREATE)

    assert not reused


@each_operation
@pytest.mark.parametrize("then", ["close", "reset"])
async def test_f19_idle_connection_closed(operation: Operation, then: Then) -> None:
    """A connection that the server closes while it is idle is not noticed by anybody."""
    async with scripted() as peer, trial(peer) as case:
        await operation.call(case.gong)
        line = peer.lines[0]
        await asyncio.sleep(1)
        if not line.writer.is_closing():
            await line.end(then)
        await asyncio.sleep(1)
        verdict = await case.run(operation)

    assert str(verdict) == "ok after 1"


def test_f19_keep_alive_is_shorter_than_that_of_load_balancers() -> None:
    """Connections are given up before the usual load balancer (60 s) gives them up."""
    assert 15 <= connector._KEEPALIVE_SECONDS <= 55


@pytest.mark.looptime(False)  # noqa: FBT003
async def test_f19_idle_connection_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for longer than that is not used again."""
    # aiohttp counts this by the machine's own clock, whatever the loop's says.
    monkeypatch.setattr(connector, "_KEEPALIVE_SECONDS", 0.02)
    async with scripted() as peer, trial(peer) as case:
        await UPDATE.call(case.gong)
        await asyncio.to_thread(time.sleep, 0.04)
        await case.run(UPDATE)
        opened = peer.opened

    assert opened == 2


@each_operation
async def test_f20_keep_alive_promised_then_closed(operation: Operation) -> None:
    """A connection that was closed behind an answer is noticed before the next call."""
    acts = [Truth(headers=("Connection: keep-alive",), then="close")] * 3
    async with scripted(acts) as peer, trial(peer) as case:
        verdicts = []
        for _ in range(3):
            verdicts.append(str(await case.run(operation)))
            await asyncio.sleep(0.01)

    assert verdicts == ["ok after 1"] * 3


@each_operation
async def test_f20_closed_while_the_next_request_leaves(operation: Operation) -> None:
    """A call that is made before the end of the connection is heard of loses it like any other."""
    act = Truth(headers=("Connection: keep-alive",), then="close")
    # The server cannot count a request that arrives at a connection which it has closed.
    async with scripted([act]) as peer, trial(peer, reachable=False) as case:
        await case.run(operation)
        verdict = await case.run(operation)
        applied = len(peer.applied)

    assert str(verdict) in {"ok after 1", "ok after 2"}
    assert applied == 2


@each_operation
async def test_f20_honest_close_is_not_pooled(operation: Operation) -> None:
    """`Connection: close` is believed, also when the server leaves the connection open."""
    acts = [Truth(headers=("Connection: close",), then="hold")] * 3
    async with scripted(acts) as peer, trial(peer) as case:
        verdicts = [str(await case.run(operation)) for _ in range(3)]
        opened, peak = peer.opened, peer.peak

    assert verdicts == ["ok after 1"] * 3
    assert (opened, peak <= 2) == (3, True)


@each_operation
@each_end
async def test_f21_lost_before_applying(operation: Operation, then: Then) -> None:
    """A request that was taken and forgotten: repeated with success, or in doubt."""
    async with scripted([Raw(then=then, applies=False)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        applied = len(peer.applied)

    assert str(verdict) == operation.once_lost(LOST)
    assert applied == (1 if operation.repeatable else 0)


@each_operation
@each_end
async def test_f22_answer_lost_after_applying(operation: Operation, then: Then) -> None:
    """A lost answer to an applied change: the same bytes again, or one application in doubt."""
    async with scripted([Raw(then=then)]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        applied = list(peer.applied)

    assert str(verdict) == operation.once_lost(LOST)
    assert len(applied) == verdict.attempts
    assert len(set(applied)) == 1


@each_operation
@each_end
async def test_f22_answer_lost_every_time(operation: Operation, then: Then) -> None:
    """Answers that stay lost end the call after four requests, and not eight."""
    async with Peer(always=Raw(then=then)) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        applied = len(peer.applied)

    assert str(verdict) == operation.lost(LOST, attempts=4)
    assert applied == verdict.attempts


async def test_f22_deletion_applied_twice_is_a_success() -> None:
    """The repetition of a deletion finds nothing: the meeting is gone, as was asked."""
    gone = Raw(http(b'{"errors":["Meeting not found"]}', status="404 Not Found"), then="keep")
    async with scripted([Raw(), gone]) as peer, trial(peer) as case:
        deleted = await case.gong.meetings.delete(MEETING_ID, organizer_email="d@example.com")

    assert deleted.already_gone
    assert deleted.meta.attempts == 2


@each_operation
async def test_f23_reset_in_the_middle_of_the_body(operation: Operation) -> None:
    """A status without its whole body is no success."""
    act = Truth(keep=12, then="reset")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await case.run(operation)

    assert str(verdict) == operation.once_lost(CUT)


@each_operation
async def test_f24_half_closed_after_a_whole_body(operation: Operation) -> None:
    """A body that ends with the server's side of the connection is whole."""
    act = Truth(length=None, then="half_close")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await asyncio.sleep(0.01)
        still_open = peer.open

    assert str(verdict) == "ok after 1"
    assert still_open == 0


@each_operation
@pytest.mark.parametrize("length", [None, -1], ids=["until_closed", "length"])
async def test_f24_half_closed_in_the_middle_of_the_body(
    operation: Operation, length: int | None
) -> None:
    """Half a body is an error, and the socket is let go although the server keeps its side."""
    act = Truth(length=length, keep=12, then="half_close")
    async with scripted([act]) as peer, trial(peer) as case:
        verdict = await case.run(operation)
        await asyncio.sleep(0.01)
        first_is_gone = peer.lines[0].writer.is_closing()

    assert str(verdict) == operation.once_lost(CUT)
    assert first_is_gone


FORGED = b'{"requestId":"forged","meetingId":"%s","users":[]}'


def _afterwards(data: bytes) -> Act:
    """Answer well and, once the connection lies idle, send an unsolicited response."""

    async def act(exchange: Exchange) -> None:
        await behave(exchange)
        await asyncio.sleep(0.2)
        await exchange.line.send(data)

    return act


@pytest.mark.parametrize("forged_id", [MEETING_ID, "999"], ids=["same_id", "other_id"])
@pytest.mark.parametrize("later", OPERATIONS, ids=lambda operation: f"then_{operation}")
@pytest.mark.parametrize("first", [UPDATE, DELETE, STATUS], ids=str)
async def test_f25_second_answer_is_never_an_answer(
    first: Operation, later: Operation, forged_id: str
) -> None:
    """A second answer that waits on an idle connection answers no later request."""
    surplus = http(FORGED % forged_id.encode())
    async with scripted([_afterwards(surplus)]) as peer, trial(peer) as case:
        await first.call(case.gong)
        await asyncio.sleep(1)
        verdict = await case.run(later)

    assert str(verdict) == "ok after 1"
    assert verdict.result is not None
    assert verdict.result.request_id != "forged"


async def test_f25_second_answer_makes_no_success_of_a_failure() -> None:
    """A stale "updated" must not hide that Gong refused the next update of the same meeting."""
    surplus = http(FORGED % MEETING_ID.encode())
    refusal = Raw(http(b'{"errors":["no"]}', status="404 Not Found"), then="keep")
    acts: list[Act] = [_afterwards(surplus), refusal]
    async with scripted(acts) as peer, trial(peer) as case:
        await UPDATE.call(case.gong)
        await asyncio.sleep(1)
        verdict = await case.run(UPDATE)

    assert str(verdict) == "NotFoundError 404 answered known after 1"


async def test_f25_second_answer_that_arrives_with_the_next_request() -> None:
    """An answer about another meeting is in doubt, and its connection is not used again."""
    wrong = Raw(http(FORGED % b"999"), then="keep")
    async with scripted([behave, wrong]) as peer, trial(peer) as case:
        await UPDATE.call(case.gong)
        verdict = await case.run(UPDATE)
        await case.run(UPDATE)
        lines = [seen.line.number for seen in peer.seen]

    assert str(verdict) == "ProtocolError mismatch maybe unknown after 1"
    assert lines == [1, 1, 2]


@each_operation
@pytest.mark.parametrize(
    "surplus",
    [http(FORGED % b"999"), b"HTTP/1.1 200"],
    ids=["answer", "half_a_status_line"],
)
async def test_f26_surplus_in_the_same_segment(operation: Operation, surplus: bytes) -> None:
    """What follows a body in one segment harms neither this call nor the next two."""
    async with scripted([Truth(trail=surplus)]) as peer, trial(peer) as case:
        verdicts = [await case.run(operation) for _ in range(3)]

    assert [str(verdict) for verdict in verdicts] == ["ok after 1"] * 3
    assert all(verdict.result and verdict.result.request_id != "forged" for verdict in verdicts)


@each_operation
@pytest.mark.parametrize(
    "surplus",
    # Without -X dev, aiohttp's Python parser takes a blank line for a bad status line.
    [b"garbage", b"\x00" * 100_000, b"\r\n\r\n"],
    ids=["text", "100_kB_of_NUL", "blank_lines"],
)
async def test_f26_garbage_in_the_same_segment(operation: Operation, surplus: bytes) -> None:
    """Garbage may spoil the answer that it follows; it does not reach the next two."""
    async with scripted([Truth(trail=surplus)]) as peer, trial(peer) as case:
        spoiled, *verdicts = [str(await case.run(operation)) for _ in range(3)]

    assert spoiled in {"ok after 1", operation.once_lost("ProtocolError not_http")}
    assert verdicts == ["ok after 1"] * 2


@pytest.mark.parametrize("emails", [150, 250])
async def test_f26_surplus_between_the_parts_of_one_call(emails: int) -> None:
    """A call that is made of several requests is not harmed either."""
    wanted = [f"u{number}@example.com" for number in range(emails)]
    async with scripted([Truth(trail=http(FORGED % b"1"))]) as peer, trial(peer) as case:
        status = await case.gong.meetings.integration_status(wanted)

    assert isinstance(status, IntegrationStatus)
    assert [user.email for user in status.users] == wanted


@each_operation
@pytest.mark.parametrize("moment", ["headers", "body", "between"])
async def test_f27_cancelled_in_flight(operation: Operation, moment: str) -> None:
    """A cancelled call propagates at once, and its connection is closed and not used again."""
    moments: dict[str, Act] = {
        "headers": Raw(then="hold"),
        "body": Truth(keep=12, then="hold"),
        "between": Truth(piece=1, interval=0.5),
    }
    async with scripted([moments[moment]]) as peer, trial(peer) as case:
        task = asyncio.ensure_future(operation.call(case.gong))
        await asyncio.sleep(3.2)
        task.cancel()
        cancelled_at = asyncio.get_running_loop().time()
        with pytest.raises(asyncio.CancelledError):
            await task
        took = asyncio.get_running_loop().time() - cancelled_at
        await asyncio.sleep(1)
        still_open = peer.open
        verdict = await case.run(operation)

    assert took < 0.1
    assert still_open == 0
    assert str(verdict) == "ok after 1"


async def test_f27_many_cancelled_calls_leave_nothing_behind() -> None:
    """Ten calls, cancelled at ten moments: ten connections closed, ten places given back."""
    acts = [Truth(piece=20, interval=0.2)] * 10
    async with scripted(acts) as peer, trial(peer) as case:
        for number in range(10):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05 + number * 0.1):
                    await update(title="x" * 1000).call(case.gong)
        await asyncio.sleep(2)
        opened, still_open = peer.opened, peer.open

    assert opened == 10
    assert still_open == 0


async def test_f27_a_cancelled_call_says_so_to_the_hooks() -> None:
    """The event of a cancelled call says that its outcome is unknown."""
    async with scripted([Raw(then="hold")]) as peer, trial(peer) as case:
        task = asyncio.ensure_future(UPDATE.call(case.gong))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        last = case.events[-1]

    assert getattr(last, "cancelled", None) is True
    assert not isinstance(getattr(last, "error", None), GongError)
