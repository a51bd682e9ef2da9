"""Limits shared by the processes of one machine: real processes, real kills, real time."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import gong_async
from gong_async import ConfigurationError, DailyQuotaExceededError, Limits, RateLimitError
from gong_async.limits.limiter import Limiter
from gong_async.limits.sqlite.store import SQLiteLimitStore
from gong_async.limits.state import PROBE_LEASE
from gong_async.testing import FakeGong, Fault

COMPANY = "https://api.gong.io 0123456789ab"
WORKER = Path(__file__).with_name("worker.py")
EVEN: dict[str, Any] = {"per_day": None, "headroom": 0, "learns": False}

posix = pytest.mark.skipif(os.name != "posix", reason="kill -9 and fork")


class Worker:
    """A process of `worker.py`."""

    def __init__(self, fake: FakeGong, file: Path, **given: Any) -> None:
        given = {"url": fake.url, "file": str(file), **given}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(gong_async.__file__).parents[1])},
        )

    def ready(self) -> None:
        """Wait until it could begin."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        """Let it make its calls."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def reported(self) -> dict[str, Any]:
        """Wait until its calls have ended; return what it says of them."""
        assert self.process.stdout is not None
        reported: dict[str, Any] = json.loads(self.process.stdout.readline())
        return reported

    def kill(self) -> None:
        """End it on the spot."""
        self.process.kill()
        self.process.wait()


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start workers that share one file; none of them outlives the test."""
    started: list[Worker] = []

    def begin(fake: FakeGong, **given: Any) -> Worker:
        worker = Worker(fake, tmp_path / "limits.sqlite3", **given)
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteLimitStore]:
    """Share the limits with the workers of the test."""
    store = SQLiteLimitStore(tmp_path / "limits.sqlite3")
    yield store
    store.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is the case."""
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up, "it did not come to pass"
        time.sleep(0.005)


async def take(limiter: Limiter) -> float:
    """Make a call that Gong accepts; return when."""
    async with limiter.acquire(max_wait=60) as permit:
        permit.accepted()
        return time.monotonic()


@pytest.mark.full
def test_eight_processes_share_one_rate(start: Start) -> None:
    """Together they are no faster than the limit, and every call of each of them succeeds."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        workers = [start(fake, calls=8, limits={"per_second": 30}) for _ in range(8)]
        for worker in workers:
            worker.ready()
        began = time.monotonic()
        for worker in workers:
            worker.go()
        reported = [worker.reported() for worker in workers]
        arrivals = [request.at for request in fake.received]

    assert [one["ends"] for one in reported] == [{"ok": 8}] * 8
    assert len(arrivals) == 64
    assert max(arrivals) - began >= 63 / 30


@posix
def test_the_count_survives_kill_9(start: Start) -> None:
    """What went on the wire is counted, 429s and retries too: exactly 10 more are sent."""
    limits = {"per_second": 200, "per_day": 200, "max_in_flight": 4}
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        fake.script(Fault.rate_limited("1"), nth=20)
        fake.script(Fault.status(503), nth=50, times=3)
        fake.script(Fault.stall(), nth=187, times=4)  # all four places are taken by then
        doomed = start(fake, calls=1000, limits=limits)
        doomed.ready()
        doomed.go()
        wait_for(lambda: fake.received_count == 190)
        doomed.kill()
        fake.clear_script()
        heir = start(fake, calls=50, limits=limits)
        heir.ready()
        heir.go()
        reported = heir.reported()
        answers = dict(fake.counts)

        assert reported["ends"] == {"ok": 10, "DailyQuotaExceededError": 40}
        assert (fake.received_count, reported["used"]) == (200, 200)
        assert (answers[429], answers[503]) == (1, 3)


@pytest.mark.full
@posix
def test_a_killed_process_delays_no_other(start: Start, store: SQLiteLimitStore) -> None:
    """Its reserved slot passes unused; a later one is ours, long before a lease would end."""
    limits = {**EVEN, "per_second": 2}
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        doomed = start(fake, calls=100, limits=limits)
        doomed.ready()
        began = time.monotonic()
        doomed.go()
        wait_for(lambda: fake.received_count == 2)
        doomed.kill()
        limiter = store.limiter(_company(fake), Limits(**limits))
        granted = asyncio.run(asyncio.wait_for(take(limiter), 60))

        assert fake.received_count == 2
        assert granted - began >= 2 / 2


def test_a_429_pauses_all_processes_and_one_probes(start: Start) -> None:
    """After Retry-After a single request goes out; the rest follow when it was accepted."""
    limits = {**EVEN, "per_second": 50}
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        fake.script(Fault.rate_limited("1"), nth=20)
        fake.script(Fault.latency(0.5), nth=21, times=3)
        workers = [start(fake, calls=30, limits=limits) for _ in range(2)]
        for worker in workers:
            worker.ready()
        for worker in workers:
            worker.go()
        ends = [worker.reported()["ends"] for worker in workers]
        received = fake.received
    refusal = next(request for request in received if request.status == 429)
    after = [request.at for request in received if request.at > refusal.at]
    held = [at for at in after if at - refusal.at >= 1.0]

    assert ends == [{"ok": 30}] * 2
    # One that the other process had on its way at that moment may still arrive.
    assert len(after) - len(held) <= 1
    assert held[1] - held[0] >= 0.5


@posix
def test_a_process_killed_while_it_probes_delays_no_other(
    start: Start, store: SQLiteLimitStore
) -> None:
    """Another probes in its place, and not only when a probe's time has run out."""
    limits = {**EVEN, "per_second": 50}
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        fake.script(Fault.rate_limited("1"), nth=1)
        fake.script(Fault.stall(), nth=2)
        doomed = start(fake, calls=1, limits=limits)
        doomed.ready()
        doomed.go()
        wait_for(lambda: fake.received_count == 2)
        limiter = store.limiter(_company(fake), Limits(**limits))
        asked = asyncio.run(limiter.quota()).paused_until
        doomed.kill()
        asyncio.run(asyncio.wait_for(take(limiter), PROBE_LEASE / 2))

    assert asked is None


