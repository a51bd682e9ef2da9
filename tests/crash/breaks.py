"""Deliberate breakages of the library, each of which the checker has to find.

A checker that has never found anything proves nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from attrs import evolve

from gong_async.bulk import runner
from gong_async.bulk.records import BulkItem
from gong_async.bulk.runner import Run
from gong_async.bulk.store.journal import Journal
from gong_async.bulk.store.writer import Writer
from gong_async.limits.types import Limits
from gong_async.models.meetings import UpdatedMeeting
from gong_async.retry import RetryPolicy

_LEAK = 3 * 2**20
_SLOW = 0.1


def _every(number: int) -> Callable[[], bool]:
    """Return what is true at every so many calls."""
    calls = count(1)
    return lambda: next(calls) % number == 0


def _finished() -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def lose_result() -> None:
    """Report results that are never written."""
    end, lost = Journal.end, _every(7)

    def broken(self: Journal, item: Any, record: BulkItem) -> asyncio.Future[None]:
        return _finished() if lost() else end(self, item, record)

    Journal.end = broken  # type: ignore[method-assign]


def report_early() -> None:
    """Report results before they are written."""
    end, commit = Journal.end, Writer._commit

    def broken(self: Journal, item: Any, record: BulkItem) -> asyncio.Future[None]:
        end(self, item, record)
        return _finished()

    def slow(self: Writer, batch: list[Any]) -> None:
        time.sleep(_SLOW)
        commit(self, batch)

    Journal.end, Writer._commit = broken, slow  # type: ignore[method-assign]


def done_unsent() -> None:
    """Take updates for done that were never sent."""
    request, skipped = Run._request, _every(7)

    async def broken(self: Run, call: Any) -> UpdatedMeeting:
        if not skipped():
            return await request(self, call)
        item, call.item = call.item, evolve(call.item, meeting_id="7000000000000000001")
        result = await request(self, call)
        call.item = item
        return evolve(result, meeting_id=item.meeting_id)

    Run._request = broken  # type: ignore[method-assign]


def timeout_is_failed() -> None:
    """Take for failed what has lost its answer."""
    failed = runner._failed

    def broken(call: Any, error: Any) -> BulkItem:
        record = failed(call, error)
        return evolve(record, state="failed") if record.state == "in_doubt" else record

    runner._failed = broken


def _at_the_beginning(statement: str, when: str) -> None:
    """Let each later run begin with a change of the journal."""
    begin_run, opened = Journal.begin_run, Journal.open
    before: dict[str, Any] = {}

    async def open_(self: Journal) -> dict[str, Any]:
        before.update(await opened(self))
        return dict(before)

    async def broken(self: Journal, since: float, limits: Limits) -> str | None:
        asked = await begin_run(self, since, limits)
        if self.run > 1 and before["state"] in when:
            await self.write(lambda connection: connection.execute(statement) and None)
        return asked

    Journal.open, Journal.begin_run = open_, broken  # type: ignore[method-assign]


def resend_done() -> None:
    """Send again what was acknowledged, after a crash."""
    again = "UPDATE item SET state = 'pending' WHERE state = 'succeeded' AND item_index % 3 = 0"
    _at_the_beginning(again, "running")


def resend_finished() -> None:
    """Begin a finished job anew."""
    again = "UPDATE item SET state = 'pending' WHERE state IN ('succeeded', 'failed')"
    _at_the_beginning(again, "completed")


def double_send_on_resume() -> None:
    """Send everything twice when a job goes on."""
    request = Run._request

    async def broken(self: Run, call: Any) -> UpdatedMeeting:
        if self.journal.run > 1:
            await request(self, call)
        return await request(self, call)

    Run._request = broken  # type: ignore[method-assign]


def wrong_bytes() -> None:
    """Send other bytes than were planned."""
    request, wrong = Run._request, _every(7)

    async def broken(self: Run, call: Any) -> UpdatedMeeting:
        if wrong():
            call.item = evolve(call.item, body=call.item.body.replace(b"R", b"r"))
        return await request(self, call)

    Run._request = broken  # type: ignore[method-assign]


def overlap() -> None:
    """Send an update again while it is in flight."""
    request, twice = Run._request, _every(7)

    async def broken(self: Run, call: Any) -> UpdatedMeeting:
        if not twice():
            return await request(self, call)
        return (await asyncio.gather(request(self, call), request(self, call)))[0]

    Run._request = broken  # type: ignore[method-assign]


def no_limit() -> None:
    """Know no limit."""
    sys.argv[sys.argv.index("--per-second") + 1] = "100000"


def ignore_retry_after() -> None:
    """Repeat at once what was refused."""
    RetryPolicy.after_refusal = lambda *_: 0.0  # type: ignore[method-assign]


def torn_orders() -> None:
    """Write what belongs together in two transactions: items, and then their counts."""
    commit = Writer._commit
    recount = (
        "UPDATE tally SET items = "
        "(SELECT count(*) FROM item WHERE coalesce(item.reason, item.state) = tally.state)"
    )

    def broken(self: Writer, batch: list[Any]) -> None:
        with self.database.transaction() as connection:
            connection.execute("DROP TRIGGER IF EXISTS item_state")
        commit(self, batch)
        with self.database.transaction() as connection:
            connection.execute(recount)

    Writer._commit = broken  # type: ignore[method-assign]


def leak_secret() -> None:
    """Keep the credentials in the journal."""
    create = Journal.create

    async def broken(self: Journal, header: Any) -> None:
        await create(self, {**header, "secret": os.environ["GONG_ACCESS_KEY_SECRET"]})

    Journal.create = broken  # type: ignore[method-assign]


def print_secret() -> None:
    """Print the credentials."""
    sys.stderr.write(f"{os.environ['GONG_ACCESS_KEY']!r}\n")


def skip_intent() -> None:
    """Write no intent for some requests."""
    intent, skipped = Journal.intent, _every(7)

    async def broken(self: Journal, item: Any) -> None:
        if not skipped():
            await intent(self, item)

    Journal.intent = broken  # type: ignore[method-assign]


def late_intent() -> None:
    """Let requests go before their intents are durable."""
    intent, tasks = Journal.intent, set()

    async def broken(self: Journal, item: Any) -> None:
        tasks.add(asyncio.ensure_future(intent(self, item)))
        await asyncio.sleep(0)

    Journal.intent = broken  # type: ignore[method-assign]


def skip_announce() -> None:
    """Announce the first request of a call only: what a hidden repetition amounts to."""
    before_send, seen = Run._before_send, set()

    async def broken(self: Run, call: Any) -> None:
        if call.item.meeting_id not in seen:
            await before_send(self, call)
        seen.add(call.item.meeting_id)

    Run._before_send = broken  # type: ignore[method-assign]


def leak_memory() -> None:
    """Keep something of every request."""
    _leak(lambda: b"x" * _LEAK)


def leak_files() -> None:
    """Keep a file open for every request."""
    _leak(lambda: os.open(os.devnull, os.O_RDONLY))


def _leak(keep: Callable[[], object]) -> None:
    before_send, kept = Run._before_send, []

    async def broken(self: Run, call: Any) -> None:
        kept.append(keep())
        await before_send(self, call)

    Run._before_send = broken  # type: ignore[method-assign]


BREAKS: dict[str, Callable[[], None]] = {
    breakage.__name__.replace("_", "-"): breakage
    for breakage in (
        lose_result,
        report_early,
        done_unsent,
        timeout_is_failed,
        resend_done,
        resend_finished,
        double_send_on_resume,
        wrong_bytes,
        overlap,
        no_limit,
        ignore_retry_after,
        torn_orders,
        leak_secret,
        print_secret,
        skip_intent,
        late_intent,
        skip_announce,
        leak_memory,
        leak_files,
    )
}
