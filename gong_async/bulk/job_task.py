"""The asyncio task of one operation on a bulk job; owns the job's lock and journal."""

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
from gong_async.bulk.runner import Outcomes, Run
from gong_async.bulk.store.job_file import LOCK_STEP, LOCK_TRIES, JobFile
from gong_async.bulk.store.journal import Journal
from gong_async.bulk.store.schema import JOURNAL
from gong_async.errors import UsageError

CLIENT_CLOSED = Stop("interrupted", "client closed")
_LOOP_ENDED = Stop("interrupted", "its event loop ended")
_OTHER_LOOP_STEP = 0.02

_CURRENT: ContextVar[JobTask | None] = ContextVar("_CURRENT", default=None)
"""The job task of the current context, inherited by child tasks."""


@define(eq=False)
class JobTask:
    """One operation on a job.

    Its lock and journal are released even if the caller is cancelled, drops it, or loses its event
    loop: by the task itself, or by `release`.
    """

    file: JobFile
    ledger: Path | None
    drain_seconds: float
    """Seconds that `close` waits before it cancels a job that is still being planned."""
    outcomes: Outcomes = field(init=False)
    journal: Journal = field(init=False)
    run: Run | None = field(default=None, init=False)
    stopped: Stop | None = field(default=None, init=False)
    """Why nothing may be sent; once there is a run, `run.stopped` replaces it."""
    is_decided: bool = field(default=False, init=False)
    """Whether it is too late to stop it: its end is being written."""
    closing: bool = field(default=False, init=False)
    """Whether the client is being closed, which ends the task gracefully."""
    task: asyncio.Task[Any] = field(init=False)
    loop: asyncio.AbstractEventLoop = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.outcomes = asyncio.Queue()
        self.journal = Journal(self.file.path, self.ledger, lock=self.file.lock)

    @property
    def is_active(self) -> bool:
        """Whether it is running, or its loop may still run it."""
        return not self.task.done() and not self.loop.is_closed()

    @property
    def is_ending(self) -> bool:
        """Whether it was stopped permanently, and is still running."""
        stop = self.stopped if self.run is None else self.run.stopped
        ends = stop is not None and stop.wait is None
        return ends and self.is_active and self.file.lock.is_mine

    def start(self, work: Callable[[JobTask], Coroutine[Any, Any, Any]]) -> None:
        """Start in the running loop."""
        self.loop = asyncio.get_running_loop()
        self.task = self.loop.create_task(self._execute(work))
        self.task.add_done_callback(self._done)
        PROCESS_TASKS.tasks.add(self)

    def begin(self, run: Run) -> None:
        """Set the run, and pass on a stop that was requested before."""
        self.run = run
        if self.stopped is not None:
            run.stop(self.stopped)

    def final_stop(self) -> Stop | None:
        """Return why it ends, for the journal; afterwards it cannot be stopped."""
        self.is_decided = True
        return self.stopped if self.run is None else self.run.final_stop()

    async def stop(self, stop: Stop) -> bool:
        """Start no further items, from any loop; if too late, wait for the end, return False."""
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
        """Wait for the end, and return the result. Cancelling it cancels the work."""
        try:
            await asyncio.wait([self.task])
        finally:
            await self.leave(Stop("interrupted", "cancelled"))
        return self.task.result()

    async def leave(self, stop: Stop) -> None:
        """Abort, unless it has ended; requests on the wire become in doubt."""
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
        """Abort, but end the reader's iteration normally, as `close` does."""
        self.closing = True
        await self.leave(stop)

    async def close(self, stop: Stop) -> None:
        """Stop gracefully, from any loop, and release all. Cancelling it aborts the work."""
        if _running_loop() is not self.loop:
            await self._close_elsewhere(stop)
            return
        self.closing = True
        self._stop(stop)
        try:
            # A run observes `drain_seconds` itself.
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
            self.journal.close_now(self.final_stop() or _LOOP_ENDED)
        finally:
            self.file.lock.release()

    async def _execute(self, work: Callable[[JobTask], Coroutine[Any, Any, Any]]) -> Any:
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
                    await self._close_journal(self.final_stop())
            finally:
                self.release()
        raise UsageError("the client was closed while the job was planned; nothing was sent")

    async def _close_journal(self, stop: Stop | None) -> None:
        try:
            await self.journal.close(stop)
        except asyncio.CancelledError:
            if not self.closing:  # otherwise a second cancellation, which changes nothing
                raise

    async def _acquire(self) -> None:
        """Acquire exclusive use of the journal."""
        lock = self.file.lock
        await asyncio.to_thread(make_private_file, lock.path, JOURNAL.purpose)
        refusals = 0
        while refusals < LOCK_TRIES:
            # Not a task: cancelling all tasks would not cancel the thread.
            taking = self.loop.run_in_executor(None, lock.take)
            await wait_until_done(taking)
            if taking.result():
                return
            PROCESS_TASKS.release_ended(self.file.path)
            if not self._is_ending_elsewhere():
                refusals += 1
            await asyncio.sleep(LOCK_STEP)
        if any(task.file.lock.is_mine for task in PROCESS_TASKS.of(self.file.path)):
            advice = "read its iterator to the end, or close it with aclose()"
            raise self.file.in_use(advice, user="this process already")
        raise self.file.in_use("read its status, or pause it")

    def _is_ending_elsewhere(self) -> bool:
        """Whether another task of this process is about to release the job."""
        return any(task.is_ending for task in PROCESS_TASKS.of(self.file.path))

    def _cancel(self, stop: Stop) -> None:
        self._stop(stop)
        self.task.cancel()

    def _stop(self, stop: Stop) -> None:
        if self.run is not None:
            self.run.stop(stop)
        elif self.stopped is None or stop.state == "cancelled":
            self.stopped = stop

    def _done(self, task: asyncio.Task[Any]) -> None:
        PROCESS_TASKS.tasks.discard(self)
        self.outcomes.put_nowait(None)
        if not task.cancelled():
            task.exception()  # mark as retrieved; the reader gets it


def is_planning_here(tasks: Iterable[JobTask]) -> bool:
    """Whether the caller is the source of changes that one of the tasks is planning."""
    task = _CURRENT.get()
    return task is not None and task.run is None and task.is_active and task in tasks


async def close_all(tasks: Iterable[JobTask]) -> None:
    """Gracefully stop the jobs of a closing client."""
    await asyncio.gather(*(task.close(CLIENT_CLOSED) for task in tasks))


async def end_all(tasks: Iterable[JobTask]) -> None:
    """Abort the jobs of a client that closes at once."""
    for task in tasks:
        await task.end(CLIENT_CLOSED)


@define(eq=False)
class JobTasks:
    """The unfinished job tasks of this process."""

    tasks: WeakSet[JobTask] = field(factory=WeakSet, init=False)

    def of(self, path: Path) -> list[JobTask]:
        """Return the tasks of one journal."""
        return [task for task in list(self.tasks) if task.file.path == path]

    def release_ended(self, path: Path) -> None:
        """Release the resources of tasks whose loop was closed."""
        for task in self.of(path):
            if task.loop.is_closed():
                self.tasks.discard(task)
                task.release()


PROCESS_TASKS = JobTasks()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
