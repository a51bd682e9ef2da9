"""Limits over a real Redis: real processes, real SIGKILL, real time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from redis import Redis

import gong_async
from gong_async.testing import FakeGong, Fault
from gong_async.testing.connections import serve_in_thread
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

    began: float
    """When they were let go."""

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
        self.began = time.monotonic()
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def reported(self) -> list[dict[str, Any]]:
        """Wait for the reports of the processes that live."""
        reported = []
        for process in self.processes:
            out, _ = process.communicate(timeout=60)
            if process.returncode == 0:
                reported.append(json.loads(out))
        return reported


def ended(reported: list[dict[str, Any]]) -> dict[str, int]:
    """Add up how the calls ended."""
    sums: dict[str, int] = {}
    for one in reported:
        for end, count in one["ends"].items():
            sums[end] = sums.get(end, 0) + count
    return sums


def until_received(fake: FakeGong, count: int) -> None:
    """Wait until so many requests have arrived."""
    give_up = time.monotonic() + 60
    while fake.received_count < count:
        assert time.monotonic() < give_up
        time.sleep(0.005)


def arrivals(fake: FakeGong) -> list[float]:
    """Return when requests arrived."""
    return sorted(request.at for request in fake.received)


@pytest.mark.full
def test_eight_processes_share_one_rate(server: RedisServer) -> None:
    """Together they are no faster than the limit, and every call of each of them succeeds."""
    with serve_in_thread(FakeGong(per_second=None, per_day=None)) as fake:
        with Workers(8, fake, server, calls=8) as workers:
            reported = workers.reported()
        times = arrivals(fake)

    assert [one["ends"] for one in reported] == [{"ok": 8}] * 8
    assert len(times) == 64
    assert times[-1] - workers.began >= 63 / RATE


@pytest.mark.full
def test_a_killed_process_delays_no_other(server: RedisServer) -> None:
    """After SIGKILL of one of four the others make all their calls."""
    with serve_in_thread(FakeGong(per_second=None, per_day=None)) as fake:
        with Workers(4, fake, server, calls=15) as workers:
            until_received(fake, 15)
            workers.processes[0].kill()
            reported = workers.reported()
        times = arrivals(fake)

    assert ended(reported) == {"ok": 3 * 15}
    assert times[-1] - workers.began >= (len(times) - 1) / RATE


@pytest.mark.full
@pytest.mark.parametrize("restart", [False, True])
def test_trouble_in_the_middle_costs_no_call(server: RedisServer, *, restart: bool) -> None:
    """A flushed script, closed connections, lost keys; a restart: all succeed, none too fast."""

    def make_trouble() -> None:
        if restart:
            server.stop()
            server.start()
            return
        with Redis.from_url(server.url) as client:
            client.script_flush()
            until_received(fake, 30)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            until_received(fake, 40)
            client.flushall()

    with serve_in_thread(FakeGong(per_second=None, per_day=None)) as fake:
        with Workers(3, fake, server, calls=20) as workers:
            until_received(fake, 20)
            make_trouble()
            reported = workers.reported()
        times = arrivals(fake)

    assert ended(reported) == {"ok": 60}
    assert times[-1] - workers.began >= 59 / (1.05 * RATE)


def test_the_days_count_is_exact_over_processes(server: RedisServer) -> None:
    """Retries count as well; together the processes send no request more than the day has."""
    with serve_in_thread(FakeGong(per_second=None, per_day=None)) as fake:
        fake.script(Fault.status(503), times=10)
        with Workers(4, fake, server, calls=40, per_second=200, per_day=100) as workers:
            reported = workers.reported()
        sent = len(fake.received)

    assert sent == 100
    assert max(one["used"] for one in reported) == 100
    assert ended(reported) == {"ok": 90, "DailyQuotaExceededError": 70}
