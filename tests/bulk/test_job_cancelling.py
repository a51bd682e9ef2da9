"""Jobs whose caller is cancelled, goes away, or loses its event loop: all is released at once."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from gong_async import BulkItem, BulkJob, BulkOptions, GongClient, JournalError, MeetingChange
from gong_async.limits.types import Limits, Quota
from gong_async.models.converter import make_converter, to_json
from gong_async.models.meetings import UpdatedMeeting
from gong_async.testing import FakeGong

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

UNCHECKED = BulkOptions(check_organizers=False, max_in_flight=4)
COUNT = 24


async def read(job: BulkJob, *, resume: bool = False) -> list[BulkItem]:
    """Read a job to its end."""
    return [item async for item in (job.resume() if resume else job.run())]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0)


def threads() -> list[str]:
    """Return the threads of journals."""
    return [thread.name for thread in threading.enumerate() if thread.name == "gong-journal"]


async def cancelled(work: Awaitable[Any], ready: Callable[[], bool]) -> None:
    """Cancel once."""
    task = asyncio.ensure_future(work)
    await until(ready)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def cancelled_at_every_await(work: Awaitable[Any], ready: Callable[[], bool]) -> None:
    """Cancel again in every turn of the loop."""
    task = asyncio.ensure_future(work)
    await until(ready)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()


async def all_cancelled(work: Awaitable[Any], ready: Callable[[], bool]) -> None:
    """Cancel every task of the loop but this one, the job's own among them, again and again."""
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(work)
    await until(ready)
    while tasks := asyncio.all_tasks() - before:
        for each in tasks:
            each.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()


async def in_a_cancel_scope(work: Awaitable[Any], ready: Callable[[], bool]) -> None:
    """Leave it to a scope of anyio, which cancels at every await."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await until(ready)
                scope.cancel()

            group.start_soon(watch)
            await work
    assert scope.cancelled_caught


async def timed_out(work: Awaitable[Any], ready: Callable[[], bool]) -> None:
    """Let the time run out."""
    with pytest.raises(TimeoutError):  # noqa: PT012 - it is the block that raises it
        async with asyncio.timeout(None) as scope:

            async def watch() -> None:
                await until(ready)
                scope.reschedule(0)

            watching = asyncio.create_task(watch())
            await work
    await watching


async def beside_a_failure(work: Awaitable[Any], ready: Callable[[], bool]) -> None:
    """Let a task of the same group fail."""

    async def fail() -> None:
        await until(ready)
        raise ZeroDivisionError

    async def wait() -> None:
        await work

    with pytest.raises(ExceptionGroup) as failed:  # noqa: PT012 - it is the block that raises it
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(wait())
    assert isinstance(failed.value.exceptions[0], ZeroDivisionError)


WAYS = [
    cancelled,
    cancelled_at_every_await,
    all_cancelled,
    in_a_cancel_scope,
    timed_out,
    beside_a_failure,
]


@pytest.mark.parametrize("way", WAYS)
async def test_a_run_that_is_cancelled_can_be_resumed_at_once(
    fake: FakeGong, client: Client, change: Change, state: Path, way: Callable[..., Any]
) -> None:
    """By the same object; nothing is lost, and only what was on the wire is sent twice."""
    fake.latency = lambda: 30.0 if fake.received_count > 10 else 0.0
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
        await way(read(job), lambda: fake.received_count == 14)
        status = await job.status()
        left = threads()
        fake.latency = 0.0
        await read(job, resume=True)
        end = await job.status()

    times = Counter(applied.meeting_id for applied in fake.applied)
    assert left == []
    assert status.state == "interrupted"
    assert (status.counts["succeeded"], status.counts["in_doubt"]) == (10, 4)
    assert (end.state, end.counts["succeeded"], end.counts["failed"]) == ("completed", COUNT, 0)
    assert len(times) == COUNT
    assert sum(times.values()) <= COUNT + 4


@pytest.mark.parametrize("way", WAYS)
async def test_planning_that_is_cancelled_leaves_nothing(
    fake: FakeGong, client: Client, change: Change, state: Path, way: Callable[..., Any]
) -> None:
    """No journal, no lock, no thread, and the source is closed: another plan may begin."""
    pulled, closed = 0, False

    async def source() -> AsyncIterator[MeetingChange]:
        nonlocal pulled, closed
        try:
            for number in range(COUNT):
                pulled += 1
                yield change(number)
            await asyncio.sleep(3600)
        finally:
            closed = True

    async with client(fake) as gong:
        job = gong.bulk(source(), state_dir=state, options=UNCHECKED)
        await way(job.plan(), lambda: pulled == COUNT)
        left = threads(), list(job.path.parent.iterdir())
        again = gong.bulk([change(1)], state_dir=state, journal=job.path)
        plan = await again.plan()

    assert closed
    assert left == ([], [])
    assert plan.to_send == 1


async def test_a_generator_that_is_dropped_releases_the_job(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """It is never closed: the garbage collector lets the loop do so."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
        items = job.run()
        await anext(items)
        del items
        gc.collect()
        await read(job, resume=True)
        status = await job.status()

    assert (status.state, status.counts["succeeded"]) == ("completed", COUNT)
    assert threads() == []


