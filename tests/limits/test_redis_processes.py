"""Limits over a real Redis: real processes, real SIGKILL, real time."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest
from redis import Redis

import gong_async
from gong_async.testing import FakeGong, Fault
from gong_async.testing.thread import serve_in_thread
from limits.redis_server import RedisServer, own_server

WORKER = Path(__file__).with_name("worker.py")
RATE = 30
PACKAGE = Path(gong_async.__file__).parents[1]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Start a server for this file."""
    with own_server() as server:
        yield server


@pytest.fixture(autouse=True)
def empty(server: RedisServer) -> None:
    """Begin without keys."""
    with Redis.from_url(server.url) as client:
        client.flushall()


class Workers:
    """Processes that make calls."""

    def __init__(
        self, count: int, fake: FakeGong, server: RedisServer, *, calls: int, **limits: Any
    ) -> None:
        limits = {"per_second": RATE, "per_day": None, **limits}
        given = {"url": fake.url, "redis": server.url, "calls": calls, "limits": limits}
        self.processes = [
            subprocess.Popen(
                [sys.executable, str(WORKER), json.dumps({**given, "processes": count})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            )
            for _ in range(count)
        ]

    def __enter__(self) -> Self:
        """Let all of them begin at the same time."""
        for process in self.processes:
            assert process.stdout is not None and process.stdin is not None
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def told(self) -> list[dict[str, Any]]:
        """Wait for what those tell that live."""
        told = []
        for process in self.processes:
            out, _ = process.communicate(timeout=60)
            if process.returncode == 0:
                told.append(json.loads(out))
        return told


def ended(told: list[dict[str, Any]]) -> dict[str, int]:
    """Add up how the calls ended."""
    sums: dict[str, int] = {}
    for one in told:
        for end, count in one["ends"].items():
            sums[end] = sums.get(end, 0) + count
    return sums


def arrivals(fake: FakeGong) -> list[float]:
    """Return when requests arrived."""
    return sorted(request.at for request in fake.received)


def test_eight_processes_use_the_whole_quota_and_finish_together(server: RedisServer) -> None:
    """At least 95 % of the quota, at most one refusal in 1,000, finishing within 15 %."""
    with serve_in_thread(FakeGong(per_second=RATE, per_day=None)) as fake:
        with Workers(8, fake, server, calls=RATE) as workers:
            told = workers.told()
        times = arrivals(fake)
        with Redis.from_url(server.url) as client:
            stats = client.info("commandstats")
    share = (len(times) - 1) / (times[-1] - times[0]) / RATE
    took = sorted(one["took"] for one in told)
    spread = (took[-1] - took[0]) / took[-1]
    scripts = stats["cmdstat_evalsha"]["calls"] / len(times)
    figures = "%.1f %% of the quota, spread %.1f %%, %.2f scripts a grant"
    logging.getLogger("tests").info(figures, 100 * share, 100 * spread, scripts)

    assert ended(told) == {"ok": 8 * RATE}
    assert fake.quota.refusals == 0
    assert share >= 0.95
    assert spread < 0.15
    assert scripts < 2.5


def test_a_killed_process_holds_up_nobody(server: RedisServer) -> None:
    """After SIGKILL of one of four the others go on at the whole pace."""
    with serve_in_thread(FakeGong(per_second=None, per_day=None)) as fake:
        with Workers(4, fake, server, calls=30) as workers:
            time.sleep(1.0)
            workers.processes[0].kill()
            killed_at = len(fake.received)
            told = workers.told()
        times = arrivals(fake)
    after = times[killed_at:]
    gaps = [late - early for early, late in pairwise(after)]

    assert ended(told) == {"ok": 3 * 30}
    assert max(gaps) < 6 / RATE
    assert (len(after) - 1) / (after[-1] - after[0]) >= 0.9 * RATE


@pytest.mark.parametrize("restart", [False, True])
def test_trouble_in_the_middle_costs_no_call_and_no_time(
    server: RedisServer, *, restart: bool
) -> None:
    """A flushed script, closed connections, lost keys; a restart: all succeed, at the pace."""

    def make_trouble() -> None:
        if restart:
            server.stop()
            server.start()
            return
        with Redis.from_url(server.url) as client:
            client.script_flush()
            time.sleep(0.5)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            time.sleep(0.5)
            client.flushall()

    with serve_in_thread(FakeGong(per_second=None, per_day=None)) as fake:
        with Workers(3, fake, server, calls=30) as workers:
            timer = threading.Timer(0.7, make_trouble)
            timer.start()
            told = workers.told()
            timer.join()
        times = arrivals(fake)
    pace = (len(times) - 1) / (times[-1] - times[0])

    assert ended(told) == {"ok": 90}
    assert 0.85 * RATE <= pace <= 1.05 * RATE


def test_the_days_count_is_exact_over_processes(server: RedisServer) -> None:
    """Retries count as well; together the processes send no request more than the day has."""
    with serve_in_thread(FakeGong(per_second=None, per_day=None)) as fake:
        fake.script(Fault.status(503), times=10)
        with Workers(4, fake, server, calls=40, per_second=200, per_day=100) as workers:
            told = workers.told()
        sent = len(fake.received)

    assert sent == 100
    assert max(one["used"] for one in told) == 100
    assert ended(told) == {"ok": 90, "DailyQuotaExceededError": 70}
