"""One case from its beginning to its end, and what is wrong with it."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crash.evidence import Applied, Request
from crash.journal_view import read_journal
from crash.server_process import OracleProcess, environment

from cancellations.cases import Case
from cancellations.rules import acknowledged_twice, interrupted_well, nothing_doubled, nothing_lost
from cancellations.steps import StepLoop
from cancellations.subjects import IN_FLIGHT, ITEMS, Scene, change, go_on
from cancellations.traces import Holdings, complaints, left_since
from cancellations.ways import WAYS

FAULTS = {"drop_after": 0.05, "reset_before": 0.05, "500": 0.05}
_TURNS = 5
"""Iterations in which what was cancelled may come to its end."""
_SECONDS = 2.0
"""In which Python's own finalizers may come to their end."""
_LONGEST_EXIT = 30.0

Main = Callable[[Scene, StepLoop], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Result:
    """What came of a case."""

    problems: list[str]
    interrupted: bool
    """Whether it was interrupted while it was under way."""


def run_case(case: Case, oracle: OracleProcess, folder: Path) -> Result:
    """Interrupt an operation, go on with it, and return what is wrong."""
    folder.mkdir(parents=True)
    faults = FAULTS if case.faults else {}
    before = Holdings.now()
    journal = folder / "job.sqlite3"
    url = oracle.open(seed=case.seed, journal=str(journal), missing=[], barred=[], faults=faults)
    scene = Scene(case, url, folder, oracle.calm)
    with complaints() as said:
        for _ in range(1 if case.here else case.rounds):
            if case.way == "exit":
                _exit(scene)
            else:
                _in_loop(scene, _interrupt)
            gc.collect()
            if not case.here:
                scene.problems += _left_in_journal(scene)
        if not case.here:
            oracle.calm()
            _in_loop(scene, _go_on)
        scene.held = scene.job = None
    # A client that its user never closes is the user's mistake: Python warns.
    unclosed = case.way == "collect"
    scene.problems[:] = [
        problem for problem in [*scene.problems, *said] if not (unclosed and "Unclosed" in problem)
    ]
    scene.problems += left_since(before)
    requests, applied = oracle.record()
    scene.problems += _outcome(scene, requests, applied)
    return Result(scene.problems, scene.interrupted > 0)


def _in_loop(scene: Scene, main: Main) -> None:
    """Run a main coroutine as `asyncio.run` does, in a loop that counts its iterations."""
    loops: list[StepLoop] = []

    def make_loop() -> StepLoop:
        loops.append(StepLoop())
        return loops[0]

    try:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, StepLoop)
            runner.run(main(scene, loop))
    except RuntimeError as error:
        scene.problems.append(f"the event loop was stopped: {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        scene.problems.append(f"{main.__name__.strip('_')} raised {error!r}")
    for loop in loops:
        scene.problems += loop.problems


async def _interrupt(scene: Scene, loop: StepLoop) -> None:
    case = scene.case
    await _close_held(scene)
    client = scene.make_client()
    keep = case.way in {"end", "collect"} or (case.way == "leave" and case.at % 2)
    try:
        for _ in range(case.rounds if case.here else 1):
            scene.finished = False
            await WAYS[case.way](scene, client, loop)
            scene.interrupted += not scene.finished
        if case.way == "collect":
            scene.job = None
            del client
            gc.collect()
        if case.way in {"leave", "end"}:
            return
        if case.here:
            scene.calm()
            await go_on(scene, client)
        # What a slow reader does not close, Python closes, in a task of its own.
        patient = (case.way in {"abandon", "collect"} or case.slow) and not case.here
        scene.problems += await _left_tasks(patient=patient)
        scene.problems += _held_lock(scene)
    finally:
        if not keep:
            await client.close()
            if case.way != "leave":
                scene.problems += await _left_tasks(patient=False)
        elif case.way != "collect":
            scene.held = (scene.held, client)


async def _close_held(scene: Scene) -> None:
    """Close the client of a loop that has ended."""
    if isinstance(scene.held, tuple):
        await scene.held[1].close()
        scene.held = None


async def _go_on(scene: Scene, loop: StepLoop) -> None:
    await _close_held(scene)
    async with scene.make_client() as client:
        await go_on(scene, client)
        scene.problems += await _left_tasks(patient=False)
    scene.problems += await _left_tasks(patient=False)
    scene.problems += _held_lock(scene)


async def _left_tasks(*, patient: bool) -> Iterator[str]:
    """List the tasks that are still there, once they had time to end."""
    loop, turns = asyncio.get_running_loop(), 0
    give_up = loop.time() + _SECONDS
    while (left := asyncio.all_tasks() - {asyncio.current_task()}) and (
        turns < _TURNS or (patient and loop.time() < give_up)
    ):
        turns += 1
        await asyncio.sleep(0.001 if patient else 0)
    return (f"left a task: {_name(task)}" for task in left)


def _name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", coroutine))


def _held_lock(scene: Scene) -> Iterator[str]:
    """Yield a problem if the job's lock cannot be acquired."""
    import fcntl  # noqa: PLC0415 - not there on Windows

    with suppress(FileNotFoundError):
        opened = os.open(scene.journal.with_name(f"{scene.journal.name}.lock"), os.O_RDWR)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield "left the lock of the journal taken"
        finally:
            os.close(opened)


_LEFT_OPEN = re.compile(
    r"Task was destroyed but it is pending!\ntask: <[^\n]*\n"
    r"|Unclosed client session\nclient_session: [^\n]*\n"
    r"|Unclosed connector\nconnections: [^\n]*\nconnector: [^\n]*\n"
)
"""What asyncio and aiohttp report of a program that closes neither its loop nor its client."""


def _exit(scene: Scene) -> None:
    """Let an interpreter shut down while it has a half-read job."""
    command = [sys.executable, "-m", "cancellations.exiting", scene.url, str(scene.folder)]
    case = scene.case
    ended = subprocess.run(
        [*command, str(case.seed), case.subject],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_EXIT,
    )
    said = ended.stderr
    if case.subject == "update_many":
        said = _LEFT_OPEN.sub("", said)
    if ended.returncode or said:
        scene.problems.append(f"exit code {ended.returncode}: {said[-1500:]}")
    scene.clients += 1
    scene.interrupted += 1
    scene.yielded.update((meeting, ok == "True") for meeting, ok in map(str.split, _lines(ended)))


def _lines(ended: subprocess.CompletedProcess[str]) -> list[str]:
    return ended.stdout.splitlines()


def _left_in_journal(scene: Scene) -> Iterator[str]:
    """Check the journal as the interruption has left it."""
    case = scene.case
    if case.subject not in {"run", "plan"}:
        return
    yield from _held_lock(scene)
    view = read_journal(scene.journal)
    if view is None:
        if scene.yielded:
            yield "there is no journal of what the caller got"
        return
    states = {"interrupted", "planned", "completed"}
    if case.faults:
        states.add("paused")  # something failed for good
    if case.way == "exit":
        states.add("running")
    yield from interrupted_well(view, states=states, unanswered=case.way != "close" or case.faults)
    for item in view.items.values():
        if scene.yielded.get(item.meeting_id) and item.state != "succeeded":
            yield f"the caller got item {item.index} as done; it is {item.state}"


def _outcome(scene: Scene, requests: list[Request], applied: list[Applied]) -> Iterator[str]:
    """Check Gong's record: nothing is lost, and nothing doubled without a cause."""
    case = scene.case
    sent: dict[str, list[Request]] = {}
    for request in requests:
        if request.operation == "updateMeeting":
            sent.setdefault(request.meeting_id or "", []).append(request)
    effects: dict[str, list[Applied]] = {}
    for effect in applied:
        effects.setdefault(effect.meeting_id, []).append(effect)
    if case.subject in {"run", "plan"}:
        yield from _outcome_of_job(scene, sent, effects)
    else:
        yield from _outcome_of_calls(case, sent, effects)


def _outcome_of_job(
    scene: Scene, sent: dict[str, list[Request]], effects: dict[str, list[Applied]]
) -> Iterator[str]:
    case, view = scene.case, read_journal(scene.journal)
    if view is None:
        yield "in the end there is no journal"
        return
    if len(view.items) != ITEMS:
        yield f"the journal has {len(view.items)} items"
    yield from nothing_lost(view, effects)
    yield from nothing_doubled(view, sent)
    if not case.here:
        under_way = 0 if case.way == "close" else IN_FLIGHT * case.rounds
        yield from acknowledged_twice(sent, most=under_way)


def _outcome_of_calls(
    case: Case, sent: dict[str, list[Request]], effects: dict[str, list[Applied]]
) -> Iterator[str]:
    meetings = [change(number).meeting_id for number in range(ITEMS)]
    most = case.rounds + 1 if case.here else 1
    for meeting in meetings[:1] if case.subject == "update" else meetings:
        if not effects.get(meeting):
            yield f"meeting {meeting} was lost"
        by_client = Counter(request.life for request in sent.get(meeting, []))
        if not case.faults and any(count > most for count in by_client.values()):
            yield f"meeting {meeting} was sent {by_client} times"
