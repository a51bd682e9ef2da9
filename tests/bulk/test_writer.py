"""The thread that writes: many orders to a commit, each answered once it is durable."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gong_async import JournalError
from gong_async._storage.database import Database
from gong_async.bulk.store.schema import JOURNAL
from gong_async.bulk.store.writer import Writer

Query = Callable[..., list[tuple[Any, ...]]]


@pytest_asyncio.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    """Return a writer of a new journal."""
    writer = Writer(Database(tmp_path / "job.sqlite3", JOURNAL))
    yield writer
    await writer.close()


def put(name: str) -> Callable[[sqlite3.Connection], str]:
    """Return work that writes a row and returns its name."""

    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO job VALUES (?, 1)", (name,))
        return name

    return work


def names(query: Query, writer: Writer) -> list[str]:
    """Return what another connection sees."""
    return [name for (name,) in query(writer.database.path, "SELECT name FROM job ORDER BY name")]


async def test_an_answer_means_durable(writer: Writer, query: Query) -> None:
    """Another connection sees it, and the result is the work's own."""
    result = await writer.submit(put("a"))

    assert (result, names(query, writer)) == ("a", ["a"])


async def test_many_orders_share_commits(writer: Writer) -> None:
    """1,000 orders at once take a few commits, and are carried out in their order."""
    await writer.submit(put("first"))
    begun = 0
    connection: Any = writer.database._connection

    def count(statement: str) -> None:
        nonlocal begun
        begun += statement.startswith("BEGIN")

    connection.set_trace_callback(count)
    order: list[int] = []

    def note(number: int) -> Callable[[sqlite3.Connection], None]:
        return lambda connection: order.append(number)

    await asyncio.gather(*(writer.submit(note(number)) for number in range(1000)))

    assert order == list(range(1000))
    assert 2 <= begun <= 10


async def test_orders_of_one_tick_share_a_commit(writer: Writer) -> None:
    """What is ordered before the loop goes on is handed over together, also to an idle thread."""
    await writer.submit(put("first"))
    begun: list[str] = []
    connection: Any = writer.database._connection
    connection.set_trace_callback(lambda text: begun.append(text) if text[:5] == "BEGIN" else None)

    await asyncio.gather(*(writer.submit(put(f"{number}")) for number in range(50)))

    assert len(begun) == 1


async def test_orders_wait_for_as_many_as_there_were_last_time(tmp_path: Path) -> None:
    """They share a commit though they come in several turns, and wait no longer than for that."""

    class Patient(Writer):
        gather_seconds = 3600.0

    writer = Patient(Database(tmp_path / "job.sqlite3", JOURNAL))
    await asyncio.gather(*(writer.submit(put(f"a{number}")) for number in range(10)))
    begun: list[str] = []
    connection: Any = writer.database._connection
    connection.set_trace_callback(lambda text: begun.append(text) if text[:5] == "BEGIN" else None)

    orders = []
    for number in range(10):
        orders.append(writer.submit(put(f"b{number}")))
        await asyncio.sleep(0.001)
    await asyncio.gather(*orders)
    late = writer.submit(put("late"))
    await writer.close()

    assert len(begun) == 2
    assert late.done()


async def test_the_loop_goes_on_meanwhile(writer: Writer) -> None:
    """A slow disk holds up the thread, not the loop."""
    turns = 0
    written = writer.submit(lambda _: time.sleep(0.1))
    while not written.done():
        turns += 1
        await asyncio.sleep(0.001)

    assert turns > 20


async def test_a_cancelled_order_is_carried_out(writer: Writer, query: Query) -> None:
    """The caller was cancelled; the order is executed."""
    waiting = writer.submit(put("a"))
    waiting.cancel()
    await writer.submit(put("b"))

    assert names(query, writer) == ["a", "b"]


async def test_after_a_failure_nothing_more_is_written(writer: Writer, query: Query) -> None:
    """Each later order fails with the first reason: what the disk holds is not known."""
    await writer.submit(put("a"))
    with pytest.raises(JournalError, match="damaged or foreign") as first:
        await writer.submit(put("a"))
    with pytest.raises(JournalError) as second:
        await writer.submit(put("b"))

    assert str(first.value) == str(second.value)
    assert names(query, writer) == ["a"]


async def test_orders_of_a_failed_commit_all_fail(writer: Writer, query: Query) -> None:
    """None of them gets a result."""
    await writer.submit(put("a"))
    orders = [writer.submit(put(name)) for name in ("b", "a", "c")]
    answers = await asyncio.gather(*orders, return_exceptions=True)

    assert [type(answer) for answer in answers] == [JournalError] * 3
    assert names(query, writer) == ["a"]


async def test_an_exception_of_the_work_is_raised(writer: Writer) -> None:
    """No task waits for ever because of a bug."""

    def mistake(connection: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(JournalError, match="ZeroDivisionError"):
        await writer.submit(mistake)


async def test_close_carries_out_what_was_ordered(tmp_path: Path, query: Query) -> None:
    """Orders without a waiting caller are executed before the writer is closed."""
    writer = Writer(Database(tmp_path / "job.sqlite3", JOURNAL))
    orders = [writer.submit(put(f"{number:04}")) for number in range(2000)]
    await writer.close()

    assert len(names(query, writer)) == 2000
    assert all(order.done() for order in orders)
    assert not [t for t in threading.enumerate() if t.name == "gong-journal"]


async def test_closing_twice_does_nothing(writer: Writer) -> None:
    """Also a writer that never wrote."""
    await writer.close()
    await writer.close()

    assert not writer.database.path.exists()
