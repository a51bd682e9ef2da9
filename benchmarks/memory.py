"""How much memory 100,000 updates take: a generator in, `update_many`, outcomes out.

    python benchmarks/memory.py [--changes 100000] [--max-in-flight 16]

A fake Gong runs in a process of its own, without limits, and keeps counts only, so that everything
that grows here is ours. Each change is a new object, made when it is pulled. The figures are the
growth of this process from before the first change until after the last outcome, connections
included: resident memory as the system sees it (in a first run), Python's own allocations as
`tracemalloc` sees them (in a second, much slower one). Both are read every 1,000 outcomes too, and
the highest value counts. The exit code is 1 if one of them grew by 20 MB or more.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from attrs import define

from gong_async import (
    BasicAuth,
    Change,
    GongClient,
    Invitee,
    Limits,
    MeetingChange,
    MeetingUpdate,
)
from gong_async.testing import FakeGong

MEGABYTE = 1024 * 1024
EVERY = 1_000
MOST_GROWTH = 20 * MEGABYTE
START = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


@define
class Figures:
    """What one run has shown."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    at_start: int = 0
    at_end: int = 0
    highest: int = 0
    most_tasks: int = 0
    most_ahead: int = 0

    @property
    def growth(self) -> int:
        """Return the most bytes by which memory grew."""
        return self.highest - self.at_start


def serve(pipe: Connection) -> None:
    """Run the fake until the other end of the pipe is closed; print its address first."""

    async def run() -> None:
        async with FakeGong(per_second=None, per_day=None, record="counts") as fake:
            pipe.send((fake.url, fake.access_key, fake.access_key_secret))
            await asyncio.to_thread(pipe.poll, None)
            pipe.send(fake.applied_count)

    asyncio.run(run())


def changes(count: int, pulled: list[int]) -> Iterator[Change]:
    """Make changes of as many meetings, each when it is asked for."""
    for number in range(count):
        pulled[0] += 1
        start = START + timedelta(minutes=number % 10_000)
        yield MeetingChange(
            meeting_id=str(7_000_000_000_000_000_000 + number),
            update=MeetingUpdate(
                start_time=start,
                end_time=start + timedelta(minutes=45),
                organizer_email=f"organizer{number % 500}@example.com",
                invitees=[Invitee(email=f"invitee{number}@customer.example", display_name="Lee")],
                title=f"Renewal {number}",
            ),
        )


def resident() -> int:
    """Return the resident memory of this process in bytes; its peak on systems without `/proc`."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def traced() -> int:
    """Return the bytes that Python has allocated since tracing began."""
    return tracemalloc.get_traced_memory()[0]


async def update_all(
    gong: GongClient, count: int, max_in_flight: int, memory: Callable[[], int]
) -> Figures:
    """Update so many meetings and measure."""
    gc.collect()
    figures = Figures(at_start=memory())
    pulled = [0]
    began = time.perf_counter()
    async for outcome in gong.update_many(changes(count, pulled), max_in_flight=max_in_flight):
        figures.done += 1
        figures.failed += not outcome.ok
        if figures.done % EVERY == 0:
            figures.highest = max(figures.highest, memory())
        if figures.done % 100 == 0:
            figures.most_tasks = max(figures.most_tasks, len(asyncio.all_tasks()))
            figures.most_ahead = max(figures.most_ahead, pulled[0] - figures.done)
    figures.seconds = time.perf_counter() - began
    gc.collect()
    figures.at_end = memory()
    figures.highest = max(figures.highest, figures.at_end)
    return figures


async def measure(
    address: tuple[str, str, str], count: int, max_in_flight: int, memory: Callable[[], int]
) -> Figures:
    """Update so many meetings with a client of its own."""
    url, key, secret = address
    limits = Limits(per_second=None, per_day=None, max_in_flight=max_in_flight)
    async with GongClient(BasicAuth(key, secret), base_url=url, limits=limits) as gong:
        return await update_all(gong, count, max_in_flight, memory)


def report(name: str, figures: Figures) -> None:
    """Print what a run has shown."""
    rate = figures.done / figures.seconds
    start, end = figures.at_start / MEGABYTE, figures.at_end / MEGABYTE
    growth = figures.growth / MEGABYTE
    print(f"{name}: {start:.2f} MB before, {end:.2f} MB after, {growth:+.2f} MB at the most")
    print(f"  {figures.done:,} updates, {figures.failed:,} failed")
    print(f"  {figures.seconds:.1f} s, {rate:,.0f} updates a second")
    print(f"  at most {figures.most_tasks} tasks, {figures.most_ahead} changes pulled ahead")


def main() -> int:
    """Run twice: for resident memory, and for Python's own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--max-in-flight", type=int, default=16)
    options = parser.parse_args()
    if options.changes < 1:
        parser.error("--changes must be at least 1")

    # Not a fork: the fake's memory must not begin as a copy of ours.
    processes = multiprocessing.get_context("spawn")
    pipe, other = processes.Pipe()
    server = processes.Process(target=serve, args=(other,), daemon=True)
    server.start()
    address = pipe.recv()

    rss = asyncio.run(measure(address, options.changes, options.max_in_flight, resident))
    report("resident memory", rss)
    tracemalloc.start()
    python = asyncio.run(measure(address, options.changes, options.max_in_flight, traced))
    report("Python's allocations", python)

    pipe.send("done")
    print(f"the fake has applied {pipe.recv():,} updates")
    server.join()
    return int(max(rss.growth, python.growth) >= MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
