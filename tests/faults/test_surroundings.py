"""I. Clocks, loops of other makes, neighbours, callbacks: F122, F124 to F127, F131, F132."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gong_async
from faults.acts import Raw, http, json_errors
from faults.always import DEADLINE, trial
from faults.operations import (
    OPERATIONS,
    UPDATE,
    Operation,
    change,
    each_operation,
    update,
)
from faults.peer import Peer, scripted
from gong_async import (
    APIConnectionError,
    BasicAuth,
    GongClient,
    Limits,
    MeetingChange,
    RetryPolicy,
)
from gong_async.hooks.events import CallFinished, Event
from gong_async.retry import RetryBudget
from gong_async.testing import FakeGong

HERE = Path(__file__).parent
UNLIMITED = Limits(per_second=None, per_day=None)


def refused(*headers: str) -> Raw:
    """Return a refusal by the limit."""
    data = http(json_errors("slow down"), status="429 Too Many Requests", headers=headers)
    return Raw(data, then="keep", applies=False)


@pytest.mark.looptime
@pytest.mark.parametrize("hours", [-1, 1, -24 * 365])
@pytest.mark.parametrize("act", [refused("Retry-After: 8"), Raw(then="reset")], ids=["429", "rst"])
async def test_f122_the_wall_clock_steps(
    act: Raw, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of the machine's clock while a call waits changes no wait and no deadline."""
    real, step = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + step)
    monkeypatch.setattr(
        "gong_async._pipeline.utc_now", lambda: datetime.now(UTC) + timedelta(seconds=step)
    )
    policy = RetryPolicy(deadline=60, backoff_floor=8, backoff_base=8, backoff_cap=8)
    limits = Limits(per_second=1, per_day=100, max_in_flight=1, headroom=0, learns=False)
    async with scripted([act]) as peer, trial(
        peer, retry=policy, limits=limits, reachable=False
    ) as case:  # fmt: skip
        task = asyncio.ensure_future(case.run(UPDATE))
        await asyncio.sleep(3)
        step = hours * 3600.0
        verdict = await task
        quota = await case.gong.quota()

    assert str(verdict) == "ok after 2"
    assert 8 <= verdict.seconds < 10.5
    assert quota.used_today == 2


