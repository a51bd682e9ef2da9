"""A bulk job: planned into a journal, run and resumed from it, by one process at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, cast

from attrs import define, field

from gong_async._version import __version__
from gong_async.bulk.engine import wait_until_done
from gong_async.bulk.error_scope import Stop, as_asked
from gong_async.bulk.forecast import forecast
from gong_async.bulk.job_task import JobTask
from gong_async.bulk.planner import Changes, digest_of, write_plan
from gong_async.bulk.records import BulkItem, BulkOptions, BulkPlan, BulkStatus, ItemState
from gong_async.bulk.runner import Run
from gong_async.bulk.sender import Sender
from gong_async.bulk.store.job_file import JobFile
from gong_async.bulk.store.journal import SETTLE, Journal, make_header
from gong_async.errors import ConfigurationError, JournalError
from gong_async.resources.meetings import EMAILS_PER_CALL

_PAGE = 500


@define(eq=False, kw_only=True)
class BulkJob:
    """Many updates that survive a crash; made by `GongClient.bulk`.

    What is planned, sent and answered stands in a journal, one SQLite file a job. Whoever has the
    file can go on with the job, in this process or another, today or on Friday. One process at a
    time runs it; any other can ask how it stands, and ask it to pause.
    """

    path: Path
    """The journal."""
    _id: str = field(alias="id")
    _ledger: Path | None = field(alias="ledger", repr=False)
    _options: BulkOptions | None = field(alias="options", repr=False)
    _changes: Changes | None = field(alias="changes", repr=False)
    _company: str = field(alias="company", repr=False)
    _origin: str = field(alias="origin")
    _connect: Callable[[Run | None], Sender] = field(alias="connect", repr=False)
    _register: Callable[[JobTask], object] = field(alias="register", default=bool, repr=False)
    """Lets the client know of what it has to end when it is closed."""
    begun: bool = field(default=False, init=False)
    """Whether this object has begun to send."""
    _task: JobTask | None = field(default=None, init=False, repr=False)
    _file: JobFile = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._file = JobFile(self.path)

    async def plan(self) -> BulkPlan:
        """Take the changes into the journal, and tell what sending them will cost.

        Nothing is sent. A job that was planned before is only told of again.

        Raises:
            JournalError: the journal cannot be made, or there is none and no changes were given, or
                it is that of other changes.
            ValidationError: a change cannot be right; no journal is left behind.
        """
        return cast("BulkPlan", await self._begin(self._plan).result())

    def run(
        self, *, canary: int | None = None, wait: bool = False
    ) -> AsyncGenerator[BulkItem, None]:
        """Send the changes for the first time; yield what became of each, once that is durable.

        Items come in the order in which they finish. A slow reader slows the job. To stop in good
        order call `pause`, and read on to the end.

        Args:
            canary: stop after the first so many, for a look.
            wait: wait for quota, and for Gong to be there again, however long that takes. Without
                it a job that would have to wait for more than five minutes ends as parked.

        Raises:
            JournalError: the journal cannot be used or written, or the job was begun before.
            ConfigurationError: `canary` is below 1, or the file of the limits cannot be used.
        """
        return self._send(canary=canary, wait=wait, again=False, since=0.0)

    def resume(
        self, *, canary: int | None = None, wait: bool = False
    ) -> AsyncGenerator[BulkItem, None]:
        """Go on with a job that was planned, stopped, or killed; see `run`.

        What Gong acknowledged is not sent again. What was under way when the job ended is sent
        again with the same bytes, unless that is too long ago: see `BulkOptions`.

        Raises:
            JournalError: there is nothing to go on with, another process runs the job, or the
                changes, the company or the options are not those of the journal.
        """
        return self._send(canary=canary, wait=wait, again=True, since=time.time())

    async def status(self) -> BulkStatus:
        """Return how the job stands; from any process, also while another one runs it.

        Raises:
            JournalError: there is no journal, or it cannot be read.
        """
        return await asyncio.to_thread(self._file.status)

    async def items(self, *states: ItemState) -> AsyncGenerator[BulkItem, None]:
        """Yield the items as the journal has them, in order; of the given states only, if any.

        Raises:
            JournalError: there is no journal, or it cannot be read.
        """
        after = -1
        while page := await asyncio.to_thread(self._file.page, states, after, _PAGE):
            for item in page:
                yield item
            after = page[-1].place

    async def pause(self) -> None:
        """Begin no further items; what is under way comes to its end. From any process.

        A job that is being planned is planned to its end. The first `run` of a job that is planned
        ends at once; `resume` goes on with it.

        Raises:
            JournalError: there is no journal yet, or it cannot be written.
        """
        if not await self._stop(as_asked("pause")):
            await asyncio.to_thread(self._file.ask, "pause")

    async def cancel(self) -> None:
        """Pause, and never send what is still planned. From any process.

        Raises:
            JournalError: there is no journal yet, or it cannot be written.
        """
        if await self._stop(as_asked("cancel")):
            return
        asked = await asyncio.to_thread(self._file.ask, "cancel")
        task = self._make_task()
        task.start(_cancel)
        try:
            await task.result()
        except JournalError as error:
            if not asked or error.reason != "in_use":
                raise  # else the process that runs the job carries it out

    async def _stop(self, stop: Stop) -> bool:
        """Stop what this object does with the job; return False if that does nothing any more."""
        task = self._task
        return task is not None and task.is_active and await task.stop(stop)

    def _make_task(self) -> JobTask:
        options = self._options or BulkOptions()
        # Each task has a claim of its own to the lock, and releases no other.
        return JobTask(JobFile(self.path), self._ledger, options.drain_seconds)

    def _begin(self, work: Callable[[JobTask], Coroutine[Any, Any, Any]]) -> JobTask:
        """Start a task that the client ends when it is closed."""
        task = self._make_task()
        self._register(task)
        task.start(work)
        if self._task is None or not self._task.is_active:
            self._occupy(task)
        return task

    async def _send(
        self, *, canary: int | None, wait: bool, again: bool, since: float
    ) -> AsyncGenerator[BulkItem, None]:
        if canary is not None and canary < 1:
            raise ConfigurationError(f"canary must be at least 1, got {canary}")
        work = partial(self._send_all, canary=canary, wait=wait, again=again, since=since)
        task = self._begin(work)
        stop = Stop("interrupted", "its caller left the loop")
        try:
            while (item := await task.outbox.get()) is not None:
                yield item
            task.task.result()
        except asyncio.CancelledError:
            stop = Stop("interrupted", "stopped at once")
            raise
        finally:
            await task.leave(stop)

    async def _send_all(
        self, task: JobTask, *, canary: int | None, wait: bool, again: bool, since: float
    ) -> None:
        journal = task.journal
        self._occupy(task)  # it has the lock, and so no other task of this job goes on
        if not again:
            await self._write_plan(journal)
        await asyncio.to_thread(self._file.require)
        header = await journal.open()
        await self._check(header, again=again)
        run = Run(
            journal,
            _options_of(header),
            task.outbox,
            canary=canary,
            wait=wait,
            settle_seconds=SETTLE,
        )
        if (parked := _still_parked(header)) is not None:
            run.stop(parked)
        sender = self._connect(run)
        task.begin(run)
        asked = await journal.begin_run(since)
        self.begun = True
        if asked is not None:
            run.stop(as_asked(asked))
        await run.send_all(sender)

    async def _plan(self, task: JobTask) -> BulkPlan:
        journal = task.journal
        self._occupy(task)  # it has the lock, and so no other task of this job goes on
        await self._write_plan(journal)
        asked = await journal.asked()
        stop = as_asked("cancel") if asked == "cancel" else task.last_stop()
        if stop is not None and stop.state == "cancelled":
            await journal.end_run(stop)
        elif stop is not None and stop.state == "paused":
            await journal.keep_request("pause")
        return await self._describe(journal)

    def _occupy(self, task: JobTask) -> None:
        """Let the task hear of `pause` and `cancel`."""
        self._task = task

    async def _write_plan(self, journal: Journal) -> None:
        """Plan into the journal, unless that was done before."""
        if await asyncio.to_thread(self._file.exists):
            found = await asyncio.to_thread(self._file.header)
            if found.get("state", "planning") != "planning":
                await self._check_input(found)
                return
            if self._changes is None:
                raise _not_planned(found.get("id", self.path.name))
            # Its planning did not come to an end, and so nothing was sent.
            await asyncio.to_thread(self._remove)
        if self._changes is None:
            await asyncio.to_thread(self._file.require)
        header = make_header(
            self._id,
            origin=self._origin,
            company=self._company,
            version=__version__,
            options=self._options or BulkOptions(),
        )
        try:
            await journal.create(header)
            digest = await write_plan(journal, self._changes or ())
            await journal.seal(digest, self._options or BulkOptions())
            self._changes = None  # they are in the journal now, and may be used up
        except (Exception, asyncio.CancelledError):
            try:
                await journal.close()
            finally:
                loop = asyncio.get_running_loop()
                await wait_until_done(loop.run_in_executor(None, self._remove, ".lock"))
            raise

    async def _describe(self, journal: Journal) -> BulkPlan:
        status = await self.status()
        header = await asyncio.to_thread(self._file.header)
        options = _options_of(header)
        organizers, unchecked = await journal.organizers()
        checks = -(-unchecked // EMAILS_PER_CALL) if options.check_organizers else 0
        sender = self._connect(None)
        return BulkPlan(
            items=status.total,
            to_send=status.left,
            skipped=status.skipped,
            organizers=organizers,
            check_requests=checks,
            forecast=forecast(
                status.left + checks, quota=await sender.quota(), limits=sender.limits
            ),
        )

    async def _check(self, header: dict[str, Any], *, again: bool) -> None:
        """Refuse what is not this job, or not to be sent now."""
        name = header.get("id", self.path.name)
        state = header.get("state", "planning")
        if state == "planning":
            raise _not_planned(name)
        if header["company"] != self._company:
            raise JournalError(
                f"job {name} was planned for another company or base URL ({header['origin']}); "
                "use the key and the base URL that it was planned with",
                reason="company",
            )
        if state == "cancelled":
            raise JournalError(f"job {name} was cancelled; make a new one", reason="state")
        if not again and state != "planned":
            raise JournalError(f"job {name} was begun before; resume it", reason="state")
        options = _options_of(header)
        if self._options is not None and self._options != options:
            raise JournalError(f"job {name} was planned with other options", reason="input")
        if again:
            await self._check_input(header)

    async def _check_input(self, header: dict[str, Any]) -> None:
        """Refuse other changes than those of the journal."""
        if self._changes is None:
            return
        if await digest_of(self._changes) != header["input"]:
            raise JournalError(
                f"job {header['id']} was planned for other changes than these; "
                "go on with it without any, or make a new job",
                reason="input",
            )

    def _remove(self, *more: str) -> None:
        if self.path.is_symlink():
            return  # it was refused, and is not ours
        for end in ("", "-wal", "-shm", *more):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)


async def _cancel(task: JobTask) -> None:
    header = await task.journal.open()
    if header.get("state") not in {"finished", "cancelled"}:
        await task.journal.end_run(as_asked("cancel"))


def _options_of(header: dict[str, Any]) -> BulkOptions:
    return BulkOptions(**json.loads(header["options"]))


def _still_parked(header: dict[str, Any]) -> Stop | None:
    """Return what the job still waits for, if nothing may be sent before a time to come."""
    wait = (header.get("not_before") or 0.0) - time.time()
    return Stop("parked", header["why"], wait, firm=True) if wait > 0 else None


def _not_planned(name: str) -> JournalError:
    problem = f"job {name} was not planned to its end, and nothing of it was sent; make a new one"
    return JournalError(problem, reason="state")
