"""Real processes that share one login: none sends a spent token, and none can be killed into one.

They read their orders from stdin, so that their start takes no part in what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gong_async import FileTokenStore, Tokens
from gong_async.testing import FakeGong, Fault
from oauth.logins import approved, token_requests

WORKER = Path(__file__).with_name("worker.py")
TOKEN = "generateCustomerToken"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the worker forks")


class Worker:
    """A process that takes commands."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def order(self, order: str) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Hear what came of it."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@contextmanager
def workers(number: int, **where: str) -> Iterator[list[Worker]]:
    """Start some processes, and wait until they are ready."""
    started = [
        subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(where)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for _ in range(number)
    ]
    try:
        made = [Worker(process) for process in started]
        assert [worker.answer() for worker in made] == ["ready"] * number
        yield made
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.fixture
def fake() -> Iterator[FakeGong]:
    """Run a FakeGong without a limit in a thread of its own."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        yield fake


@pytest.fixture
def store(tmp_path: Path) -> FileTokenStore:
    """Return the store that all processes share."""
    return FileTokenStore(tmp_path / "state" / "login.json")


def save(store: FileTokenStore, tokens: Tokens) -> None:
    """Log in."""

    async def save() -> None:
        async with store.lock():
            await store.save(tokens)

    asyncio.run(save())


def test_f103_two_processes_with_one_file_renew_once(fake: FakeGong, store: FileTokenStore) -> None:
    """Ten times both begin with an expired token: ten renewals, and no spent token is sent."""
    save(store, approved(fake))
    ends: Counter[str] = Counter()
    with workers(2, url=fake.url, path=str(store.path)) as pair:
        for _ in range(10):
            fake.oauth.expire()
            for worker in pair:
                worker.order("call")
            for worker in pair:
                ends.update(worker.answer())

    assert ends == {"ok": 100}
    assert (fake.oauth.refreshes, fake.oauth.spent_sent, token_requests(fake)) == (10, 0, 10)


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.full)])
def test_f109_kill_in_the_middle_of_a_renewal(
    fake: FakeGong, store: FileTokenStore, kills: int
) -> None:
    """Killed at so many different moments, a login works, or says clearly that it is gone.

    It is gone if the kill came between Gong's giving of the new pair and its arrival on the disk:
    that window cannot be closed on this side.
    """
    fake.script(Fault.latency(0.02), on=TOKEN, times=None)
    save(store, approved(fake))
    ends: Counter[tuple[str, str]] = Counter()
    files: set[str] = set()
    with workers(1, url=fake.url, path=str(store.path)) as [worker]:
        fake.oauth.expire()
        began = time.monotonic()
        worker.order("call")
        worker.answer()
        whole = time.monotonic() - began
        # Of those that were late, the child had finished its work: they count for nothing.
        for number in itertools.cycle(range(kills)):
            if sum(ends[key] for key in ends if key[0] == "killed") == kills:
                break
            fake.oauth.expire()
            spent = fake.oauth.spent_sent
            worker.order(f"die {whole * (number + 1) / kills:.4f}")
            killed = worker.answer()
            worker.order("call")
            [(end, count)] = worker.answer().items()
            ends["killed" if killed else "done", end.partition(":")[0]] += 1
            assert count == 5
            assert fake.oauth.spent_sent - spent == (end != "ok")
            if end != "ok":
                assert end.startswith("LoginRequiredError: ") and "Log in again" in end
                save(store, approved(fake))
            files |= {path.name for path in store.path.parent.iterdir()}

    print({": ".join(end): count for end, count in ends.items()})  # noqa: T201 - seen with -rP
    assert set(ends) <= {("killed", "ok"), ("killed", "LoginRequiredError"), ("done", "ok")}
    assert files <= {"login.json", "login.json.lock", "login.json.new"}
