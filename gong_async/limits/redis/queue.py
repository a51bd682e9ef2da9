"""The queue of one event loop that gets its permits from Redis."""

from __future__ import annotations

import asyncio
import json
import random
import time

from attrs import Factory, define, evolve, field

from gong_async.limits.adaptive_rate import AdaptiveRate
from gong_async.limits.day import DayRule
from gong_async.limits.load import NO_LOAD, Heartbeat, Report
from gong_async.limits.queue import Queue
from gong_async.limits.redis.connection import RedisLinks
from gong_async.limits.redis.script import KnownDay, Reply, read_rate
from gong_async.limits.state import LimiterState
from gong_async.limits.types import PermitOutcome, Priority, Quota

_LONGEST_LOCAL_SLEEP = 3.0
_TRIES_TO_LEARN = 4


def _mirror(queue: RedisQueue) -> LimiterState:
    return LimiterState(queue.limits, day=KnownDay(DayRule(queue.limits.day_resets)))


def _offset(queue: RedisQueue) -> float:
    return time.time() - queue.loop.time()


def _heartbeat(queue: RedisQueue) -> Heartbeat:
    return Heartbeat(queue, queue.report, queue.now, queue.publish)


@define(eq=False)
class RedisQueue(Queue):
    """Gets slots from the Lua script; enforces a fraction of the limits while Redis is down."""

    links: RedisLinks
    keys: list[str]
    """The company's keys in Redis."""
    expected_processes: int
    """How many processes share the limits while Redis is unreachable."""
    report: Report = field(factory=Report, init=False)
    """The loop's load; the report's name identifies the loop in Redis."""
    state: LimiterState = field(init=False, default=Factory(_mirror, takes_self=True))
    """The state that Redis last returned. Both its clocks are that of the Redis server."""
    local: LimiterState | None = field(default=None, init=False)
    """The state in force while Redis is unreachable."""
    offset: float = field(init=False, default=Factory(_offset, takes_self=True))
    """Added to the loop's time it is the Redis server's time."""
    version: int = field(default=0, init=False)
    _offset_error: float = field(default=float("inf"), init=False)
    """Seconds that the offset may be wrong: half the round trip of the fastest reply."""
    _accepted: int = field(default=0, init=False)
    _uncounted: int = field(default=0, init=False)
    _probe_result: str = field(default="", init=False)
    _heartbeat: Heartbeat = field(default=Factory(_heartbeat, takes_self=True), init=False)

    def now(self) -> float:
        """Return the loop's time."""
        return self.loop.time()

    def acquire_nowait(self, now: float, priority: Priority, max_wait: float) -> None:
        """Raise at once the errors that waiting could only delay."""
        now += self.offset
        (self.local or self.state).check(now, now, priority, max_wait)

    def server_now(self) -> float:
        """Return the estimated time of the Redis server."""
        return self.loop.time() + self.offset

    async def ask(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        """Take the next permit: 0 and whether it is a probe; or the seconds until the next try."""
        self._heartbeat.count()
        # The script counts what it grants, so its reply must not be lost with a cancelled call.
        asking = self.loop.create_task(self._run("ask", priority))
        try:
            reply = await asyncio.shield(asking)
            if reply is not None and reply.granted:
                await asyncio.sleep(reply.now + reply.wait - self.server_now())
                return 0.0, reply.state == "probe"
        except asyncio.CancelledError:
            self.links.here.later(self._undo(asking))
            raise
        if reply is None:
            return self._ask_local(priority, max_wait)
        self.state.check(reply.now, reply.now, priority, max_wait)
        return max(reply.wait, 0.001), False

    def undo(self, *, probes: bool) -> None:
        """Take back a permit whose request was not sent."""
        self.links.here.later(self._take_back(probes=probes))

    async def settle(self, outcome: PermitOutcome) -> None:
        """Record how a permit was used; a 429 is sent to Redis at once."""
        sent_at = outcome.sent_at + self.offset
        if self.local is not None:
            self.local.settle(self.server_now(), evolve(outcome, sent_at=sent_at))
            if outcome.probed or outcome.pause is not None:
                self.wake()
        elif outcome.accepted and outcome.pause is None:
            rate = self.state.rate
            self._accepted += rate is not None and sent_at >= (rate.changed_at or sent_at)
        if outcome.probed:
            self._probe_result = "1" if outcome.accepted else "0"
        if outcome.pause is not None:
            self._pause(outcome.pause)
            await asyncio.shield(self.links.here.later(self._publish_429(outcome.pause, sent_at)))
        elif outcome.probed:
            await asyncio.shield(self.links.here.later(self._look()))

    async def quota(self) -> Quota:
        """Return the usage of the limits and the load: of this loop only while Redis is down."""
        # redis-py loses a cancellation that comes while it sends.
        reply = await asyncio.shield(self.links.here.later(self._run("look")))
        now, others = self.server_now(), NO_LOAD if reply is None else reply.others
        return (self.local or self.state).quota(now, now, self.load + others)

    def publish(self) -> None:
        """Publish the load of this loop."""
        link = self.links.open_here
        if link is None:
            # The store was closed, and is not opened for this: the last report expires.
            self.report.take(self.now())
            return
        link.later(self._run("look"))

    async def _run(self, action: str, priority: Priority = "bulk", *more: str) -> Reply | None:
        """Run the script and apply its reply; None while Redis is unreachable."""
        limits, state = self.limits, self.state
        state.limits = limits
        epoch = "" if state.rate is None else _epoch(state.rate)
        sent = (self._accepted, self._uncounted, self._probe_result)
        self._accepted, self._uncounted, self._probe_result = 0, 0, ""
        load = self.report.take(self.now())
        rule = DayRule(limits.day_resets)
        args = [
            action,
            self.report.name,
            priority,
            repr(state.rate.interval if state.rate else 0.0),
            repr(limits.per_second),
            str(-1 if limits.per_day is None else limits.per_day),
            str(limits.reserve),
            repr(limits.reserved_share),
            "" if rule.resets is None else f"{rule.gone(self.server_now()):.6f}",
            str(self.version),
            str(sent[0]),
            epoch,
            str(sent[1]),
            sent[2],
            f"{state.paused_until or 0:.6f}",
            "" if load is None else f"{load.interactive} {load.bulk} {load.in_flight}",
            *more,
        ]
        before = self.loop.time()
        answer = await self.links.here.run(self.keys, args)
        if answer is None:
            # Sent again with the next run. Losing accepted calls is harmless: more will come.
            self._uncounted += sent[1]
            self._probe_result = self._probe_result or sent[2]
            return None
        reply = Reply.read(answer)
        self._set_clock(reply.now, before, self.loop.time())
        self._note(reply)
        if reply.learn_now and limits.learns:
            self.links.here.later(self._learn_accepted(reply.accepted))
        return reply

    def _set_clock(self, reported: float, sent: float, received: float) -> None:
        """Estimate the server's time from the fastest replies, or when its clock has jumped."""
        error, offset = (received - sent) / 2, reported - (sent + received) / 2
        if error <= self._offset_error or abs(offset - self.offset) > error + self._offset_error:
            self.offset, self._offset_error = offset, error
        self._offset_error += 0.02 * error  # clocks drift: an estimate does not stay exact

    def _note(self, reply: Reply) -> None:
        state = self.state
        self.local = None
        state.paused_until = reply.paused_until or None
        state.day = KnownDay(DayRule(self.limits.day_resets), reply.used, reply.oldest)
        if (
            reply.rate
            and (rate := read_rate(reply.rate))
            and rate.ceiling == state.limits.per_second
        ):
            if state.rate is None or rate.changed_at != state.rate.changed_at:
                self._accepted = 0
            state.rate, self.version = rate, reply.version
        elif not reply.version and self.version:
            self.version = 0  # Redis has lost its keys: restore the rate from this process
            self.links.here.later(self._learn_accepted(0))
        else:
            self.version = reply.version

    def _pause(self, pause: float) -> None:
        until, known = self.server_now() + pause, self.state.paused_until
        self.state.paused_until = until if known is None else max(known, until)

    async def _look(self) -> None:
        await self._run("look")
        self.wake()

    async def _undo(self, asking: asyncio.Task[Reply | None]) -> None:
        reply = await asking
        if reply is not None and reply.granted:
            await self._take_back(probes=reply.state == "probe")

    async def _take_back(self, *, probes: bool) -> None:
        await self._run("undo", "bulk", "1" if probes else "")
        self.wake()

    async def _publish_429(self, pause: float, sent_at: float) -> None:
        reply = await self._run("refuse", "bulk", repr(pause))
        self.wake()
        for _ in range(_TRIES_TO_LEARN):
            if reply is None or self.state.rate is None or not self.limits.learns:
                return
            rate = AdaptiveRate.restored(self.state.rate.snapshot())
            if reply.accepted:
                rate.accepted(reply.now, reply.now, reply.accepted)
            rate.throttled(reply.now, sent_at)
            reply = await self._learn(rate, reply.accepted)
            if reply is not None and reply.state == "ok":
                return

    async def _learn_accepted(self, accepted: int) -> None:
        """Feed the accepted calls of all processes into the rate."""
        if self.state.rate is None:
            return
        rate = AdaptiveRate.restored(self.state.rate.snapshot())
        if accepted:
            now = self.server_now()
            rate.accepted(now, now, accepted)
        await self._learn(rate, accepted)

    async def _learn(self, rate: AdaptiveRate, accepted: int) -> Reply | None:
        snapshot = json.dumps(rate.snapshot())
        learned = (snapshot, repr(rate.interval), _epoch(rate), str(accepted))
        reply = await self._run("learn", "bulk", *learned)
        if reply is not None and reply.state == "ok" and reply.version >= self.version:
            self.state.rate, self.version = rate, reply.version
        return reply

    def _ask_local(self, priority: Priority, max_wait: float) -> tuple[float, bool]:
        now = self.server_now()
        state = self.local = self.local or self._make_local(now)
        if wait := state.wait(now, now, priority, max_wait):
            return min(wait, _LONGEST_LOCAL_SLEEP), False
        self._uncounted += 1
        return 0.0, state.take(now, now, priority)

    def _make_local(self, now: float) -> LimiterState:
        """Return the state for a process without Redis: a fraction of the rate and of the day."""
        limits, processes = self.limits, self.expected_processes
        if limits.per_second is not None:
            limits = evolve(limits, per_second=limits.per_second / processes)
        known = self.state.day
        reported = known.reported if isinstance(known, KnownDay) else 0
        oldest = known.oldest if isinstance(known, KnownDay) else 0.0
        day = KnownDay(DayRule(limits.day_resets), reported, oldest, processes=processes)
        state = LimiterState(limits, day=day, paused_until=self.state.paused_until)
        if state.rate is not None:
            # All processes lose Redis at the same moment, and must not all start at once.
            state.next_slot = now + random.random() * state.rate.interval  # noqa: S311
        return state


def _epoch(rate: AdaptiveRate) -> str:
    """Identify the time since the rate changed: earlier calls say nothing about it."""
    return "" if rate.changed_at is None else repr(rate.changed_at)
