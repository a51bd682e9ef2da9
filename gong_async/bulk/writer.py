"""The one thread that writes a file: many orders to a transaction, answered once durable."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define, field

from gong_async._storage.database import Database
from gong_async.bulk.entries import Entry, write_entries
from gong_async.errors import GongError, JournalError

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

T = TypeVar("T")

_MOST_ORDERS = 512
"""Orders after which a transaction takes no more: the first of them would wait for long."""

_GATHER_SECONDS = 0.002
"""How long the first order of a transaction waits for company, when there was some before: each
commit has its price."""


@define(eq=False)
class _Order:
    work: Callable[[Connection], Any]
    answer: asyncio.Future[Any]
    result: Any = None


@define(eq=False)
class Writer:
    """Carries out orders in the sequence given. After a failure it carries out nothing more.

    A failed write is not repeated: what the disk holds then is not known before the file is
    opened anew.
    """

    database: Database
    failure: GongError | None = field(default=None, init=False)
    _given: list[_Order] = field(factory=list, init=False)
    """The orders of this turn of the loop, which are handed over together."""
    _orders: SimpleQueue[list[_Order] | None] = field(factory=SimpleQueue, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    def submit(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Do `work` on the file; the future has its result once that is durable.

        Raises:
            JournalError: from the future: the file cannot be written.
        """
        loop = asyncio.get_running_loop()
        order = _Order(work, loop.create_future())
        if self._closed:
            order.answer.set_exception(JournalError("the journal is closed"))
            return order.answer
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._carry_out, args=(loop,), name="gong-journal", daemon=True
            )
            self._thread.start()
        if not self._given:
            loop.call_soon(self._hand_over)
        self._given.append(order)
        return order.answer

    async def close(self) -> None:
        """Carry out what was ordered, then close the file."""
        self._closed = True
        thread, self._thread = self._thread, None
        if thread is not None:
            self._hand_over()
            self._orders.put(None)
            await asyncio.shield(asyncio.to_thread(thread.join))

    def _hand_over(self) -> None:
        given, self._given = self._given, []
        for first in range(0, len(given), _MOST_ORDERS):
            self._orders.put(given[first : first + _MOST_ORDERS])

    def _carry_out(self, loop: asyncio.AbstractEventLoop) -> None:
        last, crowded = False, False
        while not last:
            batch, last = self._next(gather=crowded)
            crowded = len(batch) > 1
            if batch:
                self._commit(batch)
                try:
                    loop.call_soon_threadsafe(self._answer, batch, self.failure)
                except RuntimeError:
                    break  # the loop is closed: nobody waits any more
        self.database.close()

    def _next(self, *, gather: bool) -> tuple[list[_Order], bool]:
        """Wait for an order, and take along what has come meanwhile."""
        batch: list[_Order] = []
        orders = self._orders.get()
        if gather:
            time.sleep(_GATHER_SECONDS)
        while orders is not None:
            batch += orders
            if len(batch) >= _MOST_ORDERS:
                break
            try:
                orders = self._orders.get_nowait()
            except Empty:
                return batch, False
        return batch, orders is None

    def _commit(self, batch: list[_Order]) -> None:
        if self.failure is not None:
            return
        try:
            with self.database.transaction() as connection:
                for alike, orders in groupby(batch, lambda order: type(order.work) is Entry):
                    if alike:
                        write_entries(connection, [cast("Entry", o.work) for o in orders])
                        continue
                    for order in orders:
                        order.result = order.work(connection)
        except GongError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            self.failure = JournalError(f"the journal was not written: {error!r}")

    @staticmethod
    def _answer(batch: list[_Order], failure: GongError | None) -> None:
        for order in batch:
            if order.answer.done():
                continue  # cancelled; the work is done all the same
            if failure is None:
                order.answer.set_result(order.result)
            else:
                order.answer.set_exception(failure)
                order.answer.exception()  # who did not wait for it hears of it from the next