@pytest.mark.looptime
@pytest.mark.parametrize("hours", [-1, 1])
async def test_f122_the_deadline_of_a_silent_server(
    hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline is kept whatever the wall clock says."""
    real, step = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + step)
    async with Peer(always=Raw(then="hold")) as peer, trial(
        peer, retry=RetryPolicy(deadline=12)
    ) as case:  # fmt: skip
        task = asyncio.ensure_future(case.run(UPDATE))
        await asyncio.sleep(3)
        step = hours * 3600.0
        verdict = await task

    assert verdict.seconds == pytest.approx(12, abs=0.2)


@pytest.mark.skipif(sys.platform == "win32", reason="no uvloop on this system")
@pytest.mark.may_block("it runs a program")
@pytest.mark.full
@pytest.mark.parametrize("file", ["test_connecting.py", "test_lost_answers.py"])
def test_f124_under_uvloop(pytestconfig: pytest.Config, file: str) -> None:
    """The faults of connecting and of lost answers end under uvloop as they do under asyncio."""
    if pytestconfig.getoption("--uvloop"):
        pytest.skip("this whole run is under uvloop")
    options = ["-q", "--no-header", "--uvloop", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "pytest", *options, str(HERE / file)],
        cwd=HERE.parent.parent,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.parametrize("failures", [1, 2, 10, 62, 63, 64, 1000, 2000, 10**6])
def test_f125_no_overflow(failures: int) -> None:
    """Two thousand failures or a million: the wait stays between its floor and its cap."""
    policy = RetryPolicy()
    waits = [policy.backoff(failures) for _ in range(200)]

    assert all(policy.backoff_floor <= wait <= policy.backoff_cap for wait in waits)
    assert all(math.isfinite(policy.after_refusal(None, failures)) for _ in range(10))
    assert all(policy.after_refusal(30, failures) >= 30 for _ in range(200))


def test_f125_the_jitter_is_spread() -> None:
    """Waits cover their whole range, so that callers do not come back together."""
    policy = RetryPolicy()
    waits = [policy.backoff(20) for _ in range(2000)]

    assert min(waits) < 1
    assert max(waits) > 19
    assert 8 < sum(waits) / len(waits) < 12


@pytest.mark.looptime
async def test_f125_two_thousand_attempts() -> None:
    """A call that is tried two thousand times ends with its last error, and with nothing else."""
    policy = RetryPolicy(max_attempts=2000, backoff_base=0, backoff_floor=0)
    busy = Raw(http(status="425 Too Early"), then="keep", applies=False)
    async with Peer(always=busy) as peer, trial(peer, retry=policy) as case:
        object.__setattr__(case.gong._call, "budget", RetryBudget(tokens=10_000, ceiling=10_000))
        verdict = await case.run(UPDATE)

    assert str(verdict) == "RequestRejectedError 425 answered known after 2000"


@pytest.mark.looptime
@each_operation
async def test_f125_f127_a_hook_that_raises(
    operation: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    """What a hook raises is logged, and changes neither the result nor the number of attempts."""

    def raising(event: Event) -> None:
        raise ZeroDivisionError(type(event).__name__)

    busy = Raw(http(status="425 Too Early"), then="keep", applies=False)
    async with scripted([busy]) as peer:
        gong = GongClient(
            BasicAuth("an-access-key", "its-secret"),
            base_url=peer.url,
            limits=UNLIMITED,
            hooks=[raising],
        )
        async with gong:
            result = await operation.call(gong)
        seen = len(peer.seen)

    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (result.meta.attempts, seen) == (2, 2)
    assert len(logged) >= 4


@pytest.mark.looptime
async def test_f127_a_bulk_run_with_hooks_that_raise_and_a_slow_consumer() -> None:
    """No outcome is lost, and the server is not asked ahead of what is taken."""

    def raising(event: Event) -> None:
        if isinstance(event, CallFinished):
            raise ZeroDivisionError

    ahead: list[int] = []
    async with Peer() as peer:
        gong = GongClient(
            BasicAuth("an-access-key", "its-secret"),
            base_url=peer.url,
            limits=Limits(per_second=None, per_day=None, max_in_flight=4),
            hooks=[raising],
        )
        taken = 0
        async with gong:
            async for outcome in gong.update_many(_changes(60)):
                assert outcome.ok
                taken += 1
                await asyncio.sleep(1)
                ahead.append(len(peer.applied) - taken)

    assert taken == 60
    assert max(ahead) <= 12


def _changes(number: int) -> Iterator[MeetingChange]:
    return (change(meeting_id=str(1 + each)) for each in range(number))


@pytest.mark.looptime
async def test_f126_tenants_do_not_hold_each_other() -> None:
    """A 429 for one company pauses its clients, and no others."""
    loop = asyncio.get_running_loop()
    limits = Limits(per_second=None, per_day=100)

    def client(key: str, url: str) -> GongClient:
        return GongClient(BasicAuth(key, "its-secret"), base_url=url, limits=limits)

    async with scripted([refused("Retry-After: 30")]) as peer:
        async with (
            client("company-one", peer.url) as one,
            client("company-one", peer.url) as derived,
            client("company-two", peer.url) as other,
        ):
            first = asyncio.ensure_future(UPDATE.call(one))
            await asyncio.sleep(1)
            started = loop.time()
            await UPDATE.call(other)
            free = loop.time() - started
            await UPDATE.call(derived)
            held = loop.time() - started
            await first
            used = [(await each.quota()).used_today for each in (one, derived, other)]
        senders = {seen.header("authorization") for seen in peer.seen}

    assert free < 0.5
    assert held >= 28
    assert used == [3, 3, 1]
    assert len(senders) == 2


@pytest.mark.looptime
async def test_f126_tenants_share_no_connection() -> None:
    """Each client has connections of its own, also to the same host."""
    async with Peer() as peer:
        for key in ("company-one", "company-two"):
            auth = BasicAuth(key, "its-secret")
            async with GongClient(auth, base_url=peer.url, limits=UNLIMITED) as gong:
                for operation in OPERATIONS:
                    await operation.call(gong)
        by_line: dict[int, set[str | None]] = {}
        for seen in peer.seen:
            by_line.setdefault(seen.line.number, set()).add(seen.header("authorization"))

    assert all(len(credentials) == 1 for credentials in by_line.values())


@pytest.mark.looptime
async def test_f131_no_descriptor_is_a_connection_that_was_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine without a free descriptor: nothing left, so that also a creation is repeated."""
    real, left = asyncio.get_running_loop().sock_connect, 2

    async def sock_connect(*args: Any) -> None:
        nonlocal left
        if left:
            left -= 1
            raise OSError(24, "Too many open files")
        await real(*args)

    async with Peer() as peer, trial(peer, reachable=False) as case:
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)
        ends = [str(await case.run(each)) for each in OPERATIONS[:2]]
        left = 99
        await case.gong._pool.close()
        verdict = await case.run(OPERATIONS[1])
        left = 0

    assert ends == ["ok after 3", "ok after 1"]
    assert isinstance(verdict.failure, APIConnectionError)
    assert str(verdict) == "APIConnectionError connect not_sent known after 4"


