"""A process that updates meetings at a fake, with limits that it shares with others.

Says "ready", waits for a line, makes its calls, and reports in a line of JSON what became of them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from gong_async import BasicAuth, GongClient, Limits, MeetingUpdate, RetryPolicy
from gong_async.errors import GongError
from gong_async.limits.limiter import LimitStore
from gong_async.limits.redis.store import RedisLimitStore
from gong_async.limits.sqlite.store import SQLiteLimitStore
from gong_async.limits.types import Priority
from gong_async.testing.server import FAKE_ACCESS_KEY, FAKE_ACCESS_KEY_SECRET

UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, tzinfo=UTC),
    end_time=datetime(2026, 11, 24, 16, tzinfo=UTC),
    organizer_email="dana@example.com",
    invitees=[],
)


@asynccontextmanager
async def opened(file: str | None, redis: str | None, processes: int) -> AsyncIterator[LimitStore]:
    """Share over a file, or over Redis."""
    if redis is not None:
        async with RedisLimitStore(redis, expected_processes=processes) as store:
            yield store
    elif file is not None:
        host = SQLiteLimitStore(file)
        yield host
        host.close()


async def work(
    *,
    url: str,
    calls: int,
    limits: dict[str, Any],
    priority: Priority = "interactive",
    file: str | None = None,
    redis: str | None = None,
    processes: int = 1,
) -> dict[str, Any]:
    """Make the calls, all at once, and count how they end."""
    ends: Counter[str] = Counter()
    async with (
        opened(file, redis, processes) as store,
        GongClient(
            BasicAuth(FAKE_ACCESS_KEY, FAKE_ACCESS_KEY_SECRET),
            base_url=url,
            limits=Limits(**limits),
            retry=RetryPolicy(backoff_base=0.1),
            limit_store=store,
        ) as gong,
    ):
        meetings = gong.with_options(priority=priority).meetings

        async def update(number: int) -> None:
            try:
                await meetings.update(str(number), UPDATE)
                ends["ok"] += 1
            except GongError as error:
                ends[type(error).__name__] += 1

        print("ready", flush=True)  # noqa: T201 - this is how it is heard
        await asyncio.to_thread(sys.stdin.readline)
        began = time.monotonic()
        await asyncio.gather(*(update(number) for number in range(1, calls + 1)))
        took = time.monotonic() - began
        quota = await gong.quota()
    return {"ends": ends, "took": took, "used": quota.used_today}


if __name__ == "__main__":
    done = asyncio.run(work(**json.loads(sys.argv[1])))
    print(json.dumps(done), flush=True)  # noqa: T201 - this is how it is heard
