"""I. Cancelled, closed, abandoned: F111 to F116, F119, F128, F129, and every tick in between."""

from __future__ import annotations

import ast
import asyncio
import gc
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import gong_async
from faults.acts import Raw, Truth, http, json_errors
from faults.always import DEADLINE, Probe, trial
from faults.certificates import TRUSTED, authority, server_context
from faults.operations import (
    CREATE,
    OPERATIONS,
    UPDATE,
    Operation,
    change,
    each_operation,
    update,
    update_and_create,
)
from faults.peer import Act, Peer, scripted
from gong_async import APITimeoutError, GongError, Limits, RetryPolicy, UsageError
from gong_async.hooks.events import CallFinished

pytestmark = pytest.mark.looptime

BUSY = Raw(http(json_errors("busy"), status="503 Service Unavailable"), then="keep", applies=False)
ONE_A_SECOND = Limits(per_second=1, per_day=None, max_in_flight=1, headroom=0, learns=False)


def now() -> float:
    """Return the time of the loop."""
    return asyncio.get_running_loop().time()


async def cancel(task: asyncio.Task[Any]) -> float:
    """Cancel a task that must end so; return the seconds that it took."""
    task.cancel()
    at = now()
    with pytest.raises(asyncio.CancelledError):
        await task
    return now() - at


def reported(case: Probe) -> CallFinished:
    """Return the last event that says how a call ended."""
    return [event for event in case.events if isinstance(event, CallFinished)][-1]


@each_operation
async def test_f111_cancelled_in_the_queue(operation: Operation) -> None:
    """Who leaves the queue gives his place to the next, and takes no turn with him."""
    async with scripted() as peer, trial(peer, limits=ONE_A_SECOND) as case:
        await operation.call(case.gong)
        waiting = [asyncio.ensure_future(operation.call(case.gong)) for _ in range(3)]
        await asyncio.sleep(0.5)
        took = await cancel(waiting.pop(0))
        seen_before = len(peer.seen)
        await asyncio.gather(*waiting)
        times = [seen.at for seen in peer.seen]
        quota = await case.gong.quota()

    assert took < 0.1
    assert seen_before == 1
    assert [round(at - times[0]) for at in times] == [0, 1, 2]
    assert (quota.used_today, quota.in_flight, sum(quota.waiting.values())) == (3, 0, 0)


@each_operation
async def test_f112_cancelled_between_two_attempts(operation: Operation) -> None:
    """Who is cancelled while he waits for his next attempt does not make it."""
    early = Raw(BUSY.data.replace(b"503 Service Unavailable", b"425 Too Early"), then="keep",
                applies=False)  # fmt: skip
    policy = RetryPolicy(deadline=DEADLINE, backoff_floor=20, backoff_base=20)
    async with scripted([early]) as peer, trial(peer, retry=policy) as case:
        task = asyncio.ensure_future(operation.call(case.gong))
        await asyncio.sleep(5)
        took = await cancel(task)
        await asyncio.sleep(60)
        seen, applied, end = len(peer.seen), len(peer.applied), reported(case)

    assert took < 0.1
    assert (seen, applied) == (1, 0)
    assert end.cancelled


@each_operation
async def test_f113_cancelled_with_the_answer_on_its_way(operation: Operation) -> None:
    """The hooks learn that a request was out when its call was cancelled."""
    async with scripted([Raw(then="hold")]) as peer, trial(peer) as case:
        task = asyncio.ensure_future(operation.call(case.gong))
        await asyncio.sleep(1)
        took = await cancel(task)
        applied, end = len(peer.applied), reported(case)

    assert took < 0.1
    assert applied == 1
    assert (end.cancelled, end.attempts) == (True, 1)


