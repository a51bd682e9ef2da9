"""Runs a job on the command line: progress, signals, and the summary at the end."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from attrs import define, field, frozen

from gong_async._client import GongClient
from gong_async.bulk.job import BulkJob
from gong_async.bulk.records import BulkItem
from gong_async.bulk.store.job_file import JobFile
from gong_async.cli.bulk.progress import ProgressDisplay, make_progress
from gong_async.cli.bulk.summary import Summary
from gong_async.cli.bulk.wording import RateMeter
from gong_async.cli.client import connect, given
from gong_async.cli.diagnostics import Diagnostics, Exit
from gong_async.cli.failures import explain_failure
from gong_async.cli.interrupts import interrupts
from gong_async.errors import GongError, JournalError
from gong_async.limits.types import Limits

_SHOW_SECONDS = 1.0
_ASK_SECONDS = 0.5
_DRAINING = "stopping: waiting for updates in flight; the same signal again stops at once"


@define(eq=False, kw_only=True)
class Driver:
    """Reads a job's items to the end. A signal pauses the job, a repeat of it aborts it."""

    job: BulkJob
    gong: GongClient
    display: ProgressDisplay
    warn: Callable[[str], None]
    _rate_meter: RateMeter = field(factory=RateMeter, init=False)
    _pausing: asyncio.Task[None] | None = field(default=None, init=False)
    _reading: asyncio.Task[None] | None = field(default=None, init=False)
    _aborted: bool = field(default=False, init=False)

    async def drive(self, items: AsyncGenerator[BulkItem, None]) -> None:
        """Run until there are no more items, or the job is stopped.

        Raises:
            GongError: as the job itself does.
        """
        self._reading = reading = asyncio.create_task(self._read(items))
        showing = asyncio.create_task(self._show_on())
        try:
            await asyncio.wait([reading])
        finally:
            tasks = [task for task in (reading, showing, self._pausing) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._show()
        if not (self._aborted and reading.cancelled()):
            await reading

    def interrupt(self) -> None:
        """Pause the job."""
        if self._pausing is None:
            self._pausing = asyncio.create_task(self._pause())
            self.warn(_DRAINING)

    def abort(self) -> None:
        """Stop reading items; updates in flight are in doubt."""
        self._aborted = True
        if self._reading is not None:
            self._reading.cancel()

    async def _pause(self) -> None:
        """Pause the job, repeatedly: a run that is just starting ignores it."""
        while True:
            with suppress(GongError):
                await self.job.pause()
            await asyncio.sleep(_ASK_SECONDS)

    async def _show_on(self) -> None:
        while True:
            await self._show()
            await asyncio.sleep(_SHOW_SECONDS)

    async def _show(self) -> None:
        # The run reports errors of its files; a terminal may be gone.
        with suppress(GongError, OSError):
            status, quota = await self.job.status(), await self.gong.quota()
            snapshot = self._rate_meter.read(status, time.monotonic(), left_today=quota.left_today)
            self.display.show(snapshot)

    async def _read(self, items: AsyncGenerator[BulkItem, None]) -> None:
        if self._aborted:
            return
        async with aclosing(items):
            async for _ in items:
                pass


Start = Callable[[GongClient], Coroutine[Any, Any, BulkJob]]
Send = Callable[..., AsyncGenerator[BulkItem, None]]


@frozen(kw_only=True)
class Session:
    """A client, and the options of a run."""

    diagnostics: Diagnostics
    gong: GongClient
    canary: int | None
    wait: bool
    progress: bool
    options: str
    """Options that a later command needs again."""

    @classmethod
    def of(
        cls,
        diagnostics: Diagnostics,
        /,
        *,
        canary: int | None,
        wait: bool,
        progress: bool,
        base_url: str | None,
        timeout: float | None,
        **limits: float | None,
    ) -> Session:
        """Build a session from the options of a command."""
        known = given(**limits, base_url=base_url, timeout=timeout)
        words = [
            f" --{option.replace('_', '-')} {_word(known[option])}" for option in sorted(known)
        ]
        return cls(
            diagnostics=diagnostics,
            gong=connect(
                limits=Limits(**given(**limits)), **given(base_url=base_url, timeout=timeout)
            ),
            canary=canary,
            wait=wait,
            progress=progress,
            options="".join([*words, " --wait" if wait else ""]),
        )

    def run(self, start: Start, send: Send) -> Exit:
        """Drive a job until it stops, and print its summary."""
        job, lost = asyncio.run(self._drive(start, send))
        if lost:
            return Exit.FAILED  # the file at the path does not record what was sent
        try:
            summary = Summary.of(JobFile(job.path), options=self.options)
        except JournalError as error:
            if not job.begun:
                raise
            # Updates were sent; the journal can be read once the disk has room again.
            explain_failure(error, self.diagnostics)
            return Exit.RESUMABLE
        self.diagnostics.note("report", summary.lines(), **summary.facts())
        return summary.exit

    async def _drive(self, start: Start, send: Send) -> tuple[BulkJob, bool]:
        """Return the job, and whether its journal was lost while it ran."""
        driver: Driver | None = None
        missed = False  # whether a signal came between the start and its driver

        def interrupted() -> None:
            nonlocal missed
            if driver is None:
                missed = not starting.cancel()
            else:
                driver.interrupt()

        def repeated() -> None:
            if driver is None:
                interrupted()
            else:
                driver.abort()

        async with self.gong as gong:
            starting = asyncio.ensure_future(start(gong))
            with interrupts(interrupted, repeated=repeated):
                await asyncio.wait([starting])
                if starting.cancelled():
                    raise KeyboardInterrupt
                job = starting.result()
                driver = self._driver(job)
                if missed:
                    driver.interrupt()
                items = send(job, canary=self.canary, wait=self.wait)
                lost = await self._send(driver, items)
            return job, lost

    def _driver(self, job: BulkJob) -> Driver:
        return Driver(
            job=job,
            gong=self.gong,
            display=make_progress(self.diagnostics, wanted=self.progress),
            warn=lambda text: self.diagnostics.note("stopping", text),
        )

    async def _send(self, driver: Driver, items: AsyncGenerator[BulkItem, None]) -> bool:
        """Read the items to the end; return whether the journal was lost meanwhile."""
        display = driver.display
        write, self.diagnostics.write = self.diagnostics.write, display.say
        try:
            await driver.drive(items)
        except GongError as error:
            if not driver.job.begun:
                raise
            # The exit code depends on the job, which has begun and can be resumed.
            explain_failure(error, self.diagnostics)
            return isinstance(error, JournalError) and error.reason == "missing"
        finally:
            with suppress(OSError):  # the terminal may be gone
                display.close()
            self.diagnostics.write = write
        return False


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else shlex.quote(str(value))