@pytest.mark.parametrize("suspended", [True, False])
def test_a_loop_that_ends_closes_the_job_quietly(
    *, change: Change, tmp_path: Path, client: Client, suspended: bool
) -> None:
    """`asyncio.run` ends under a job whose reader is at work, or waits for the next item."""
    problems: list[Any] = []
    kept: list[Any] = []

    async def main() -> BulkJob:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: problems.append(what))
        async with FakeGong(per_second=None, per_day=None) as fake:
            fake.latency = lambda: 30.0 if fake.received_count > 10 and not suspended else 0.0
            gong = client(fake)
            changes = [change(n) for n in range(COUNT)]
            job = gong.bulk(changes, state_dir=tmp_path / "state", options=UNCHECKED)
            items = job.run()
            kept.extend((items, await anext(items)))
            if not suspended:
                kept.append(asyncio.create_task(read_on(items)))
                await until(lambda: fake.received_count == 14)
            return job

    async def read_on(items: Any) -> None:
        async for _ in items:
            pass

    job = asyncio.run(main())
    status = asyncio.run(job.status())

    assert problems == []
    assert (status.state, status.pid) == ("interrupted", None)
    assert status.reason is not None
    assert status.counts["failed"] == 0
    assert threads() == []


class Nowhere:
    """Acknowledges everything and sends nothing: it needs no connection of any loop."""

    async def __call__(
        self, _: Any, *, path: Any, before_send: Any, after_attempt: Any, **rest: Any
    ) -> Any:
        """Acknowledge an update."""
        await before_send()
        after_attempt(200, None)
        return UpdatedMeeting(meeting_id=path["meetingId"])

    async def quota(self) -> Quota:
        """Know no limit."""
        return Quota(
            used_today=0,
            left_today=None,
            resets_at=None,
            per_second=None,
            ceiling=None,
            paused_until=None,
        )


@pytest.mark.parametrize("other", [True, False])
def test_a_loop_that_is_closed_under_a_job_releases_it(
    *, change: Change, tmp_path: Path, other: bool
) -> None:
    """Its tasks are not cancelled; another loop can resume the job at once, by any object."""
    nowhere: Any = Nowhere()

    def make(changes: Any) -> BulkJob:
        return BulkJob(
            path=tmp_path / "job.sqlite3",
            id="job",
            ledger=tmp_path / "ledger.sqlite3",
            options=UNCHECKED,
            changes=changes,
            company="company",
            origin="https://api.gong.io",
            call=nowhere,
            limiter=nowhere,
            limits=Limits(per_second=None, per_day=None),
            encode=partial(to_json, make_converter()),
        )

    job = make([change(n) for n in range(COUNT)])
    items = job.run()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(items))
    loop.close()
    again = make(None) if other else job

    rest = asyncio.run(read(again, resume=True))
    status = asyncio.run(again.status())

    assert status.state == "completed"
    assert status.counts["succeeded"] == COUNT
    assert len(rest) < COUNT
    assert threads() == []


