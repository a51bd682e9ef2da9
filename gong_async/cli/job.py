"""One bulk run: rows in, records out, and an orderly end whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime

from attrs import define, field

from gong_async import Change, GongClient, GongError, MeetingChange, Outcome, UpdatedMeeting
from gong_async.bulk.report import Report, State, state_of
from gong_async.cli.calls import Calls
from gong_async.cli.interrupts import interrupts
from gong_async.cli.outcomes import Row, record
from gong_async.cli.progress import Progress
from gong_async.cli.trouble import Trouble

_REDRAW_SECONDS = 1.0
_DRAINING = "stopping: no further rows are begun; once more stops at once"
_CUT_OFF = "stopped while its request was under way"


@define(eq=False, kw_only=True)
class Job:
    """Runs rows through a client."""

    rows: Sequence[Row]
    calls: Calls
    """A hook of that client."""
    write: Callable[[str], None]
    """Takes each record; what it raises as OSError ends the run in order."""
    progress: Progress
    trouble: Trouble
    warn: Callable[[str], None]
    report: Report = field(factory=Report, init=False)
    stopped: str | None = field(default=None, init=False)
    """Why no further rows were begun, if not all were."""
    retry_at: datetime | None = field(default=None, init=False)
    """When the run can go on, if anybody said so."""
    error: GongError | None = field(default=None, init=False)
    """The trouble that stopped the run, if trouble did."""
    unwritten: int = field(default=0, init=False)
    """Records that could not be written."""
    _halted: bool = field(default=False, init=False)
    _began: float = field(factory=time.monotonic, init=False)
    _open: dict[int, None] = field(factory=dict, init=False)
    _pulled: int = field(default=0, init=False)

    async def run(self, client: GongClient) -> None:
        """Send the rows until they have all come to an end, or something stops the run."""
        self.report = Report(total=len(self.rows))
        self._began = time.monotonic()
        sending = asyncio.create_task(self._send(client))
        ticking = asyncio.create_task(self._tick())
        try:
            with interrupts(lambda: self._interrupted(sending)):
                await asyncio.wait([sending])
        finally:
            for task in (sending, ticking):
                task.cancel()
            await asyncio.wait([sending, ticking])
        if not sending.cancelled():
            sending.result()
        elif not self._halted:
            raise asyncio.CancelledError
        self._leave()
        self.progress.show(self.report)

    def stop(self, reason: str) -> None:
        """Begin no further rows."""
        if self.stopped is None:
            self.stopped = reason

    def _interrupted(self, sending: asyncio.Task[None]) -> None:
        if self.stopped is None:
            self.warn(_DRAINING)
            self.stop("by a signal")
            return
        self._halted = True
        sending.cancel()

    async def _send(self, client: GongClient) -> None:
        async with aclosing(client.update_many(self._source())) as outcomes:
            async for outcome in outcomes:
                self._take(outcome)

    async def _tick(self) -> None:
        while True:
            self.report = self.report.at(self._seconds())
            self.progress.show(self.report)
            await asyncio.sleep(_REDRAW_SECONDS)

    def _source(self) -> Iterator[MeetingChange]:
        for place, row in enumerate(self.rows):
            if self.stopped is not None:
                return
            self._open[place] = None
            self._pulled = place + 1
            yield row.change

    def _take(self, outcome: Outcome[Change, UpdatedMeeting]) -> None:
        row = self.rows[outcome.index]
        del self._open[outcome.index]
        self.calls.forget(row.change.meeting_id)
        self.report = self.report.count(outcome, seconds=self._seconds())
        self._write(record(row, state_of(outcome), outcome=outcome))
        error = self.trouble.look(outcome, row.change.meeting_id)
        if error is not None and self.error is None:
            self.error = error
            self.retry_at = getattr(error, "retry_at", None) or getattr(error, "reset_at", None)
            self.stop(error.message)
        self.progress.show(self.report)

    def _leave(self) -> None:
        """Record the rows that have no outcome: cut off, or never begun."""
        for place in self._open:
            row = self.rows[place]
            reach = self.calls.forget(row.change.meeting_id)
            if reach.may_have_applied:
                self._end(row, "in_doubt", _CUT_OFF, reach.attempts)
            else:
                self._end(row, "not_sent", self.stopped, reach.attempts)
        for row in self.rows[self._pulled :]:
            self._end(row, "not_sent", self.stopped)
        self.report = self.report.at(self._seconds())

    def _end(self, row: Row, state: State, message: str | None, attempts: int = 0) -> None:
        self.report = self.report.add(state)
        retry_at = self.retry_at and self.retry_at.isoformat(timespec="seconds")
        more = {"message": message, "attempts": attempts, "retry_at": retry_at}
        self._write(record(row, state, more=more))

    def _write(self, line: str) -> None:
        if self.unwritten:
            self.unwritten += 1
            return
        try:
            self.write(line)
        except OSError as error:
            self.unwritten = 1
            self.stop(f"the outcomes cannot be written: {error.strerror or type(error).__name__}")

    def _seconds(self) -> float:
        return time.monotonic() - self._began
