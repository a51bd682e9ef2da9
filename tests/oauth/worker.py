"""A process that is logged in, and asks Gong something whenever it is instructed to.

Says "ready"; then, for each line that it reads:

* `call`: makes some calls at once with a client of its own, and says how they ended;
* `die SECONDS`: does the same in a forked child, which is killed after so many seconds, and says
  whether that came in time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from typing import Any

from gong_async import FileTokenStore, GongClient, Limits, OAuth
from gong_async.errors import GongError
from gong_async.limits.memory import MemoryLimitStore
from gong_async.testing.oauth import FAKE_CLIENT_ID, FAKE_CLIENT_SECRET

CALLS = 5


async def work(url: str, path: str) -> Counter[str]:
    """Make the calls, and count how they end."""
    oauth = OAuth(FAKE_CLIENT_ID, FAKE_CLIENT_SECRET, FileTokenStore(path), app_url=url)
    ends: Counter[str] = Counter()

    async def ask(gong: GongClient) -> None:
        try:
            await gong.request("GET /v2/users")
            ends["ok"] += 1
        except GongError as error:
            ends[f"{type(error).__name__}: {error}"] += 1

    limits = Limits(per_second=None, per_day=None, max_in_flight=CALLS)
    async with GongClient(oauth, limits=limits, limit_store=MemoryLimitStore()) as gong:
        await asyncio.gather(*(ask(gong) for _ in range(CALLS)))
    return ends


def die(seconds: float, **where: str) -> bool:
    """Let a child work, kill it, and say whether it was still at work."""
    child = os.fork()
    if child == 0:
        asyncio.run(work(**where))
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def emit(value: Any) -> None:
    """Write a line to the parent process."""
    print(json.dumps(value), flush=True)  # noqa: T201 - this is how it is heard


if __name__ == "__main__":
    place: dict[str, str] = json.loads(sys.argv[1])
    emit("ready")
    for line in sys.stdin:
        order, _, given = line.strip().partition(" ")
        if order == "call":
            emit(asyncio.run(work(**place)))
        else:
            emit(die(float(given), **place))