async def test_f113_a_bulk_run_that_is_cancelled() -> None:
    """What is under way ends with its consumer, and nothing more is sent."""
    limits = Limits(per_second=None, per_day=None, max_in_flight=4)
    async with Peer(always=Raw(then="hold")) as peer, trial(peer, limits=limits) as case:

        async def consume() -> None:
            async for _ in case.gong.update_many(change(meeting_id=str(n)) for n in range(100)):
                pass

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(1)
        took = await cancel(task)
        await asyncio.sleep(1)
        seen, still_open = len(peer.seen), peer.open
        quota = await case.gong.quota()

    assert took < 0.1
    assert (seen, still_open, quota.in_flight) == (4, 0, 0)


def _trees() -> Iterator[ast.AST]:
    for file in Path(gong_async.__file__).parent.rglob("*.py"):
        yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def _catches_all(handler: ast.ExceptHandler) -> bool:
    named = {node.id for node in ast.walk(handler.type or handler) if isinstance(node, ast.Name)}
    return handler.type is None or bool(named & {"BaseException", "CancelledError"})


def _raises_below(function: ast.AST, handler: ast.ExceptHandler) -> bool:
    """Whether a handler only keeps its error, and the function raises it afterwards."""
    keeps = all(isinstance(node, ast.Assign) for node in handler.body)
    raises = (node.lineno for node in ast.walk(function) if isinstance(node, ast.Raise))
    return keeps and any(line > handler.lineno for line in raises)


def test_f114_nothing_swallows_a_cancellation() -> None:
    """No `wait_for`, which did on Python 3.11; and who catches a cancellation raises it again."""
    called = {node.attr for node in _trees() if isinstance(node, ast.Attribute)}
    swallowing = [
        (function.name, handler.lineno)
        for function in _trees()
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for handler in ast.walk(function)
        if isinstance(handler, ast.ExceptHandler)
        and _catches_all(handler)
        and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))
        and not _raises_below(function, handler)
    ]

    assert "wait_for" not in called
    assert swallowing == []


@each_operation
async def test_f114_a_timeout_of_the_callers_own(operation: Operation) -> None:
    """`wait_for` around a call: it ends in time, with its result or Python's `TimeoutError`."""
    act = Truth(piece=4, interval=0.05)
    ends: list[bool] = []
    async with Peer(always=act) as peer, trial(peer) as case:
        for tenths in range(1, 60):
            started = now()
            with suppress(TimeoutError):
                await asyncio.wait_for(operation.call(case.gong), tenths / 10)
            ends.append(now() - started <= tenths / 10 + 0.1)

    assert all(ends)


# Every tick.


async def ticks(number: int) -> None:
    """Let the loop turn."""
    for _ in range(number):
        await asyncio.sleep(0)


MOST_TICKS = 2000


async def works(case: Probe) -> bool:
    """Say whether a call needs no more than its first attempt."""
    return (await UPDATE.call(case.gong)).meta.attempts == 1


Situation = tuple[list[Act], bool, dict[str, Any]]

SITUATIONS: dict[str, Situation] = {
    "a fresh connection": ([], False, {}),
    "a kept connection": ([], True, {}),
    "a slow body": ([Truth(piece=16)], True, {}),
    "a repetition": ([BUSY], True, {"retry": RetryPolicy(backoff_base=0, backoff_floor=0)}),
    "a refusal by the limit": (
        [Raw(http(status="429 Too Many Requests", headers=["Retry-After: 0"]), then="keep",
             applies=False)],
        True,
        {},
    ),
    "a lost connection": (
        [Raw(then="reset")],
        True,
        {"retry": RetryPolicy(backoff_base=0, backoff_floor=0)},
    ),
}  # fmt: skip


async def cancelled_at(
    tick: int, peer: Peer, case: Probe, make: Callable[[], Awaitable[Any]]
) -> bool:
    """Cancel a call after so many ticks; check what is left of it; return whether it had ended.

    What must be: the cancellation at once, no task, no place, no connection in between.
    """
    before = asyncio.all_tasks() - peer.tasks
    task = asyncio.ensure_future(make())
    await ticks(tick)
    if task.done():
        with suppress(GongError):
            await task
        return True
    try:
        took = await cancel(task)
    except GongError as error:  # it came to its own end in the very tick
        raise AssertionError("the cancellation was swallowed") from error
    quota = await case.gong.quota()
    left = asyncio.all_tasks() - peer.tasks - before

    assert took < 0.1
    assert left == set()
    assert (quota.in_flight, sum(quota.waiting.values())) == (0, 0)
    return False


