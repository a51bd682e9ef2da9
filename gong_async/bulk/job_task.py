"""Work on a bulk job in a task of its own, which holds the job's lock and its journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from weakref import WeakSet

from attrs import define, field

from gong_async._storage.private_file import make_private_file
from gong_async.bulk.engine import wait_until_done
from gong_async.bulk.error_scope import Stop
from gong_async.bulk.outbox import Outbox
from gong_async.bulk.runner import Run
from gong_async.bulk.store.job_file import LOCK_STEP, LOCK_TRIES, JobFile
from gong_async.bulk.store.journal import Journal
from gong_async.bulk.store.schema import JOURNAL
from gong_async.errors import UsageError

CLIENT_CLOSED = Stop("interrupted", "client closed")
_LOOP_ENDED = Stop("interrupted", "its event loop ended")
_OTHER_LOOP_STEP = 0.02

_CURRENT: ContextVar[JobTask | None] = ContextVar("_CURRENT", default=None)
"""The task that runs the code, directly or in a task which that started."""


@define(eq=False)
class JobTask:
    """One operation on a job.

    Whoever waits for it may be cancelled, forget it, or lose its event loop: what it has acquired
    is released all the same, by itself or by `release`.
    """

    file: JobFile
    ledger: Path | None
    drain_seconds: float
    """Seconds that `close` waits before it cancels a job that is still being planned."""
    outbox: Outbox = field(init=False)
    journal: Journal = field(init=False)
    run: Run | None = field(default=None, init=False)
    stopped: Stop | None = field(default=None, init=False)
    """Why nothing is to be sent; once there is a run, the run has it."""
    is_decided: bool = field(default=False, init=False)
    """Whether it is too late to stop it: how it ends is being written down."""
    closing: bool = field(default=False, init=False)
    """Whether the client is being closed, which ends the task in good order."""
    task: asyncio.Task[Any] = field(init=False)
    loop: asyncio.AbstractEventLoop = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.outbox = Outbox()
        self.journal = Journal(self.file.path, self.ledger, lock=self.file.lock)

    @property
    def is_active(self) -> bool:
        """Whether it works, or may go on to work."""
        return not self.task.done() and not self.loop.is_closed()

    @property
    def is_ending(self) -> bool:
        """Whether it was stopped for good, and is still at work."""
        stop = self.stopped if self.run is None else self.run.stopped
        ends = stop is not None and stop.wait is None
        return ends and self.is_active and self.file.lock.is_mine

    def start(self, work: Callable[[JobTask], Coroutine[Any, Any, Any]]) -> None:
        """Begin in the running loop."""
        self.loop = asyncio.get_running_loop()
        self.task = self.loop.create_task(self._carry_out(work))
        self.task.add_done_callback(self._done)
        PROCESS_LIMITS.tasks.add(self)

    def begin(self, run: Run) -> None:
        """Hand over to the run, with what was asked before there was one."""
        self.run = run
        if self.stopped is not None:
            run.stop(self.stopped)

    def last_stop(self) -> Stop | None:
        """Return why it ends, for the journal; from here on it cannot be stopped."""
        self.is_decided = True
        return self.stopped if self.run is None else self.run.last_stop()

    async def stop(self, stop: Stop) -> bool:
        """Begin no further items; from any loop. Return False, at the end, if it is too late."""
        if _running_loop() is self.loop:
            if not self.is_decided:
                self._stop(stop)
                return True
            await asyncio.wait([self.task])
            return False
        stopping = asyncio.run_coroutine_threadsafe(self.stop(stop), self.loop)
        while not stopping.done():
            if not self.loop.is_running():
                return not self.loop.is_closed()  # it is stopped when the loop goes on
            await asyncio.sleep(_OTHER_LOOP_STEP)
        return not stopping.cancelled() and stopping.result()

    async def result(self) -> Any:
        """Wait for the end, and return what the work returned. Cancelled, it cancels the work."""
        try:
            await asyncio.wait([self.task])
        finally:
            await self.leave(Stop("interrupted", "cancelled"))
        return self.task.result()

    async def leave(self, stop: Stop) -> None:
        """End at once, if it has not ended: what is on the wire is in doubt."""
        if self.task.done():
            return
        if _running_loop() is not self.loop:
            if self.loop.is_running():
                self.loop.call_soon_threadsafe(self._cancel, stop)
            else:
                self.release()
            return
        self._cancel(stop)
        await wait_until_done(self.task)

    async def end(self, stop: Stop) -> None:
        """End at once, but as `close` does: whoever reads comes to the end."""
        self.closing = True
        await self.leave(stop)

    async def close(self, stop: Stop) -> None:
        """Stop in good order, from any loop; return when all is released. Cancelled, it hurries."""
        if _running_loop() is not self.loop:
            await self._close_elsewhere(stop)
            return
        self.closing = True
        self._stop(stop)
        try:
            # A run keeps to the time by itself.
            await asyncio.wait([self.task], timeout=self.drain_seconds)
            if self.run is not None:
                await asyncio.wait([self.task])
        finally:
            await self.leave(stop)

    async def _close_elsewhere(self, stop: Stop) -> None:
        closing: Future[None] | None = None
        try:
            while not self.task.done():
                if not self.loop.is_running():
                    self.release()
                    return
                if closing is None:
                    closing = asyncio.run_coroutine_threadsafe(self.close(stop), self.loop)
                await asyncio.sleep(_OTHER_LOOP_STEP)
        finally:
            if closing is not None:
                closing.cancel()

    def release(self) -> None:
        """Close the journal and release the lock: at once, from any thread, in any state."""
        try:
            self.journal.close_now(self.last_stop() or _LOOP_ENDED)
        finally:
            self.file.lock.release()

    async def _carry_out(self, work: Callable[[JobTask], Coroutine[Any, Any, Any]]) -> Any:
        _CURRENT.set(self)
        try:
            await self._acquire()
            return await work(self)
        except asyncio.CancelledError:
            self._stop(Stop("interrupted", "cancelled"))
            if not self.closing:
                raise
            if self.run is not None:
                return None
        except Exception as error:
            self._stop(Stop("interrupted", str(error) or type(error).__name__))
            raise
        finally:
            try:
                if not self.loop.is_closed():
                    await self._close_journal(self.last_stop())
            finally:
                self.release()
        raise UsageError("the client was closed while the job was planned; nothing was sent")

    async def _close_journal(self, stop: Stop | None) -> None:
        try:
            await self.journal.close(stop)
        except asyncio.CancelledError:
            if not self.closing:  # else it was cancelled once more, which changes nothing
                raise

    async def _acquire(self) -> None:
        """Become the only one that works with the journal."""
        lock = self.file.lock
        await asyncio.to_thread(make_private_file, lock.path, JOURNAL.purpose)
        refusals = 0
        while refusals < LOCK_TRIES:
            # Not a task: whoever cancels all tasks would not cancel what the thread does.
            taking = self.loop.run_in_executor(None, lock.take)
            await wait_until_done(taking)
            if taking.result():
                return
            PROCESS_LIMITS.release_ended(self.file.path)
            if not self._is_ending_elsewhere():
                refusals += 1
            await asyncio.sleep(LOCK_STEP)
        if any(task.file.lock.is_mine for task in PROCESS_LIMITS.of(self.file.path)):
            advice = "read what runs it to its end, or close it with aclose()"
            raise self.file.in_use(advice, who="this process already")
        raise self.file.in_use("ask how it stands, or pause it there")

    def _is_ending_elsewhere(self) -> bool:
        """Whether another task of this process is about to release the job."""
        return any(task.is_ending for task in PROCESS_LIMITS.of(self.file.path))

    def _cancel(self, stop: Stop) -> None:
        self._stop(stop)
        self.task.cancel()

    def _stop(self, stop: Stop) -> None:
        if self.run is not None:
            self.run.stop(stop)
        elif self.stopped is None or stop.state == "cancelled":
            self.stopped = stop

    def _done(self, task: asyncio.Task[Any]) -> None:
        PROCESS_LIMITS.tasks.discard(self)
        self.outbox.close()
        if not task.cancelled():
            task.exception()  # whoever reads on gets it


def is_planning_here(tasks: Iterable[JobTask]) -> bool:
    """Whether the caller belongs to the source of changes that one of the tasks takes in."""
    task = _CURRENT.get()
    return task is not None and task.run is None and task.is_active and task in tasks


async def close_all(tasks: Iterable[JobTask]) -> None:
    """Stop jobs whose client is closed, in good order."""
    await asyncio.gather(*(task.close(CLIENT_CLOSED) for task in tasks))


async def end_all(tasks: Iterable[JobTask]) -> None:
    """End jobs whose client has to be closed at once."""
    for task in tasks:
        await task.end(CLIENT_CLOSED)


@define(eq=False)
class JobTasks:
    """Tasks that have not ended."""

    tasks: WeakSet[JobTask] = field(factory=WeakSet, init=False)

    def of(self, path: Path) -> list[JobTask]:
        """Return those of one journal."""
        return [task for task in list(self.tasks) if task.file.path == path]

    def release_ended(self, path: Path) -> None:
        """Release what tasks have left whose loop was closed under them."""
        for task in self.of(path):
            if task.loop.is_closed():
                self.tasks.discard(task)
                task.release()


PROCESS_LIMITS = JobTasks()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
