"""The one thread that writes a file: many orders to a transaction, answered once durable."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from attrs import define, field

from gong_async._storage.database import Database
from gong_async.bulk.entries import Entry, write_entries
from gong_async.errors import GongError, JournalError

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

T = TypeVar("T")

_MOST_ORDERS = 512
"""Orders after which a transaction takes no more: the first of them would wait for long."""


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

    gather_seconds: ClassVar[float] = 0.005
    """How long orders wait until as many have come as last time: each commit has its price. The
    thread is not woken for that, which would only take turns with the loop."""

    database: Database
    failure: GongError | None = field(default=None, init=False)
    _given: list[_Order] = field(factory=list, init=False)
    """Orders that are to be handed over together."""
    _expected: int = field(default=0, init=False)
    """How many there were last time."""
    _handing_over: asyncio.Handle | None = field(default=None, init=False)
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
        self._given.append(order)
        self._arrange(loop)
        return order.answer

    async def close(self) -> None:
        """Carry out what was ordered, then close the file."""
        self._closed = True
        thread, self._thread = self._thread, None
        if thread is not None:
            if self._handing_over is not None:
                self._handing_over.cancel()
            self._hand_over()
            self._orders.put(None)
            await asyncio.shield(asyncio.to_thread(thread.join))

    def _arrange(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that orders are handed over: after this turn of the loop, or a little later."""
        enough = len(self._given) >= self._expected
        if self._handing_over is None:
            if enough or not self.gather_seconds:
                self._handing_over = loop.call_soon(self._hand_over)
            else:
                self._handing_over = loop.call_later(self.gather_seconds, self._hand_over)
        elif len(self._given) == self._expected:
            self._handing_over.cancel()
            self._handing_over = loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._handing_over = None
        given, self._given = self._given, []
        self._expected = len(given)
        for first in range(0, len(given), _MOST_ORDERS):
            self._orders.put(given[first : first + _MOST_ORDERS])

    def _carry_out(self, loop: asyncio.AbstractEventLoop) -> None:
        last = False
        while not last:
            batch, last = self._next()
            if batch:
                self._commit(batch)
                try:
                    loop.call_soon_threadsafe(self._answer, batch, self.failure)
                except RuntimeError:
                    break  # the loop is closed: nobody waits any more
        self.database.close()

    def _next(self) -> tuple[list[_Order], bool]:
        """Wait for an order, and take along what has come meanwhile."""
        batch: list[_Order] = []
        orders = self._orders.get()
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