@pytest.mark.parametrize("name", SITUATIONS)
@update_and_create
async def test_f111_f113_cancelled_at_every_tick(operation: Operation, name: str) -> None:
    """Wherever a call is cancelled, from its first tick to its last, the next one works."""
    acts, warm, options = SITUATIONS[name]
    async with Peer() as peer, trial(peer, **options) as case:
        for tick in range(MOST_TICKS):
            peer.acts.clear()
            if warm:
                await works(case)
            else:
                await case.gong._pool.close()
            peer.acts.extend(acts)
            ended = await cancelled_at(tick, peer, case, lambda: operation.call(case.gong))
            peer.acts.clear()
            assert await works(case), f"after a cancel at tick {tick}"
            if ended:
                break
        await asyncio.sleep(1)
        still_open = peer.open

    assert tick > 3
    assert ended
    assert still_open <= 1


async def test_f113_cancelled_at_every_tick_of_a_tls_handshake() -> None:
    """A handshake that is cancelled leaves no connection behind."""
    context = ssl.create_default_context()
    authority(TRUSTED).configure_trust(context)
    async with (
        Peer(tls=server_context()) as peer,
        aiohttp.TCPConnector(ssl=context, force_close=True) as connector,
        trial(peer, connector=connector, closes=False) as case,
    ):
        for tick in range(MOST_TICKS):
            if await cancelled_at(tick, peer, case, lambda: UPDATE.call(case.gong)):
                break
            assert await works(case), f"after a cancel at tick {tick}"
        await asyncio.sleep(1)
        still_open = peer.open

    assert tick > 10
    assert still_open == 0


async def test_f128_a_bulk_run_left_at_every_tick() -> None:
    """Wherever a bulk run is left, no task stays behind and the next call works."""
    limits = Limits(per_second=None, per_day=None, max_in_flight=3)
    async with Peer() as peer, trial(peer, limits=limits) as case:

        async def consume() -> None:
            async with aclosing(
                case.gong.update_many(change(meeting_id=str(n)) for n in range(5))
            ) as outcomes:
                async for _ in outcomes:
                    pass

        for tick in range(MOST_TICKS):
            if await cancelled_at(tick, peer, case, consume):
                break
            assert await works(case), f"after a cancel at tick {tick}"

    assert tick > 5


async def test_f128_a_run_that_is_dropped() -> None:
    """A bulk run whose iterator is dropped without a word ends, too."""
    before: set[asyncio.Task[Any]] = set()
    limits = Limits(per_second=None, per_day=None, max_in_flight=3)
    async with Peer(always=Raw(then="hold")) as peer, trial(peer, limits=limits) as case:
        before = asyncio.all_tasks() - peer.tasks
        outcomes = case.gong.update_many(change(meeting_id=str(n)) for n in range(50))
        waiting = asyncio.ensure_future(anext(outcomes))
        await asyncio.sleep(1)
        await cancel(waiting)
        del outcomes, waiting
        gc.collect()
        await asyncio.sleep(1)
        left, seen = asyncio.all_tasks() - peer.tasks - before, len(peer.seen)

    assert left == set()
    assert seen == 3


# Closing.