@posix
def test_the_load_of_a_process_counts_until_it_is_killed(
    start: Start, store: SQLiteLimitStore
) -> None:
    """Calls of every process count, by priority; those of a process that was killed do not."""
    limits = {**EVEN, "per_second": 0.05}
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        fake.script(Fault.stall(), times=None)
        limiter = store.limiter(_company(fake), Limits(**limits))
        job = start(fake, calls=5, limits=limits, priority="bulk")
        user = start(fake, calls=3, limits=limits)
        job.ready()
        user.ready()
        job.go()
        wait_for(lambda: fake.received_count == 1)
        user.go()
        wait_for(lambda: _waits(limiter) == (3, 4, 1))
        job.kill()
        without_job = _waits(limiter)
        user.kill()

    assert without_job == (3, 0, 0)
    assert _waits(limiter) == (0, 0, 0)


async def test_a_cancelled_call_leaves_its_slot_to_the_next(store: SQLiteLimitStore) -> None:
    """The reservation stays with the process: the next call gets it, and none waits longer."""
    limiter = store.limiter(COMPANY, Limits(per_second=1 / 600, **EVEN))
    await take(limiter)
    reserved: list[float] = []
    for _ in range(2):
        before = _next_slot(store)
        waiting = asyncio.create_task(take(limiter))
        while (await limiter.quota()).waiting["interactive"] != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        reserved.append(_next_slot(store) - before)

    assert reserved == pytest.approx([600, 0])


async def test_a_call_cancelled_at_its_grant_is_not_counted(store: SQLiteLimitStore) -> None:
    """However the cancellation falls, the count is that of the permits that were granted."""
    limiter = store.limiter(COMPANY, Limits(per_second=None))
    had = 0
    for number in range(60):
        call = asyncio.create_task(take(limiter))
        for _ in range(number % 6):
            await asyncio.sleep(0.0002)
        call.cancel()
        had += not isinstance(
            (await asyncio.gather(call, return_exceptions=True))[0], BaseException
        )
    await asyncio.sleep(0.1)

    assert (await limiter.quota()).used_today == had


async def test_an_interactive_call_overtakes_bulk_calls(store: SQLiteLimitStore) -> None:
    """It takes the slot that was reserved for the bulk call at the head."""
    limiter = store.limiter(COMPANY, Limits(per_second=20, **EVEN))
    order: list[str] = []

    async def call(name: str, priority: Any) -> None:
        async with limiter.acquire(max_wait=60, priority=priority):
            order.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(call(f"bulk {number}", "bulk"))
        await asyncio.sleep(0.12)
        group.create_task(call("interactive", "interactive"))

    assert order.index("interactive") <= 4
    assert [name for name in order if name != "interactive"] == [f"bulk {n}" for n in range(5)]


