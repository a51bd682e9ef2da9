"""Intents and endings as the file has them: in the order given, however many share a commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest_asyncio

from gong_async import BulkOptions, GongClient, MeetingChange
from gong_async.bulk.planner import write_plan
from gong_async.bulk.records import BulkItem, ItemState
from gong_async.bulk.store.journal import Journal, PlannedItem, make_header
from gong_async.limits.types import Limits
from gong_async.models.converter import make_converter, to_json
from gong_async.testing import FakeGong

Client = Callable[..., GongClient]
Change = Callable[..., MeetingChange]
Query = Callable[..., list[tuple[Any, ...]]]

JOB, COMPANY = "it's a job", "https://api.gong.io 'key'"
COUNT = 77  # no size of a statement, and none twice


@pytest_asyncio.fixture
async def journal(tmp_path: Path, change: Change) -> AsyncIterator[Journal]:
    """Return a journal that runs, of as many meetings, and of one more that has two changes."""
    journal = Journal(tmp_path / "job.sqlite3", tmp_path / "ledger.sqlite3")
    options = BulkOptions(keep_order=True)
    header = make_header(JOB, origin="here", company=COMPANY, version="0", options=options)
    await journal.create(header)
    changes = [change(number) for number in range(COUNT)]
    encode = partial(to_json, make_converter())
    digest = await write_plan(journal, [*changes, change(COUNT, "a"), change(COUNT, "b")], encode)
    await journal.seal(digest, options)
    await journal.begin_run(0.0, Limits())
    yield journal
    await journal.close()


def ended(item: PlannedItem, state: ItemState = "succeeded") -> BulkItem:
    """Return what became of an item."""
    return BulkItem(index=item.index, line=None, meeting_id=item.meeting_id, state=state)


async def test_many_entries_of_one_commit_are_all_written(journal: Journal, query: Query) -> None:
    """None is lost or doubled at the seams of the statements, and the tally agrees."""
    items = (await journal.page(-1, BulkOptions()))[:COUNT]
    await asyncio.gather(*map(journal.intent, items))
    sent = query(journal.path, "SELECT item_index, attempts FROM item WHERE state = 'in_flight'")
    await asyncio.gather(*(journal.end(item, ended(item)) for item in items))

    assert sent == [(item.index, 1) for item in items]
    assert query(journal.path, "SELECT item_index, number, run FROM attempt") == [
        (item.index, 1, 1) for item in items
    ]
    assert query(
        journal.path, "SELECT items FROM tally WHERE state IN ('in_flight', 'succeeded')"
    ) == [
        (0,),
        (COUNT,),
    ]


async def test_the_next_change_of_a_meeting_keeps_its_claim(journal: Journal, query: Query) -> None:
    """The end of the first and the intent of the second share a commit, in this order."""
    first, second = await journal.page(COUNT - 1, BulkOptions())
    await journal.intent(first)
    await asyncio.gather(journal.end(first, ended(first)), journal.intent(second))

    assert journal.ledger is not None
    known = query(journal.ledger, "SELECT company, job, unsettled, digest FROM meeting")
    assert known == [(COMPANY, JOB, f"{JOB}:{COUNT + 1}", first.digest)]


async def test_an_item_may_be_announced_and_ended_in_one_commit(
    journal: Journal, query: Query
) -> None:
    """The call that waited for the intent was cancelled: nothing was sent, so the claim goes."""
    item = (await journal.page(-1, BulkOptions()))[0]
    waiting = asyncio.ensure_future(journal.intent(item))
    waiting.cancel()
    await journal.end(item, ended(item, "pending"))

    assert journal.ledger is not None
    assert query(journal.path, "SELECT state, attempts FROM item WHERE item_index = 0") == [
        ("pending", 1)
    ]
    assert query(journal.ledger, "SELECT unsettled FROM meeting") == [(None,)]


async def test_an_end_shares_its_commit_with_the_next_intent(
    fake: FakeGong, client: Client, change: Change, state: Path
) -> None:
    """One at a time, each item costs a commit and not two: its end can wait for the next."""
    begun: list[str] = []

    async with client(fake) as gong:
        options = BulkOptions(check_organizers=False, max_in_flight=1)
        job = gong.bulk([change(number) for number in range(60)], state_dir=state, options=options)
        reported = 0
        async for _ in job.run():
            reported += 1
            if reported == 10:
                task: Any = job._task
                connection = task.journal.writer.database._connection
                connection.set_trace_callback(
                    lambda text: begun.append(text) if text.startswith("BEGIN") else None
                )
    assert reported == 60
    assert len(begun) < 75
