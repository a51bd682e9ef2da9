"""A bulk job: planned into a journal, then run and resumed from it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from attrs import define, field

from gong_async._distribution import __version__
from gong_async._wire import Call
from gong_async.bulk.engine import SETTLE_SECONDS, wait_until_done
from gong_async.bulk.error_scope import Stop, requested_stop
from gong_async.bulk.job_task import JobTask
from gong_async.bulk.planner import Changes, Encode, digest_of, forecast, write_plan
from gong_async.bulk.records import BulkItem, BulkOptions, BulkPlan, BulkStatus, ItemState
from gong_async.bulk.runner import Run
from gong_async.bulk.store.job_file import JobFile
from gong_async.bulk.store.journal import Journal, make_header
from gong_async.errors import ConfigurationError, JournalError
from gong_async.limits.limiter import Limiter
from gong_async.limits.types import Limits
from gong_async.resources.meetings import EMAILS_PER_CALL

_PAGE = 500


@define(eq=False, kw_only=True)
class BulkJob:
    """A resumable job of many updates, created by `GongClient.bulk`.

    A write-ahead journal, one SQLite file per job, records every item, its requests and its
    outcome. Any process that can open the journal can resume the job. One process at a time runs
    it; others can read its status, pause it and cancel it.
    """

    path: Path
    """The journal."""
    _id: str = field(alias="id")
    _ledger: Path = field(alias="ledger", repr=False)
    _options: BulkOptions | None = field(alias="options", repr=False)
    _changes: Changes | None = field(alias="changes", repr=False)
    _company: str = field(alias="company", repr=False)
    _origin: str = field(alias="origin")
    _call: Call = field(alias="call", repr=False)
    _limiter: Limiter = field(alias="limiter", repr=False)
    _limits: Limits = field(alias="limits", repr=False)
    _encode: Encode = field(alias="encode", repr=False)
    _register: Callable[[JobTask], object] = field(alias="register", default=bool, repr=False)
    """Registers a task that the client ends when it is closed."""
    begun: bool = field(default=False, init=False)
    """Whether this object has begun to send."""
    _task: JobTask | None = field(default=None, init=False, repr=False)
    """The task that `pause` and `cancel` stop."""
    _file: JobFile = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._file = JobFile(self.path)

    async def plan(self) -> BulkPlan:
        """Write the changes to the journal, and return a forecast.

        Sends nothing. Planning a planned job again only returns its plan.

        Raises:
            JournalError: the journal cannot be created, does not exist and no changes were given,
                or belongs to other changes.
            ValidationError: a change is invalid; no journal is left behind.
        """
        return cast("BulkPlan", await self._begin(self._plan).result())

    def run(
        self, *, canary: int | None = None, wait: bool = False
    ) -> AsyncGenerator[BulkItem, None]:
        """Send the planned changes; yield each item once its outcome is durable.

        Items are yielded in the order in which they finish. A slow reader slows the job. To stop
        gracefully, call `pause` and read to the end.

        Args:
            canary: pause after this many items.
            wait: wait for quota and through outages without limit. By default, a job that would
                wait for more than five minutes ends as `waiting`.

        Raises:
            JournalError: the journal cannot be read or written, or the job has run before.
            ConfigurationError: `canary` is below 1, or the limit store is unusable.
        """
        return self._send(canary=canary, wait=wait, again=False, since=0.0)

    def resume(
        self, *, canary: int | None = None, wait: bool = False
    ) -> AsyncGenerator[BulkItem, None]:
        """Resume a planned, stopped or killed job; see `run`.

        Acknowledged updates are not sent again. Updates that were in flight when the job ended are
        resent with the same bytes within `BulkOptions.resend_in_doubt_within`.

        Raises:
            JournalError: the job cannot be resumed, another process runs it, or the changes, the
                company or the options differ from those in the journal.
        """
        return self._send(canary=canary, wait=wait, again=True, since=time.time())

    async def status(self) -> BulkStatus:
        """Return the status of the job; works in any process, also while another one runs it.

        Raises:
            JournalError: the journal is missing or unreadable.
        """
        return await asyncio.to_thread(self._file.status)

    async def items(self, *states: ItemState) -> AsyncGenerator[BulkItem, None]:
        """Yield the items of the journal in order, optionally only those in the given states.

        Raises:
            JournalError: the journal is missing or unreadable.
        """
        after = -1
        while page := await asyncio.to_thread(self._file.page, states, after, _PAGE):
            for item in page:
                yield item
            after = page[-1].index

    async def write_report(
        self,
        path: str | Path,
        *,
        format: Literal["html", "md"] = "html",  # noqa: A002 - the word that everybody uses
        with_personal_data: bool = False,
    ) -> None:
        """Write a report on the job to a file: a page for a browser, or Markdown for a ticket.

        Works in any process, also while another one runs the job. The file is replaced as a whole
        and readable only by you.

        Args:
            path: the file.
            format: `html` or `md`.
            with_personal_data: include titles, addresses and organizers.

        Raises:
            ConfigurationError: the format is neither.
            JournalError: the journal is missing or unreadable.
            OSError: the file cannot be written.
        """
        if format not in {"html", "md"}:
            raise ConfigurationError(f"format must be html or md, got {format}")
        # Imported here: most jobs are run and never reported on by the same process.
        from gong_async.bulk.reports.export import write_atomically  # noqa: PLC0415
        from gong_async.bulk.reports.overview import ticket  # noqa: PLC0415
        from gong_async.bulk.reports.page import html_page  # noqa: PLC0415

        report = html_page if format == "html" else ticket
        lines = report(self._file, personal=with_personal_data)
        await asyncio.to_thread(write_atomically, Path(path), lines)

    async def pause(self) -> None:
        """Pause the job: start no further items, finish those in flight. Works in any process.

        Planning continues to its end. Pausing a planned job makes its first `run` end at once;
        `resume` continues it.

        Raises:
            JournalError: the journal does not exist yet, or cannot be written.
        """
        if not await self._stop(requested_stop("pause")):
            await asyncio.to_thread(self._file.ask, "pause")

    async def cancel(self) -> None:
        """Cancel the job; pending items are dropped. Works in any process.

        Raises:
            JournalError: the journal does not exist yet, or cannot be written.
        """
        if await self._stop(requested_stop("cancel")):
            return
        asked = await asyncio.to_thread(self._file.ask, "cancel")
        task = self._make_task()
        task.start(_cancel)
        try:
            await task.result()
        except JournalError as error:
            if not asked or error.reason != "in_use":
                raise  # otherwise the process that runs the job cancels it

    async def _stop(self, stop: Stop) -> bool:
        """Stop the task of this object; return False if it has none that is active."""
        task = self._task
        return task is not None and task.is_active and await task.stop(stop)

    def _make_task(self) -> JobTask:
        options = self._options or BulkOptions()
        # Each task has its own lock object and cannot release another's.
        return JobTask(JobFile(self.path), self._ledger, options.drain_seconds)

    def _begin(self, work: Callable[[JobTask], Coroutine[Any, Any, Any]]) -> JobTask:
        """Start a task; closing the client ends it."""
        task = self._make_task()
        self._register(task)
        task.start(work)
        if self._task is None or not self._task.is_active:
            self._task = task
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
            while (outcome := await task.outcomes.get()) is not None:
                item, take = outcome
                take()
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
        self._task = task  # holds the lock: no other task of this job is running
        if not again:
            await self._write_plan(task)
        await asyncio.to_thread(task.file.require)
        header = await journal.open()
        await self._check(header, again=again)
        run = Run(
            journal,
            _options_of(header),
            task.outcomes,
            self._call,
            self._limiter,
            self._limits,
            settle_seconds=SETTLE_SECONDS,
            canary=canary,
            wait=wait,
        )
        if (waiting := _still_waiting(header)) is not None:
            run.stop(waiting)
        task.begin(run)
        asked = await journal.begin_run(since, self._limits)
        self.begun = True
        if asked is not None:
            run.stop(requested_stop(asked))
        await run.send_all()

    async def _plan(self, task: JobTask) -> BulkPlan:
        journal = task.journal
        self._task = task  # holds the lock: no other task of this job is running
        await self._write_plan(task)
        asked = await journal.asked()
        stop = requested_stop("cancel") if asked == "cancel" else task.final_stop()
        if stop is not None and stop.state == "cancelled":
            await journal.end_run(stop)
        elif stop is not None and stop.state == "paused":
            await journal.note_request("pause")
        return await self._describe(journal)

    async def _write_plan(self, task: JobTask) -> None:
        """Write the plan to the journal, unless it is complete."""
        file, journal = task.file, task.journal
        if await asyncio.to_thread(file.exists):
            found = await asyncio.to_thread(file.header)
            if found.get("state", "planning") != "planning":
                await self._check_input(found)
                return
            if self._changes is None:
                raise _not_planned(found.get("id", self.path.name))
            # Planning was interrupted, so nothing was sent.
            await asyncio.to_thread(self._remove)
        if self._changes is None:
            await asyncio.to_thread(file.require)
        header = make_header(
            self._id,
            origin=self._origin,
            company=self._company,
            version=__version__,
            options=self._options or BulkOptions(),
        )
        try:
            await journal.create(header)
            digest = await write_plan(journal, self._changes or (), self._encode)
            await journal.seal(digest, self._options or BulkOptions())
            self._changes = None  # stored in the journal; the source may be exhausted
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
        return BulkPlan(
            items=status.total,
            to_send=status.left,
            skipped=status.skipped,
            organizers=organizers,
            check_requests=checks,
            forecast=forecast(
                status.left + checks, quota=await self._limiter.quota(), limits=self._limits
            ),
        )

    async def _check(self, header: dict[str, Any], *, again: bool) -> None:
        """Check that the journal belongs to this job, and that the job may run."""
        name = header.get("id", self.path.name)
        state = header.get("state", "planning")
        if state == "planning":
            raise _not_planned(name)
        if header["company"] != self._company:
            raise JournalError(
                f"job {name} was planned for another company or base URL ({header['origin']}); "
                "use the access key and base URL that it was planned with",
                reason="company",
            )
        if state == "cancelled":
            raise JournalError(f"job {name} was cancelled; create a new job", reason="state")
        if not again and state != "planned":
            raise JournalError(f"job {name} has run before; resume it", reason="state")
        options = _options_of(header)
        if self._options is not None and self._options != options:
            raise JournalError(f"job {name} was planned with other options", reason="input")
        if again:
            await self._check_input(header)

    async def _check_input(self, header: dict[str, Any]) -> None:
        """Check that the changes are those in the journal."""
        if self._changes is None:
            return
        if await digest_of(self._changes, self._encode) != header["input_digest"]:
            raise JournalError(
                f"job {header['id']} was planned for other changes; "
                "resume it without changes, or create a new job",
                reason="input",
            )

    def _remove(self, *more: str) -> None:
        if self.path.is_symlink():
            return  # rejected earlier, and not created by us
        for end in ("", "-wal", "-shm", *more):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)


async def _cancel(task: JobTask) -> None:
    header = await task.journal.open()
    if header.get("state") not in {"completed", "cancelled"}:
        await task.journal.end_run(requested_stop("cancel"))


def _options_of(header: dict[str, Any]) -> BulkOptions:
    return BulkOptions(**json.loads(header["options"]))


def _still_waiting(header: dict[str, Any]) -> Stop | None:
    """Return why the job still waits, if nothing may be sent yet."""
    wait = (header.get("not_before") or 0.0) - time.time()
    return Stop("waiting", header["reason"], wait, mandatory=True) if wait > 0 else None


def _not_planned(name: str) -> JournalError:
    problem = f"job {name} was not planned completely, and nothing was sent; create a new job"
    return JournalError(problem, reason="state")
