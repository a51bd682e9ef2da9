"""Clients that make the same updates: plain aiohttp as people write it, and ours in three ways."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from attrs import frozen

from gong_async import BasicAuth, BulkOptions, GongClient, Invitee, Limits, MeetingUpdate

START = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
LENGTH = timedelta(minutes=45)


@frozen
class Task:
    """What a client has to do: so many updates of other meetings, so many under way at once."""

    url: str
    calls: int
    in_flight: int


Drive = Callable[[Task], Awaitable[None]]


def meeting_ids(calls: int) -> Iterator[str]:
    """Yield the meetings that are updated."""
    for number in range(calls):
        yield str(7_000_000_000_000_000_000 + number)


def body(meeting_id: str) -> dict[str, Any]:
    """Return an update as people write it by hand."""
    return {
        "startTime": START.isoformat(),
        "endTime": (START + LENGTH).isoformat(),
        "organizerEmail": "dana@example.com",
        "invitees": [
            {"email": "lee@customer.example", "displayName": "Lee"},
            {"email": "kim@customer.example", "displayName": "Kim"},
        ],
        "title": f"Renewal {meeting_id}",
    }


def update(meeting_id: str) -> MeetingUpdate:
    """Return the same update as our model."""
    return MeetingUpdate(
        start_time=START,
        end_time=START + LENGTH,
        organizer_email="dana@example.com",
        invitees=[
            Invitee(email="lee@customer.example", display_name="Lee"),
            Invitee(email="kim@customer.example", display_name="Kim"),
        ],
        title=f"Renewal {meeting_id}",
    )


async def workers(task: Task, call: Callable[[str], Awaitable[object]]) -> None:
    """Call for each meeting; one loop without tasks if only one call may be under way."""
    ids = meeting_ids(task.calls)

    async def work() -> None:
        for meeting_id in ids:
            await call(meeting_id)

    if task.in_flight == 1:
        await work()
        return
    async with asyncio.TaskGroup() as group:
        for _ in range(task.in_flight):
            group.create_task(work())


def client(task: Task) -> GongClient:
    """Return our client with everything in it, and with limits that never make it wait."""
    limits = Limits(per_second=None, per_day=None, max_in_flight=max(task.in_flight, 1))
    return GongClient(BasicAuth("key", "secret"), base_url=task.url, limits=limits)


async def plain(task: Task) -> None:
    """Call with aiohttp, as its first page of documentation does."""
    headers = {"Authorization": aiohttp.encode_basic_auth("key", "secret")}
    async with aiohttp.ClientSession() as session:

        async def call(meeting_id: str) -> None:
            url = f"{task.url}/v2/meetings/{meeting_id}"
            async with session.put(url, json=body(meeting_id), headers=headers) as response:
                response.raise_for_status()
                answer = await response.json()
            assert answer["meetingId"] == meeting_id

        await workers(task, call)


async def single(task: Task) -> None:
    """Call `meetings.update`."""
    async with client(task) as gong:
        await workers(task, lambda each: gong.meetings.update(each, update(each)))


async def many(task: Task) -> None:
    """Call `update_many`."""
    async with client(task) as gong:
        changes = ((each, update(each)) for each in meeting_ids(task.calls))
        outcomes = gong.update_many(changes, max_in_flight=task.in_flight)
        async with aclosing(outcomes):
            async for outcome in outcomes:
                assert outcome.ok


async def bulk(task: Task) -> None:
    """Plan a `BulkJob` and run it."""
    options = BulkOptions(
        check_organizers=False, skip_unchanged=False, max_in_flight=task.in_flight
    )
    with tempfile.TemporaryDirectory() as folder:
        async with client(task) as gong:
            changes = ((each, update(each)) for each in meeting_ids(task.calls))
            journal = Path(folder, "job.sqlite3")
            job = gong.bulk(changes, journal=journal, options=options, state_dir=folder)
            async with aclosing(job.run()) as items:
                async for item in items:
                    assert item.state == "done"


DRIVES: dict[str, Drive] = {"plain": plain, "update": single, "update_many": many, "bulk": bulk}