@each_operation
async def test_f116_closed_with_calls_in_flight(operation: Operation) -> None:
    """Every call ends within a second with a clear error, and a second close does nothing."""
    limits = Limits(per_second=None, per_day=None, max_in_flight=2)
    async with (
        Peer(always=Raw(then="hold")) as peer,
        trial(peer, limits=limits, works_on=False) as case,
    ):
        calls = [asyncio.ensure_future(operation.call(case.gong)) for _ in range(5)]
        await asyncio.sleep(1)
        started = now()
        await case.gong.close()
        await case.gong.close()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        took = now() - started
        late = await asyncio.gather(operation.call(case.gong), return_exceptions=True)

    errors = [error for error in [*ends, *late] if isinstance(error, UsageError)]
    assert len(errors) == 6
    assert took < 1
    unknown = 2 if operation.writes else 0
    assert [error.outcome_unknown for error in errors].count(True) == unknown
    assert all("closed" in str(error) for error in errors)


async def test_f116_a_close_that_is_cancelled_at_every_tick() -> None:
    """A close that was cut short can be made again, and leaves nothing open then."""
    for tick in range(MOST_TICKS):
        async with Peer(always=Raw(then="hold")) as peer, trial(peer, works_on=False) as case:
            call = asyncio.ensure_future(UPDATE.call(case.gong))
            await asyncio.sleep(0.1)
            closing = asyncio.ensure_future(case.gong.close())
            await ticks(tick)
            done = closing.done()
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
            await case.gong.close()
            with pytest.raises(UsageError):
                await call
        if done:
            break

    assert tick > 1


# Groups and deadlines.


async def test_f119_a_task_group_holds_plain_errors() -> None:
    """The group is Python's, what is in it is ours; the calls beside it are cancelled."""
    refused = Raw(http(json_errors("no"), status="404 Not Found"), then="keep", applies=False)
    limits = Limits(per_second=None, per_day=None, max_in_flight=4)
    async with scripted([refused], always=Raw(then="hold")) as peer, trial(
        peer, limits=limits
    ) as case:  # fmt: skip
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_call(each, case)) for each in OPERATIONS]
        ends = [task.cancelled() for task in tasks]

    assert [type(error) for error in caught.value.exceptions] == [gong_async.NotFoundError]
    assert ends.count(True) == 3


async def _call(operation: Operation, case: Probe) -> None:
    await operation.call(case.gong)


async def test_f119_a_bulk_run_raises_no_group() -> None:
    """Every failed change is an outcome with a plain error."""
    refused = Raw(http(json_errors("no"), status="404 Not Found"), then="keep", applies=False)
    async with Peer(always=refused) as peer, trial(peer) as case:
        changes = (change(meeting_id=str(number)) for number in range(20))
        outcomes = [outcome async for outcome in case.gong.update_many(changes)]

    assert {type(outcome.error) for outcome in outcomes} == {gong_async.NotFoundError}
    assert len(outcomes) == 20


@each_operation
async def test_f129_the_deadline_counts_the_queue(operation: Operation) -> None:
    """The time for the whole call runs in the queue, too; the time of an attempt does not."""
    policy = RetryPolicy(deadline=10)
    limits = Limits(per_second=1 / 8, per_day=None, max_in_flight=1, headroom=0, learns=False)
    async with Peer() as peer, trial(
        peer, limits=limits, retry=policy, works_on=False
    ) as case:  # fmt: skip
        await operation.call(case.gong)
        started = now()
        second = await operation.call(case.gong)
        waited = now() - started
        third, fourth = (asyncio.ensure_future(operation.call(case.gong)) for _ in range(2))
        ends = await asyncio.gather(third, fourth, return_exceptions=True)
        seen = len(peer.seen)

    late = ends[1]
    assert waited >= 7.9
    assert second.meta.attempts == 1
    assert isinstance(late, APITimeoutError)
    assert (late.phase, late.outcome_unknown) == ("queue", False)
    assert seen == 3


async def test_f111_a_creation_keeps_no_permit() -> None:
    """A cancelled creation leaves its turn to the next, also while it connects."""
    async with Peer(asleep="dropping") as peer, trial(peer, reachable=False) as case:
        task = asyncio.ensure_future(CREATE.call(case.gong))
        await asyncio.sleep(1)
        took = await cancel(task)
        peer.mend()
        verdict = await case.run(update())

    assert took < 0.1
    assert verdict.error is None
