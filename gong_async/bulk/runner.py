"""One run of a bulk job: sends journal items, records outcomes, and stops gracefully."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Self

from attrs import define, evolve, field

from gong_async._wire import Call, Encoded
from gong_async.bulk.engine import Engine, EngineRun, cancel_and_wait
from gong_async.bulk.error_scope import (
    CircuitBreaker,
    Scope,
    Stop,
    requested_stop,
    scope_of,
    stop_for,
    was_refused,
)
from gong_async.bulk.planner import check_organizers, forecast
from gong_async.bulk.records import BulkItem, BulkOptions, ItemState, JobState
from gong_async.bulk.store.journal import Journal, PlannedItem
from gong_async.errors import (
    ConfigurationError,
    ConflictError,
    Delivery,
    GongError,
    JournalError,
    UsageError,
)
from gong_async.limits.limiter import Limiter
from gong_async.limits.types import Limits
from gong_async.models.meetings import UpdatedMeeting
from gong_async.resources.meetings import UPDATE, Meetings

_LOOK_SECONDS = 2.0
_STOPPED_LOOK_SECONDS = 20.0
_FORECAST_SECONDS = 15.0
_SHORT_WAIT = 300.0
"""Longest wait, in seconds, without `wait`: shorter than restarting the job."""
_DRAIN_STEP = 0.02


Outcomes = asyncio.Queue[tuple[BulkItem, Callable[[], None]] | None]
"""Durable outcomes, for a reader who may stop at any time; None after the last.