def _held() -> int:
    """Return the bytes that are held, but for the table of names, which grows in one great leap."""
    gc.collect()
    names = tracemalloc.Filter(inclusive=False, filename_pattern="*/pathlib*")
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([names]).traces)


@pytest.mark.full
@pytest.mark.timeout(120)
async def test_f132_many_items_take_no_more_memory_than_few(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ten times the items: the same peak, and never more tasks than workers."""
    caplog.set_level(logging.CRITICAL)  # what is logged is kept, and counts
    peaks: list[int] = []
    most_tasks = 0
    with FakeGong.serve_in_thread(per_second=None, per_day=None, record="counts") as fake:
        auth = BasicAuth(fake.access_key, fake.access_key_secret)
        for number in (100, 100, 1000):
            limits = Limits(per_second=None, per_day=None, max_in_flight=8)
            gong = GongClient(auth, base_url=fake.url, limits=limits)
            before = len(asyncio.all_tasks())
            held = 0
            tracemalloc.start()
            async with gong:
                async for outcome in gong.update_many(_changes(number)):
                    assert outcome.ok
                    most_tasks = max(most_tasks, len(asyncio.all_tasks()) - before)
                    if outcome.index % 100 == 50:
                        held = max(held, _held())
            peaks.append(held)
            tracemalloc.stop()

    assert peaks[2] < peaks[1] + 1024 * 1024
    assert most_tasks <= 2 * 8 + 1  # the workers, and what aiohttp does for each of them


def test_f122_nothing_measures_by_the_wall_clock() -> None:
    """The wall clock is read in few places, all of which show it or store it for other runs."""
    package = Path(gong_async.__file__).parent
    asking = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if any(call in file.read_text("utf-8") for call in ("time.time(", "datetime.now("))
    }

    for_other_runs = ("testing/", "cli/", "limits/", "bulk/", "oauth/")

    assert {file for file in asking if not file.startswith(for_other_runs)} == {
        "_transport/transport.py",  # the doctor compares the clock with Gong's
        "models/_shared.py",
    }


@pytest.mark.full
@pytest.mark.looptime
async def test_f125_a_deadline_longer_than_any_calendar() -> None:
    """Numbers beyond reason are taken, and do no harm."""
    policy = RetryPolicy(deadline=1e9, backoff_cap=1e9, backoff_base=1e9, max_wait=1e9)
    async with scripted([Raw(then="reset")]) as peer, trial(
        peer, retry=policy, timeout=DEADLINE
    ) as case:  # fmt: skip
        verdict = await case.run(update())

    assert str(verdict) == "ok after 2"
