"""One scenario: jobs that are interrupted by shutdowns, and resumed by the next process."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cancellations.rules import (
    acknowledged_twice,
    interrupted_well,
    nothing_doubled,
    nothing_lost,
    repetitions,
)
from crash.evidence import Applied, Request
from crash.journal_view import JournalView, read_journal
from crash.server_process import ACCESS_KEY, ACCESS_KEY_SECRET, OracleProcess

from gong_async import BasicAuth, BulkOptions, GongClient, Limits, MeetingChange, MeetingUpdate
from shutdowns.servers import KINDS, Backend, Kind
from shutdowns.work import STYLES, Style

JOBS = 2
IN_FLIGHT = 3
FAULTS = {"drop_after": 0.02, "reset_before": 0.02, "500": 0.02, "slow": 0.9}
_FIRST_ID = 7_300_000_000_000_000_001
_START = datetime(2026, 11, 24, 15, tzinfo=UTC)
_STATES = frozenset({"interrupted", "planned", "completed"})
_BAD_WORDS = ("Traceback", "never awaited", "Exception ignored", "Warning:", "was destroyed")
_NOT_OURS = re.compile(r"unclosed <socket[^>]*laddr=\('127.0.0.1', \d+\)>|Enable tracemalloc")
"""uvicorn's supervisor leaves its listening socket to the interpreter."""
_OK = 200


@dataclass(frozen=True)
class Plan:
    """How a scenario goes."""

    seed: int
    kind: Kind
    style: Style
    faults: bool
    shutdowns: int = 4
    items: int = 120
    """Of each job."""

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.kind}, {self.style}{', faults' * self.faults}"


