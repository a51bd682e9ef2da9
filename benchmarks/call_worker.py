"""One client in a process of its own, which measures itself when it is instructed to.

Started by `call_workers.py`; reads a line of JSON for each batch, writes its figures as one. What
is measured is all that an update takes: the dict or the model that is made of a known meeting, the
checks, the JSON, the call, the answer. Connections are open before; nothing waits for a limit.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import quantiles
from typing import Any, cast

from clients.catalog import CLIENTS, Entry
from clients.contract import AllTogether, Blocking, OneByOne
from clients.meeting import Meeting, make_meetings

WARM_UP = 50
"""Updates before the first that counts, at least; twice what is in flight if that is more."""


async def one_by_one(client: OneByOne, in_flight: int, meetings: list[Meeting]) -> list[float]:
    """Update all; so many loops take the meetings from one list. Return the seconds of each."""
    seconds: list[float] = []
    rest = iter(meetings)

    async def loop() -> None:
        for meeting in rest:
            began = time.perf_counter()
            found = await client.update(meeting)
            seconds.append(time.perf_counter() - began)
            assert found == meeting.id

    if in_flight == 1:
        await loop()
        return seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(loop())
    return seconds


async def all_together(client: AllTogether, meetings: list[Meeting]) -> list[float]:
    """Update all; return the seconds from the pull of each to its outcome."""
    began: dict[str, float] = {}

    def pulled() -> Iterator[Meeting]:
        for meeting in meetings:
            began[meeting.id] = time.perf_counter()
            yield meeting

    return [time.perf_counter() - began[found] async for found in client.update_all(pulled())]


def blocking(
    client: Blocking, threads: ThreadPoolExecutor, in_flight: int, meetings: list[Meeting]
) -> list[float]:
    """Update all; so many threads take the meetings from one list. Return the seconds of each."""
    seconds: list[float] = []
    rest = iter(meetings)

    def loop() -> None:
        for meeting in rest:
            began = time.perf_counter()
            found = client.update(meeting)
            seconds.append(time.perf_counter() - began)
            assert found == meeting.id

    for done in [threads.submit(loop) for _ in range(in_flight)]:
        done.result()
    return seconds


class Batch:
    """So many updates, so many of them in flight, by one client."""

    def __init__(self, entry: Entry, url: str, count: int, in_flight: int) -> None:
        self._entry, self._url, self._in_flight = entry, url, in_flight
        self._client = getattr(importlib.import_module(f"clients.{entry.module}"), entry.name)()
        self._warm_up = make_meetings(max(WARM_UP, 2 * in_flight))
        self._meetings = make_meetings(count)

    async def measure(self) -> dict[str, Any]:
        """Open, warm up, measure, close."""
        if self._entry.shape == "blocking":
            return self._measure_blocking()
        await self._client.open(self._url, self._in_flight)
        try:
            await self._run(self._warm_up)
            stopwatch = Stopwatch()
            seconds = await self._run(self._meetings)
            return self._figures(stopwatch, seconds)
        finally:
            await self._client.close()

    async def _run(self, meetings: list[Meeting]) -> list[float]:
        if self._entry.shape == "one_by_one":
            return await one_by_one(self._client, self._in_flight, meetings)
        return await all_together(self._client, meetings)

    def _measure_blocking(self) -> dict[str, Any]:
        client = cast("Blocking", self._client)
        client.open(self._url, self._in_flight)
        try:
            with ThreadPoolExecutor(self._in_flight) as threads:
                blocking(client, threads, self._in_flight, self._warm_up)
                stopwatch = Stopwatch()
                seconds = blocking(client, threads, self._in_flight, self._meetings)
                return self._figures(stopwatch, seconds)
        finally:
            client.close()

    def _figures(self, stopwatch: Stopwatch, seconds: list[float]) -> dict[str, Any]:
        cpu, real = stopwatch.read()
        count = len(self._meetings)
        assert len(seconds) == count
        figures: dict[str, Any] = {
            "cpu_us": cpu / count * 1e6,
            "per_second": count / real,
            "sent": count + len(self._warm_up),
        }
        if self._entry.pulls_as_it_sends:
            hundredths = quantiles(seconds, n=100) if count > 1 else seconds * 99
            figures |= {"p50_ms": hundredths[49] * 1e3, "p99_ms": hundredths[98] * 1e3}
        return figures


class Stopwatch:
    """Processor time of this process with all its threads, and real time."""

    def __init__(self) -> None:
        gc.collect()
        self._real, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return the seconds since it was made: of the processor, and on the wall."""
        return time.process_time() - self._cpu, time.perf_counter() - self._real


def forget_peak() -> None:
    """Let the peak of memory begin anew, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_megabytes() -> float:
    """Return the most memory that this process had since `forget_peak`; elsewhere, ever."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss cannot begin anew, and begins with what the parent had
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Go to the core that was given, and measure until there is nothing more to measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("url")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    entry, factory = CLIENTS[options.client], asyncio.new_event_loop
    module = importlib.import_module(f"clients.{entry.module}")
    if options.loop == "uvloop":
        factory = importlib.import_module("uvloop").new_event_loop
    package = sys.modules.get("gong_async")
    ready = {"package": package and package.__file__, "client": module.__name__}
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        forget_peak()
        batch = Batch(entry, options.url, wanted["updates"], wanted["in_flight"])
        with asyncio.Runner(loop_factory=factory) as runner:
            figures = runner.run(batch.measure())
        print(json.dumps(figures | {"peak_mb": peak_megabytes()}), flush=True)


if __name__ == "__main__":
    main()