def test_a_closed_loop_holds_no_lock(change: Change, tmp_path: Path) -> None:
    """Without another object of this process, another process can resume the job."""
    nowhere: Any = Nowhere()
    job = BulkJob(
        path=tmp_path / "job.sqlite3",
        id="job",
        ledger=tmp_path / "ledger.sqlite3",
        options=UNCHECKED,
        changes=[change(n) for n in range(COUNT)],
        company="company",
        origin="https://api.gong.io",
        call=nowhere,
        limiter=nowhere,
        limits=Limits(per_second=None, per_day=None),
        encode=partial(to_json, make_converter()),
    )
    items = job.run()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(items))
    loop.close()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "gong-journal")
    thread.join(10)
    status = asyncio.run(job.status())

    assert not thread.is_alive()
    assert (status.state, status.pid) == ("interrupted", None)


async def test_a_refused_resume_releases_nothing(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """The lock stays with the active run, however often others try."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
        items = job.run()
        await anext(items)
        other = gong.bulk(journal=job.path, state_dir=state)
        for each in (job, other):
            with pytest.raises(JournalError) as refused:
                await read(each, resume=True)
            assert refused.value.reason == "in_use"
        async for _ in items:
            pass
        status = await job.status()

    times = Counter(applied.meeting_id for applied in fake.applied)
    assert (status.state, status.runs) == ("completed", 1)
    assert set(times.values()) == {1}
    assert len(times) == COUNT


async def test_items_may_be_left_while_a_page_is_read(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """A cancellation is what its task hears of, not an error of the generator."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(COUNT)], state_dir=state, options=UNCHECKED)
        await job.plan()
        listing = asyncio.ensure_future(anext(job.items()))
        await asyncio.sleep(0)
        listing.cancel()
        await asyncio.wait([listing])

    assert listing.cancelled()


@pytest.mark.parametrize("way", WAYS)
async def test_updates_that_are_cancelled_leave_no_task(
    fake: FakeGong, client: Client, change: Change, way: Callable[..., Any]
) -> None:
    """The same of `update_many`, whose source is closed."""
    fake.latency = lambda: 30.0 if fake.received_count > 10 else 0.0
    closed = False

    async def source() -> AsyncIterator[MeetingChange]:
        nonlocal closed
        try:
            for number in range(COUNT):
                yield change(number)
        finally:
            closed = True

    async def work(gong: GongClient) -> None:
        async with aclosing(gong.update_many(source(), max_in_flight=4)) as outcomes:
            async for _ in outcomes:
                pass

    async with client(fake) as gong:
        await way(work(gong), lambda: fake.received_count == 14)
        left = [task for task in asyncio.all_tasks() if "EngineRun" in repr(task.get_coro())]

    assert closed
    assert left == []


def test_a_loop_that_ends_closes_updates_quietly(change: Change, client: Client) -> None:
    """`asyncio.run` ends while the generator waits for its reader."""
    problems: list[Any] = []
    kept: list[Any] = []

    async def source() -> AsyncIterator[MeetingChange]:
        try:
            for number in range(COUNT):
                yield change(number)
        finally:
            await asyncio.sleep(0.001)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: problems.append(what))
        async with FakeGong(per_second=None, per_day=None) as fake:
            outcomes = client(fake).update_many(source(), max_in_flight=4)
            kept.extend((outcomes, await anext(outcomes)))

    asyncio.run(main())

    assert problems == []


async def test_a_generator_that_is_kept_is_named_in_the_refusal(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """As a notebook keeps one in the traceback of the loop that failed; closed, it gives way."""
    async with client(fake) as gong:
        job = gong.bulk([change(n) for n in range(50)], state_dir=state, options=UNCHECKED)
        items = job.run()
        await anext(items)
        with pytest.raises(JournalError, match=r"this process already works.*aclose") as refused:
            [item async for item in job.resume()]
        await items.aclose()
        left = [item async for item in job.resume()]
        status = await job.status()

    assert refused.value.reason == "in_use"
    assert left
    assert status.state == "completed"
