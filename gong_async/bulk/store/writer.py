"""The thread that writes a file: several orders per transaction, each answered once durable."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from attrs import define, field

from gong_async._storage.database import Database
from gong_async._storage.lock import ProcessLock
from gong_async.bulk.store.schema import JournalRow, write_rows
from gong_async.errors import GongError, JournalError

if TYPE_CHECKING:
    from gong_async._storage.database import Connection

T = TypeVar("T")

_LOOK_SECONDS = 1.0
"""How often an idle thread checks whether its loop was closed."""

_END_STEP = 0.001
_MOST_ORDERS = 512
"""Orders per transaction: with more, the first of them would wait for long."""


@define(eq=False)
class _Order:
    work: Callable[[Connection], Any]
    answer: asyncio.Future[Any] | None
    """None if no result is expected."""
    result: Any = None


@define(eq=False)
class Writer:
    """Executes orders in the order of submission; after a failure, none.

    A failed write is not repeated: the content of the disk is unknown until the file is reopened.
    """

    gather_seconds: ClassVar[float] = 0.005
    """How long orders wait for as many as last time, because each commit is expensive. The thread
    is not woken meanwhile: it would only compete with the loop."""

    database: Database
    lock: ProcessLock | None = None
    """The lock on the file; without it nothing more is written."""
    failure: GongError | None = field(default=None, init=False)
    _given: list[_Order] = field(factory=list, init=False)
    """Orders that will be handed over together."""
    _expected: int = field(default=0, init=False)
    """Number of orders last time."""
    _handing_over: asyncio.Handle | None = field(default=None, init=False)
    _orders: SimpleQueue[list[_Order] | None] = field(factory=SimpleQueue, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)
    _ended: asyncio.Future[None] | None = field(default=None, init=False)
    """Done when the thread has closed the file."""

    def submit(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Do `work` on the file; the future has its result once that is durable.

        Raises:
            JournalError: from the future: the file cannot be written.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if self._closed:
            answer.set_exception(JournalError("the journal is closed"))
            answer.exception()  # mark as retrieved: the caller may not wait for it
            return answer
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, args=(loop,), name="gong-journal", daemon=True
            )
            self._thread.start()
        self._given.append(_Order(work, answer))
        self._schedule(loop)
        return answer

    async def close(self, last: Callable[[Connection], object] | None = None) -> None:
        """Execute all orders, and `last`; then close the file.

        A cancellation is re-raised after that.
        """
        self._submit_last(last)
        thread = self._thread
        if thread is None:
            return
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            self._orders.put(None)
        cancelled: asyncio.CancelledError | None = None
        while thread.is_alive():  # after the announcement of its end, it still has to return
            try:
                if self._ended.done():
                    await asyncio.sleep(_END_STEP)
                else:
                    await asyncio.wait([self._ended])
            except asyncio.CancelledError as error:
                cancelled = error
        self._thread = None
        if cancelled is not None:
            raise cancelled

    def close_now(self, last: Callable[[Connection], object] | None = None) -> None:
        """Close from any thread, with or without a running loop; blocks until it is closed."""
        self._submit_last(last)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._orders.put(None)
            thread.join()

    def _submit_last(self, last: Callable[[Connection], object] | None) -> None:
        """Hand over the last orders."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            return
        if self._handing_over is not None:
            self._handing_over.cancel()
        if last is not None:
            self._given.append(_Order(last, None))
        self._hand_over()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Schedule the handover of orders: in the next iteration of the loop, or a little later."""
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

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        last = False
        while not last:
            batch, last = self._next(loop)
            if batch:
                self._commit(batch)
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(self._answer, batch, self.failure)
        self.database.close()
        try:
            loop.call_soon_threadsafe(self._announce_end)
        except RuntimeError:
            # The loop was closed, and no task of it can release the lock.
            if self.lock is not None:
                self.lock.release()

    def _announce_end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _next(self, loop: asyncio.AbstractEventLoop) -> tuple[list[_Order], bool]:
        """Wait for orders, and return all that are there, and whether they are the last."""
        batch: list[_Order] = []
        try:
            orders = self._orders.get(timeout=_LOOK_SECONDS)
        except Empty:
            return batch, loop.is_closed()
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
            in_place = self._require_in_place
            with self.database.transaction(before_commit=in_place) as connection:
                rows: list[JournalRow] = []
                for order in batch:
                    if isinstance(order.work, JournalRow):
                        rows.append(order.work)
                        continue
                    write_rows(connection, rows)
                    rows.clear()
                    order.result = order.work(connection)
                write_rows(connection, rows)
        except GongError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - the caller must get it, whatever it is
            self.failure = JournalError(f"the journal was not written: {error!r}")

    def _require_in_place(self) -> None:
        """Refuse to write to a file that was replaced, or whose lock was lost."""
        displaced = self.database.displaced()
        if displaced is None and self.lock is not None and not self.lock.is_in_place():
            displaced = self.lock.path
        if displaced is None:
            return
        journal = self.database.path
        lost = displaced in {journal, journal.with_name(f"{journal.name}-wal")}
        # Without its lock or the ledger, the journal is complete, and the job can be resumed.
        advice = "put it back, if you can, before you resume the job" if lost else "resume the job"
        raise JournalError(
            f"{displaced} was removed, replaced or cut off while the job ran, and so nothing more "
            f"is sent; {advice}",
            reason="missing" if lost else "file",
        )

    @staticmethod
    def _answer(batch: list[_Order], failure: GongError | None) -> None:
        for order in batch:
            if order.answer is None or order.answer.done():
                continue  # cancelled; the work was done nevertheless
            if failure is None:
                order.answer.set_result(order.result)
            else:
                order.answer.set_exception(failure)
                order.answer.exception()  # mark as retrieved: the next order raises it again
