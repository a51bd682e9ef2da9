"""The server's side, in a process of its own: what it received and applied outlives every victim.

Reads orders as lines of JSON, and answers each with a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
from contextlib import closing, suppress
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from attrs import define

from crash.evidence import Applied, Request
from gong_async.testing import FakeGong, Fault
from gong_async.testing.connections import Connections
from gong_async.testing.recording import ReceivedRequest

_ANNOUNCED = (
    "SELECT count(*) FROM attempt "
    "WHERE item_index IN (SELECT item_index FROM item WHERE meeting_id = ?)"
)

FAULTS: dict[str, tuple[Fault, float]] = {
    "drop_before": (Fault.drop_before(), 0.015),
    "drop_after": (Fault.drop_after(), 0.03),
    "reset_before": (Fault.reset_before(), 0.01),
    "reset_after": (Fault.reset_after(), 0.02),
    "500": (Fault.status(500), 0.015),
    "500, applied": (Fault.status(500, apply=True), 0.015),
    "502 as a page": (Fault.html(502), 0.005),
    "504, applied late": (Fault.applied_late(0.2), 0.003),
    "silent, applied": (Fault.stall(None, apply=True), 0.004),
    "silent": (Fault.stall(None), 0.004),
    "late": (Fault.stall(0.8), 0.004),
    "cut": (Fault.truncate(10), 0.01),
    "wrong id": (Fault.wrong_id(), 0.004),
    "refused": (Fault.rate_limited("1"), 0.0),
    "slow": (Fault.latency(0.03), 0.2),
}
"""What goes wrong with updates, and how often."""


@define(eq=False, kw_only=True)
class _Times:
    """When each request was over, and what the journal said when it came."""

    ended: dict[int, float]
    lost: set[int]
    announced: dict[int, tuple[int | None, int]]
    on: dict[int, set[int]]
    """Requests in flight, by connection."""
    count: dict[str, int]


class Oracle:
    """A fake with faults, and the record of one job."""

    def __init__(self) -> None:
        self.fake: FakeGong | None = None
        self.journal = ""
        self.times = _Times(ended={}, lost=set(), announced={}, on={}, count={})

    async def open(self, given: dict[str, Any]) -> dict[str, Any]:
        """Begin with a new job."""
        await self.close()
        chance = random.Random(given["seed"])
        self.fake = fake = FakeGong(
            per_second=None,
            per_day=None,
            access_key=given["key"],
            access_key_secret=given["secret"],
            latency=lambda: chance.uniform(0.001, 0.006),
            seed=given["seed"],
        )
        self.journal = given["journal"]
        self.times = _Times(ended={}, lost=set(), announced={}, on={}, count={})
        fake.missing_meetings.update(given["missing"])
        for email in given["barred"]:
            fake.add_user(email, valid=False, user_facing_error="The calendar is gone.")
        usual = {name: share for name, (_, share) in FAULTS.items()}
        for name, share in (usual if given["faults"] is None else given["faults"]).items():
            fault, _ = FAULTS[name]
            fake.script(fault, on="updateMeeting", share=share, times=None)
        self._listen(fake)
        await fake.start()
        return {"url": fake.url}

    async def calm(self) -> dict[str, Any]:
        """Let nothing go wrong from now on."""
        assert self.fake is not None
        self.fake.clear_script()
        return {}

    async def dump(self) -> dict[str, Any]:
        """Yield what was received and applied."""
        fake, times = self.fake, self.times
        assert fake is not None
        requests = []
        for seen in fake.received:
            announced, expected = times.announced.get(seen.index, (None, 0))
            request = Request(
                index=seen.index,
                life=int(seen.headers["user-agent"].rpartition("/")[2]),
                operation=seen.operation,
                meeting_id=seen.meeting_id,
                connection=seen.connection,
                at=seen.at,
                ended=times.ended.get(seen.index),
                lost=seen.index in times.lost,
                status=seen.status,
                fault=seen.fault,
                sha=sha256(seen.body).hexdigest(),
                announced=announced,
                expected=expected,
            )
            requests.append(asdict(request))
        applied = [
            asdict(Applied(done.request, done.meeting_id, done.sha256, dict(done.body), done.at))
            for done in fake.applied
        ]
        return {"requests": requests, "applied": applied}

    async def close(self) -> dict[str, Any]:
        """Close the port."""
        fake, self.fake = self.fake, None
        if fake is not None:
            await fake.close()
        return {}

    def _listen(self, fake: FakeGong) -> None:
        """Note what the fake's own record has no room for."""
        recording, times, clock = fake._recording, self.times, asyncio.get_running_loop().time
        arrived, finished = recording.arrived, recording.finished

        def on_arrival(request: ReceivedRequest) -> None:
            arrived(request)
            times.on.setdefault(request.connection, set()).add(request.index)
            if request.operation == "updateMeeting" and request.meeting_id:
                count = times.count.get(request.meeting_id, 0) + 1
                times.count[request.meeting_id] = count
                times.announced[request.index] = (self._announced(request.meeting_id), count)

        def on_end(request: ReceivedRequest, status: int | None) -> None:
            finished(request, status)
            times.on.get(request.connection, set()).discard(request.index)
            times.ended.setdefault(request.index, clock())

        class Watched(Connections):
            def lost(self, protocol: Any) -> None:
                connection = self._open.get(protocol)
                super().lost(protocol)
                for index in times.on.pop(connection.number, ()) if connection else ():
                    times.lost.add(index)
                    times.ended.setdefault(index, clock())

        recording.arrived = on_arrival  # type: ignore[method-assign]
        recording.finished = on_end  # type: ignore[method-assign]
        fake._connections = fake._handler.connections = Watched()

    def _announced(self, meeting_id: str) -> int | None:
        """Count the attempts that the journal holds at this moment, for everybody to see."""
        with suppress(sqlite3.Error):
            uri = f"file:{self.journal}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=1)) as journal:
                return int(journal.execute(_ANNOUNCED, (meeting_id,)).fetchone()[0])
        return None


async def serve() -> None:
    """Carry out orders until there are no more."""
    oracle, loop = Oracle(), asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order, given = json.loads(line)
        match order:
            case "open":
                answer = await oracle.open(given)
            case "calm":
                answer = await oracle.calm()
            case "dump":
                answer = await oracle.dump()
            case _:
                raise ValueError(order)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    await oracle.close()


if __name__ == "__main__":
    asyncio.run(serve())
