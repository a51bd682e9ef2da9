"""One run of a job on the command line: reads items, shows progress, handles signals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from attrs import define, field

from gong_async._client import GongClient
from gong_async.bulk.job import BulkJob
from gong_async.bulk.records import BulkItem
from gong_async.cli.bulk.progress import ProgressDisplay
from gong_async.cli.bulk.snapshot import RateMeter
from gong_async.errors import GongError

_SHOW_SECONDS = 1.0
_ASK_SECONDS = 0.5
_DRAINING = "stopping: waiting for updates in flight; a second signal stops at once"


@define(eq=False, kw_only=True)
class Driver:
    """Reads a job's items to the end. The first signal pauses the job, the second aborts it."""

    job: BulkJob
    gong: GongClient
    display: ProgressDisplay
    warn: Callable[[str], None]
    _rate_meter: RateMeter = field(factory=RateMeter, init=False)
    _pausing: asyncio.Task[None] | None = field(default=None, init=False)
    _reading: asyncio.Task[None] | None = field(default=None, init=False)
    _cut: bool = field(default=False, init=False)

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
        if not (self._cut and reading.cancelled()):
            await reading

    def interrupt(self) -> None:
        """Pause the job; the second time, abort it."""
        if self._pausing is None:
            self._pausing = asyncio.create_task(self._pause())
            self.warn(_DRAINING)
            return
        self._cut = True
        if self._reading is not None:
            self._reading.cancel()

    def hang_up(self) -> None:
        """Pause the job; a closed terminal never counts as the second signal."""
        if self._pausing is None:
            self.interrupt()

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
        if self._cut:
            return
        async with aclosing(items):
            async for _ in items:
                pass
