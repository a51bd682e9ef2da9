"""Operations that are interrupted in every way, and breakages that have to be found."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crash.server_process import OracleProcess

from cancellations.campaign import run_case
from cancellations.cases import COMBINATIONS, EXITS, Subject, Way, make_case
from gong_async import GongClient
from gong_async._storage.lock import ProcessLock
from gong_async.bulk.runner import Run
from gong_async.bulk.store.journal import Journal
from gong_async.resources.meetings import Meetings

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")

ONE_OF_EACH = {way: subject for subject, way in [*COMBINATIONS, *EXITS] if subject != "plan"}
"""A representative of each way."""


@pytest.fixture(scope="module")
def oracle() -> Iterator[OracleProcess]:
    """Start the server's side."""
    with OracleProcess() as oracle:
        gc.collect()
        gc.freeze()  # what is there now need not be looked through after every case
        yield oracle
        gc.unfreeze()


@pytest.mark.parametrize(("way", "subject"), ONE_OF_EACH.items(), ids=ONE_OF_EACH)
def test_an_interruption_leaves_nothing_behind(
    oracle: OracleProcess, tmp_path: Path, way: Way, subject: Subject
) -> None:
    """No task, thread, descriptor, lock or complaint; the work goes on; nothing lost or doubled."""
    result = run_case(make_case(7, subject=subject, way=way), oracle, tmp_path / "case")

    assert result.problems == []


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1, 2001, 200))
def test_interruptions_at_random_steps(oracle: OracleProcess, tmp_path: Path, first: int) -> None:
    """2,000 seeds, over all operations and ways."""
    wrong = {}
    for seed in range(first, first + 200):
        case = make_case(seed)
        if problems := run_case(case, oracle, tmp_path / str(seed)).problems:
            wrong[str(case)] = problems

    assert wrong == {}


def test_every_way_is_tried_with_every_operation() -> None:
    """The seeds cover all combinations; few are over before anything happens."""
    tried = {(case.subject, case.way) for case in map(make_case, range(1, 2001))}

    assert tried == {*COMBINATIONS, *EXITS}


async def _task(client: GongClient) -> None:
    client.leak = asyncio.create_task(asyncio.sleep(60))  # type: ignore[attr-defined]


async def _thread(client: GongClient) -> None:
    threading.Thread(target=threading.Event().wait, args=(6.0,), daemon=True).start()


async def _descriptor(client: GongClient) -> None:
    os.open("/dev/null", os.O_RDONLY)


async def _coroutine(client: GongClient) -> None:
    asyncio.sleep(0)  # type: ignore[unused-coroutine]


@pytest.mark.full
@pytest.mark.parametrize(
    ("leak", "found"),
    [
        (_task, "left a task"),
        (_thread, "left 1 thread"),
        (_descriptor, "left 1 descriptor of /dev/null"),
        (_coroutine, "never awaited"),
    ],
)
def test_leaks_are_found(
    oracle: OracleProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leak: Callable[[GongClient], Any],
    found: str,
) -> None:
    """A library that leaves something behind on purpose is found out."""
    close, leaks = GongClient.close, [leak]

    async def leaking(self: GongClient) -> None:
        await close(self)
        if leaks:
            await leaks.pop()(self)

    monkeypatch.setattr(GongClient, "close", leaking)
    monkeypatch.setattr("cancellations.traces.MAX_WAIT", 0.1)
    result = run_case(make_case(7, subject="update", way="cancel"), oracle, tmp_path / "case")

    assert found in " ".join(result.problems)


@pytest.mark.full
def test_a_lock_that_is_kept_is_found(
    oracle: OracleProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one that keeps the job's lock."""
    monkeypatch.setattr(ProcessLock, "release", lambda self: None)
    monkeypatch.setattr("gong_async.bulk.job_task.LOCK_STEP", 0.001)
    monkeypatch.setattr("cancellations.traces.MAX_WAIT", 0.1)
    result = run_case(make_case(7, subject="run", way="cancel"), oracle, tmp_path / "case")

    assert "left the lock of the journal taken" in result.problems


@pytest.mark.full
def test_a_cancellation_that_is_swallowed_is_found(
    oracle: OracleProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one that goes on as if nothing had happened."""
    update = Meetings.update

    async def stubborn(self: Meetings, *args: Any) -> Any:
        try:
            return await update(self, *args)
        except asyncio.CancelledError:
            return await update(self, *args)

    monkeypatch.setattr(Meetings, "update", stubborn)
    case = replace(make_case(7, subject="update", way="cancel"), at=3)
    result = run_case(case, oracle, tmp_path / "case")

    assert any("did not raise CancelledError" in problem for problem in result.problems)


@pytest.mark.full
def test_a_lost_item_is_found(
    oracle: OracleProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one that leaves an item out."""
    page = Journal.page

    async def lossy(self: Journal, *args: Any) -> Any:
        return [item for item in await page(self, *args) if item.index != 3]

    monkeypatch.setattr(Journal, "page", lossy)
    result = run_case(make_case(7, subject="run", way="cancel"), oracle, tmp_path / "case")

    assert any("item 3 was lost" in problem for problem in result.problems)


@pytest.mark.full
def test_a_doubled_item_is_found(
    oracle: OracleProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is one that sends everything twice."""
    request = Run._request

    async def twice(self: Run, call: Any) -> Any:
        await request(self, call)
        return await request(self, call)

    monkeypatch.setattr(Run, "_request", twice)
    case = replace(make_case(7, subject="run", way="cancel"), here=False)
    result = run_case(case, oracle, tmp_path / "case")

    assert any(
        "was acknowledged, and sent again by the same client" in problem
        for problem in result.problems
    )