async def test_what_waiting_cannot_change_fails_ahead_of_the_queue(
    store: SQLiteLimitStore,
) -> None:
    """After the first error no other call needs the file to fail."""
    limiter = store.limiter(COMPANY, Limits(per_second=None, per_day=1))
    other = store.limiter("other", Limits(per_second=None))
    await take(limiter)
    async with other.acquire(max_wait=60) as permit:
        permit.throttled(3600)
    errors: list[Exception] = []
    for known in (limiter, other):
        with pytest.raises((DailyQuotaExceededError, RateLimitError)) as caught:
            await take(known)
        queue = known.company.open_queue()
        with pytest.raises(type(caught.value)):
            queue.acquire_nowait(queue.now(), "interactive", 60)
        errors.append(caught.value)

    assert [type(error) for error in errors] == [DailyQuotaExceededError, RateLimitError]


async def test_an_unusable_file_fails_calls_and_not_their_making(tmp_path: Path) -> None:
    """Nothing is opened before the first call."""
    store = SQLiteLimitStore(tmp_path / "limits.sqlite3")
    (tmp_path / "limits.sqlite3").mkdir()
    limiter = store.limiter(COMPANY, Limits())

    with pytest.raises(ConfigurationError, match=r"limits\.sqlite3"):
        await take(limiter)


async def test_an_answer_is_not_lost_with_the_file(store: SQLiteLimitStore) -> None:
    """If the file fails when a 429 is to be written, the call still has its answer."""
    limiter = store.limiter(COMPANY, Limits())
    permit = limiter.acquire(max_wait=60)
    async with permit:
        store.close()
        store.path.write_bytes(b"no database any more" * 1000)
        permit.throttled(1.0)

    with pytest.raises(ConfigurationError, match="damaged or foreign"):
        await limiter.quota()


async def test_clients_of_a_company_have_one_queue(store: SQLiteLimitStore) -> None:
    """The strictest limits of both apply to all calls."""
    one = store.limiter(COMPANY, Limits(per_day=500))
    two = store.limiter(COMPANY, Limits(per_second=2))

    assert one.company is two.company
    assert (two.company.limits.per_second, two.company.limits.per_day) == (2, 500)


def _next_slot(store: SQLiteLimitStore) -> float:
    """Return the first slot that is not reserved."""
    with closing(sqlite3.connect(store.path)) as connection:
        slot: float = connection.execute("SELECT next_slot FROM company").fetchone()[0]
    return slot


def _waits(limiter: Limiter) -> tuple[int, int, int]:
    """Return the calls that wait, by priority, and those in flight."""
    quota = asyncio.run(limiter.quota())
    return quota.waiting["interactive"], quota.waiting["bulk"], quota.in_flight


def _company(fake: FakeGong) -> str:
    """Return the name under which the workers' client keeps its limits."""
    names: list[str] = []

    class Spy(SQLiteLimitStore):
        def limiter(self, company: str, limits: Limits) -> Limiter:
            names.append(company)
            return super().limiter(company, limits)

    auth = gong_async.BasicAuth(fake.access_key, fake.access_key_secret)
    gong_async.GongClient(auth, base_url=fake.url, limit_store=Spy())
    return names[0]


def _child(store: SQLiteLimitStore, limits: Limits) -> None:
    """Make a call in a forked process; its exit code says whether that worked."""
    signal.alarm(20)  # a child that hangs must not outlive the test
    code = 1
    try:
        quota = asyncio.run(_take_and_look(store, limits))
        code = 0 if quota == 2 else 2
    finally:
        os._exit(code)


async def _take_and_look(store: SQLiteLimitStore, limits: Limits) -> int:
    limiter = store.limiter(COMPANY, limits)
    await take(limiter)
    return (await limiter.quota()).used_today


@posix
@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this platform cannot fork"
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_store_works_on_both_sides_of_a_fork(store: SQLiteLimitStore) -> None:
    """The child opens the file anew and counts into it; the parent goes on."""
    limits = Limits(per_second=None)
    asyncio.run(_take_and_look(store, limits))
    child = os.fork()
    if not child:
        _child(store, limits)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert code == 0
    assert asyncio.run(_take_and_look(store, limits)) == 3


@posix
def test_the_file_is_for_its_user_alone_and_holds_no_secret(
    start: Start, store: SQLiteLimitStore
) -> None:
    """Also what SQLite puts beside it; and neither key nor secret is in any of them."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        worker = start(fake, calls=3, limits={"per_second": 100})
        worker.ready()
        asyncio.run(take(store.limiter(COMPANY, Limits())))
        worker.go()
        worker.reported()
        secrets = [fake.access_key.encode(), fake.access_key_secret.encode()]
    files = list(store.path.parent.glob("limits.sqlite3*"))
    content = b"".join(file.read_bytes() for file in files)

    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert b"127.0.0.1" in content
    assert [secret for secret in secrets if secret in content] == []