@dataclass
class Report:
    """What came of a scenario."""

    shutdowns: int = 0
    items: int = 0
    requests: int = 0
    clicks: int = 0
    states: Counter[str] = field(default_factory=Counter)
    """Of the jobs, after each shutdown."""
    repeated: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def make_plan(seed: int) -> Plan:
    """Return the plan of a seed: kinds and styles alternate."""
    kind, style = KINDS[seed % len(KINDS)], STYLES[seed // len(KINDS) % len(STYLES)]
    return Plan(seed, kind, style, faults=seed // (len(KINDS) * len(STYLES)) % 2 == 1)


def run_scenario(plan: Plan, oracle: OracleProcess, folder: Path) -> Report:
    """Shut a backend down several times, let the jobs come to their end, and check everything."""
    chance = random.Random(f"shutdowns {plan.seed}")
    folder.mkdir(parents=True)
    faults = FAULTS if plan.faults else {"slow": 1.0}
    url = oracle.open(seed=plan.seed, journal="", missing=[], barred=[], faults=faults)
    asyncio.run(_plan_jobs(url, folder, plan))
    report, backend = Report(), Backend(plan.kind, plan.style, url, folder)
    backend.watched.parent.mkdir()
    backend.watched.touch()
    try:
        for _ in range(plan.shutdowns):
            if not _interrupt(plan, backend, report, chance.uniform(0.02, 0.7)):
                break
    finally:
        backend.stop()
    oracle.calm()
    backend.finish()
    requests, applied = oracle.record()
    report.problems += _check(plan, backend, report, requests, applied)
    return report


def _interrupt(plan: Plan, backend: Backend, report: Report, seconds: float) -> bool:
    """Shut down while a job runs; return False if there is none left to run."""
    if not backend.running:
        since = len(backend.lines())
        # One without a web server counts from its start.
        backend.start(seconds + 0.3)
    else:
        since = max(n for n, line in enumerate(backend.lines()) if line.event == "start")
    going = backend.wait_for("outcome", "through", since=since)
    if going and not any(line.event == "outcome" for line in backend.lines()[since:]):
        return False
    with backend.load():
        if backend.kind != "task":
            time.sleep(seconds)
        backend.shut_down()
    report.shutdowns += 1
    for name, (state, why) in _states_left(backend).items():
        report.states[f"{state} ({why})" if why else str(state)] += 1
        if state not in _STATES:
            report.problems.append(f"shutdown {report.shutdowns} left {name} {state} ({why})")
        elif state == "interrupted" and not why:
            report.problems.append(f"shutdown {report.shutdowns} left {name} without a reason")
    if not backend.reloads:
        for path in sorted(backend.folder.glob("job-*.sqlite3")):
            view = read_journal(path)
            assert view is not None
            unanswered = plan.faults or plan.style == "cancel"
            found = interrupted_well(view, states=_STATES, unanswered=unanswered)
            report.problems += [
                f"shutdown {report.shutdowns}, {path.stem}: {what}" for what in found
            ]
    return True


def _states_left(backend: Backend) -> dict[str, tuple[str, str | None]]:
    """Return how a shutdown has left the jobs: as the next life found them, if there is one."""
    if backend.reloads:
        starts = [line for line in backend.lines() if line.event == "start"]
        found: dict[str, Any] = json.loads(" ".join(starts[-1].words))
        return {name: (state, why) for name, (state, why) in found.items()}
    states = {}
    for path in sorted(backend.folder.glob("job-*.sqlite3")):
        view = read_journal(path)
        assert view is not None
        states[path.name] = (view.header.get("state", ""), view.header.get("reason"))
    return states


async def _plan_jobs(url: str, folder: Path, plan: Plan) -> None:
    auth, limits = BasicAuth(ACCESS_KEY, ACCESS_KEY_SECRET), Limits(per_second=None, per_day=None)
    async with GongClient(auth, base_url=url, limits=limits, user_agent="planner/0") as client:
        for number in range(JOBS):
            first = _FIRST_ID + number * 100_000
            job = client.bulk(
                [_change(first + index) for index in range(plan.items)],
                journal=folder / f"job-{number}.sqlite3",
                state_dir=folder / "state",
                options=BulkOptions(max_in_flight=IN_FLIGHT, drain_seconds=10.0),
            )
            await job.plan()


def _change(meeting_id: int) -> MeetingChange:
    update = MeetingUpdate(
        start_time=_START,
        end_time=_START + timedelta(hours=1),
        organizer_email="dana@example.com",
        invitees=[],
        title=f"Review {meeting_id}",
    )
    return MeetingChange(meeting_id=meeting_id, update=update)


def _check(
    plan: Plan,
    backend: Backend,
    report: Report,
    requests: list[Request],
    applied: list[Applied],
) -> Iterator[str]:
    """Check what became of everything in the end."""
    sent: dict[str, list[Request]] = {}
    for request in requests:
        if request.operation == "updateMeeting":
            sent.setdefault(request.meeting_id or "", []).append(request)
            report.requests += 1
    effects: dict[str, list[Applied]] = {}
    for effect in applied:
        effects.setdefault(effect.meeting_id, []).append(effect)
    views = {path.name: read_journal(path) for path in sorted(backend.folder.glob("job-*.sqlite3"))}
    for name, view in views.items():
        assert view is not None
        report.items += len(view.items)
        report.repeated += repetitions(view)
        mine = {item.meeting_id: sent.get(item.meeting_id, []) for item in view.items.values()}
        under_way = IN_FLIGHT * report.shutdowns if plan.style == "cancel" else 0
        found = [
            *nothing_lost(view, effects),
            *nothing_doubled(view, mine),
            *acknowledged_twice(mine, most=under_way),
        ]
        if plan.style != "cancel" and not plan.faults and repetitions(view):
            found.append(f"{repetitions(view)} sent again, with time to be answered")
        yield from (f"{name}: {what}" for what in found)
    yield from _wrong_reported(backend, views)
    yield from _wrong_clicks(plan, backend, report, sent, effects)
    for line in backend.output.splitlines():
        if any(word in line for word in _BAD_WORDS) and not _NOT_OURS.search(line):
            yield f"a process said: {line.strip()}"


def _wrong_reported(backend: Backend, views: dict[str, JournalView | None]) -> Iterator[str]:
    """Yield the outcomes that a caller got and that the journal contradicts."""
    yielded: Counter[tuple[str, int]] = Counter()
    for line in backend.lines():
        if line.event == "outcome" and line.words[2] == "succeeded":
            yielded[line.words[0], int(line.words[1])] += 1
    for (name, index), times in yielded.items():
        view = views[name]
        assert view is not None
        state = view.items[index].state
        if state != "succeeded" or times > 1:
            yield f"{name}: item {index} was yielded as done {times} times; it is {state}"


def _wrong_clicks(
    plan: Plan,
    backend: Backend,
    report: Report,
    sent: dict[str, list[Request]],
    effects: dict[str, list[Applied]],
) -> Iterator[str]:
    """Yield the interactive updates that were acknowledged and not made, or made twice."""
    for line in backend.lines():
        if line.event == "asked":
            backend.asked.setdefault(line.words[0], []).append(int(line.words[1]))
    for meeting, answers in backend.asked.items():
        report.clicks += len(answers)
        if _OK in answers and not effects.get(meeting):
            yield f"meeting {meeting} was answered 200, and not updated"
        if not plan.faults and len(sent.get(meeting, [])) > 1:
            yield f"meeting {meeting} was clicked once, and sent {len(sent[meeting])} times"
        if any(answer not in {_OK, 503} for answer in answers) and not plan.faults:
            yield f"meeting {meeting} was answered {answers}"


def forget(folder: Path) -> None:
    """Remove what a scenario has written."""
    with suppress(OSError):
        shutil.rmtree(folder)