The reader calls the function when it takes the item. The run does not wait for the reader, but
begins no further items while too many wait to be taken.
"""


@define(eq=False)
class _ItemInFlight:
    """An update in flight."""

    item: PlannedItem
    task: asyncio.Task[object]
    sent: bool = False
    """Whether a request may be on the wire now."""
    last_error: GongError | None = None
    announced: bool = False
    """Whether its next request is in the journal, but not sent yet."""
    status: int | None = None
    """HTTP status of the response that `last_error` reports, if any."""
    released: bool = False
    """Whether it was cancelled because the job stops, before anything was on the wire."""

    @property
    def doubtful(self) -> bool:
        """Whether any request for the item may have been applied."""
        unknown = self.last_error is not None and self.last_error.outcome_unknown
        return bool(self.item.doubtful) or self.sent or unknown


@define(eq=False)
class _Ended:
    """The outcome of an item; `written` completes when it is durable."""

    record: BulkItem
    written: asyncio.Future[None]

    @property
    def is_unsettled(self) -> bool:
        """Whether a request of the item may still be applied."""
        record = self.record
        return record.state == "in_doubt" or (record.attempts > 1 and record.state != "pending")


class StopRequested(GongError):  # noqa: N818 - a signal to the run itself, never seen by callers
    """The job is stopping: this request is not sent."""


@define(eq=False)
class Run:
    """Sends the items of a journal, and records their outcomes in it."""

    journal: Journal
    options: BulkOptions
    outcomes: Outcomes
    call: Call
    limiter: Limiter
    limits: Limits
    settle_seconds: float
    canary: int | None = None
    wait: bool = False
    """Whether to wait without limit for quota and through outages."""
    stopped: Stop | None = field(default=None, init=False)
    failure: GongError | None = field(default=None, init=False)
    """The error that ended the run."""
    _breaker: CircuitBreaker = field(init=False)
    _calls: set[_ItemInFlight] = field(factory=set, init=False)
    _organizers: set[int] = field(factory=set, init=False)
    """Organizers whose items are skipped."""
    _held: set[str] = field(factory=set, init=False)
    """Meetings with an unsent earlier change; later ones must not overtake it."""
    _held_until: float = field(default=0.0, init=False)
    """Nothing may be sent before this time; seconds since the epoch."""
    _page: deque[PlannedItem] = field(factory=deque, init=False)
    _after: int = field(default=-1, init=False)
    """Index of the last item read; the next page begins after it."""
    _engine: Engine[PlannedItem, _Ended] = field(init=False)
    _engine_run: EngineRun[PlannedItem, _Ended] | None = field(default=None, init=False)
    _pulled: int = field(default=0, init=False)
    _ended: Counter[ItemState] = field(factory=Counter, init=False)
    """Items that ended in this run, durable or not."""
    _ending: Stop | None = field(default=None, init=False)
    """Why the source ended early; items pulled before are still sent."""
    _wakeup: asyncio.Event = field(factory=asyncio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._breaker = CircuitBreaker(self.options.max_failure_ratio)
        self._engine = Engine(
            source=self,
            operation=self._update,
            key=attrgetter("meeting_id"),
            attempts=attrgetter("record.attempts"),
            max_in_flight=self.options.max_in_flight,
            settle_seconds=self.settle_seconds,
            is_unsettled=attrgetter("is_unsettled"),
            settles_in=self._settles_in,
        )

    def __aiter__(self) -> Self:
        """Return the source of items for the engine.

        Not a generator: a closing event loop would close it while a worker is pulling.
        """
        return self

    async def send_all(self) -> None:
        """Send until nothing is left or the job stops; put durable outcomes into the queue."""
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                await self._pass()
                self.stopped = stop = self.stopped or self._ending
                if stop is None or stop.wait is None or self.failure is not None:
                    break
                if not self.wait and stop.wait > _SHORT_WAIT:
                    break
                if not await self._wait_to_resume(stop):
                    break
            if isinstance(self.failure, JournalError):
                raise self._with_counts(self.failure)
            if self.failure is not None:
                raise self.failure
        finally:
            await cancel_and_wait(watch)

    def stop(self, stop: Stop) -> None:
        """Start no further items."""
        if stop.mandatory and stop.wait is not None:
            self._held_until = time.time() + stop.wait
        if self.stopped is None or self.stopped.wait is not None or stop.state == "cancelled":
            self.stopped = stop
        self._wakeup.set()
        if self._engine_run is not None:
            self._engine_run.stop_waiting()

    def final_stop(self) -> Stop | None:
        """Return why the run ended, with the earliest time of the next request, if any."""
        wait = self._held_until - time.time()
        if self.stopped is None or self.stopped.wait is not None or wait <= 0:
            return self.stopped
        return evolve(self.stopped, wait=wait, mandatory=True)

    def _with_counts(self, error: JournalError) -> JournalError:
        """Add counts of sent items, which the journal may lack."""
        ended = self._ended
        counts = (
            f"{ended['succeeded']:,} succeeded, {ended['failed']:,} failed, "
            f"{ended['in_doubt']:,} in doubt"
        )
        problem = f"{error.message}. Sent in this run: {counts}"
        return JournalError(problem, reason=error.reason)

    async def _before_send(self, call: _ItemInFlight) -> None:
        """Record the intent of a request in the journal; the request may then be sent.

        Raises:
            JournalError: the intent cannot be written, so the request must not be sent.
        """
        if self.stopped is not None or call.item.organizer in self._organizers:
            raise StopRequested("the job stops", delivery=Delivery.NOT_SENT)
        call.announced = True
        await self.journal.intent(call.item)
        if self.stopped is not None:
            raise StopRequested("the job stops", delivery=Delivery.NOT_SENT)
        call.announced, call.sent = False, True

    def _after_attempt(
        self, call: _ItemInFlight, status: int | None, error: GongError | None
    ) -> None:
        """Record the outcome of an attempt; the item's row has that of the last."""
        if error is None and status is None:
            return  # cancelled: it may still arrive
        # After a success it stays in doubt until its result is processed.
        call.sent, call.last_error, call.status = error is None, error, status
        if error is not None:
            name = type(error).__name__
            self.journal.attempt_ended(call.item, status, error.request_id, name)

    async def _pass(self) -> None:
        """Send all pending items once."""
        self._held.clear()
        self._page.clear()
        self._after = -1
        if self.options.check_organizers:
            await self._check_organizers()
        run = self._engine_run = self._engine.begin()
        draining = asyncio.create_task(self._drain())
        try:
            while (outcome := await run.next()) is not None:
                ended = outcome.result
                shown = ended is not None and await self._written(ended)
                if shown and ended is not None and ended.record.state != "pending":
                    self.outcomes.put_nowait((ended.record, run.give_room))
                else:
                    run.give_room()
        finally:
            try:
                await run.close()
            finally:
                await cancel_and_wait(draining)

    async def _check_organizers(self) -> None:
        """Check organizers; stopping the job cancels the check."""
        asking = asyncio.create_task(
            check_organizers(
                self.journal,
                Meetings(self.call),
                may_go_on=lambda: self.stopped is None,
                next_wait=self._breaker.next_wait,
            )
        )
        wakeup = asyncio.create_task(self._wakeup.wait())
        try:
            await asyncio.wait([asking, wakeup], return_when=asyncio.FIRST_COMPLETED)
            stop = asking.result() if asking.done() else None
        finally:
            await cancel_and_wait(asking, wakeup)
        if stop is not None:
            self.stop(stop)

    async def __anext__(self) -> PlannedItem:
        """Return the next item to send; there are no more at the end or when the job stops."""
        while self.stopped is None:
            if not self._page:
                try:
                    page = await self.journal.page(
                        self._after, self.options, settle_seconds=self.settle_seconds
                    )
                except JournalError as error:
                    self._fail(error)
                    break
                if not page:
                    break
                self._page.extend(page)
                continue
            if self._pulled == self.canary:
                self._ending = Stop("paused", f"canary of {self.canary:,}")
                break
            item = self._page.popleft()
            self._after = item.index
            if item.organizer not in self._organizers:
                self._pulled += 1
                return item
        raise StopAsyncIteration

    async def _update(self, item: PlannedItem) -> _Ended:
        """Send one item, and queue its outcome for the journal.

        It does not wait for the write, which shares a commit with the next item's intent.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines run in tasks
        call = _ItemInFlight(item, task)
        self._calls.add(call)
        error: GongError | None = None
        try:
            record = await self._send(call)
        except GongError as failed:
            error = failed
            self._withdraw(call)
            record = _failed(call, failed)
        except asyncio.CancelledError:
            self._withdraw(call)
            record = _record(item, "in_doubt" if call.doubtful else "pending")
            if not call.released or task.uncancel():
                self._ended[record.state] += 1
                self.journal.end(item, record)
                raise
        finally:
            self._calls.remove(call)
        if self.options.keep_order and record.state == "pending":
            self._held.add(item.meeting_id)
        self._ended[record.state] += 1
        ended = _Ended(record, self.journal.end(item, record))
        if error is not None:
            try:
                await self._handle_error(item, error)
            except JournalError as failed:
                self._fail(failed)
        return ended

    def _withdraw(self, call: _ItemInFlight) -> None:
        """Take back the intent of a request that was held back."""
        if call.announced:
            call.announced = False
            self.journal.withdraw(call.item)

    async def _written(self, ended: _Ended) -> bool:
        """Wait until an outcome is durable; return False if it cannot be written."""
        try:
            await ended.written
        except JournalError as error:
            self._fail(error)
            return False
        return True

    def _settles_in(self, item: PlannedItem) -> float:
        """Return for how many seconds an update by another job may still be applied."""
        if item.settles_at is None:
            return 0.0
        return min(self.settle_seconds, item.settles_at - time.time())

    async def _send(self, call: _ItemInFlight) -> BulkItem:
        item = call.item
        stops = self.stopped is not None or item.organizer in self._organizers
        if stops or item.meeting_id in self._held:
            raise StopRequested("the job stops", delivery=Delivery.NOT_SENT)
        result = await self._request(call)
        self._breaker.note(None)
        return BulkItem(
            index=item.index,
            line=item.line,
            meeting_id=item.meeting_id,
            state="succeeded",
            attempts=item.attempts,
            status=result.meta.status,
            request_id=result.request_id,
            seconds_waited=result.meta.seconds_waited,
            seconds_on_wire=result.meta.seconds_on_wire,
        )

    async def _request(self, call: _ItemInFlight) -> UpdatedMeeting:
        """Replace a meeting; the journal records each request before it is sent, and its end."""
        return await self.call(
            UPDATE,
            path={"meetingId": call.item.meeting_id},
            body=Encoded(call.item.body),
            before_send=partial(self._before_send, call),
            after_attempt=partial(self._after_attempt, call),
        )

    async def _handle_error(self, item: PlannedItem, error: GongError) -> None:
        """Stop the items that the error also affects."""
        if isinstance(error, StopRequested):
            return
        if isinstance(error, JournalError | UsageError | ConfigurationError):
            self._fail(error)
            return
        self._breaker.note(error)
        if (stop := stop_for(error)) is not None:
            self.stop(stop)
        elif scope_of(error) is Scope.ORGANIZER:
            await self._skip_organizer(item.organizer, error)
        elif self.stopped is None and (wait := self._breaker.outage()) is not None:
            self.stop(Stop("waiting", f"no usable answer from Gong: {error.message}", wait))
        elif self._breaker.fails:
            self.stop(Stop("paused", f"too many of the last updates failed: {error.message}"))

    def _fail(self, error: GongError) -> None:
        self.failure = self.failure or error
        state: JobState = "paused" if isinstance(error, ConfigurationError) else "interrupted"
        self.stop(Stop(state, error.message))

    async def _skip_organizer(self, organizer: int, error: GongError) -> None:
        if organizer in self._organizers:
            return
        self._organizers.add(organizer)
        problem = "; ".join(error.errors) or error.message
        fix_url = error.fix_url if isinstance(error, ConflictError) else None
        await self.journal.note_organizers({organizer: (problem, fix_url)}, requests=0)

    async def _drain(self) -> None:
        """When the job stops, finish requests on the wire and cancel the others."""
        while self.stopped is None:
            await self._wakeup.wait()
            self._wakeup.clear()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.options.drain_seconds
        while True:
            for call in list(self._calls):
                if not call.released and (not call.sent or loop.time() >= give_up):
                    call.released = True
                    call.task.cancel()
            await asyncio.sleep(_DRAIN_STEP)

    async def _wait_to_resume(self, stop: Stop) -> bool:
        """Wait until the job can resume; return False if it is stopped meanwhile."""
        await self.journal.note_waiting(stop)
        self._wakeup.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(stop.wait):
                while self.stopped is stop:
                    await self._wakeup.wait()
                    self._wakeup.clear()
        if self.stopped is not stop:
            return False
        self.stopped = None
        await self.journal.note_waiting(None)
        return True

    async def _watch(self) -> None:
        """Poll for requests of other processes, and update the forecast."""
        loop = asyncio.get_running_loop()
        forecast_at = loop.time()
        try:
            while True:
                finishes_at = None
                if self.stopped is None and loop.time() >= forecast_at:
                    forecast_at = loop.time() + _FORECAST_SECONDS
                    finishes_at = await self._update_forecast()
                asked = await self.journal.note_progress(finishes_at)
                if asked is not None:
                    self.stop(requested_stop(asked))
                stopped = self.stopped is not None
                await asyncio.sleep(_STOPPED_LOOK_SECONDS if stopped else _LOOK_SECONDS)
        except GongError as error:
            self._fail(error)

    async def _update_forecast(self) -> datetime | None:
        left = await self.journal.left()
        quota = await self.limiter.quota()
        return forecast(left, quota=quota, limits=self.limits).finishes_at


def _record(item: PlannedItem, state: ItemState) -> BulkItem:
    return BulkItem(
        index=item.index,
        line=item.line,
        meeting_id=item.meeting_id,
        state=state,
        attempts=item.attempts,
    )


def _failed(call: _ItemInFlight, error: GongError) -> BulkItem:
    """Return what an error leaves of an item."""
    item = call.item
    if isinstance(error, StopRequested):
        return _record(item, "in_doubt" if call.doubtful else "pending")
    doubtful = item.doubtful or error.outcome_unknown
    answered = call.status if error is call.last_error else None
    state: ItemState = "failed" if was_refused(error, answered) else "pending"
    return evolve(
        _record(item, "in_doubt" if doubtful else state),
        status=error.status,
        request_id=error.request_id,
        error=type(error).__name__,
        message=error.message,
        errors=error.errors,
        fix_url=getattr(error, "fix_url", None),
        cause=error,
    )
