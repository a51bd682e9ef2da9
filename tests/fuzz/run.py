"""Runs cases against the client and judges how each call ended."""

from __future__ import annotations

import asyncio
import gc
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from fuzz.cases import Case, case
from fuzz.reading import UnreadableError, json_object, read
from fuzz.server import Server
from gong_async import (
    APIConnectionError,
    BasicAuth,
    CreatedMeeting,
    DeletedMeeting,
    GongClient,
    GongError,
    IntegrationStatus,
    Limits,
    MeetingUpdate,
    NewMeeting,
    Result,
    RetryPolicy,
    UpdatedMeeting,
)
from gong_async.limits.limiter import CompanyLimits
from gong_async.limits.memory import MemoryLimitStore, MemoryQueue
from gong_async.limits.queue import Queue
from gong_async.limits.types import PermitOutcome

TIMEOUT = 3.0
"""Seconds for one call of the client."""
_HANGS_AFTER = 5 * TIMEOUT
_AT_ONCE = 32
_SUCCESSES = frozenset({200, 201, 202, 204})
_MOST_KEPT = 20


@define(eq=False)
class _NeverPaused(MemoryQueue):
    """Grants permits whatever the answers are."""

    async def settle(self, outcome: PermitOutcome) -> None:
        """Do nothing: a forged 429 must not pause the next case."""


class _Unlimited(MemoryLimitStore):
    """Limits that no answer changes, so that a forged 429 does not stop the run."""

    def make_queue(self, company: CompanyLimits) -> Queue:
        """Return a queue that is never paused."""
        return _NeverPaused(company.limits, company)


@define
class Tally:
    """What a run has found."""

    ends: Counter[str] = field(factory=Counter)
    """How the calls ended: "ok", or the name of the error."""
    accidents: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    """Cases that must not end as they did, each with its number; the first few."""
    wrongs: Counter[str] = field(factory=Counter)
    opened: int = 0
    left_open: int = 0
    complaints: list[str] = field(factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was wrong."""
        return not self.wrongs and not self.left_open and not self.complaints

    def note(self, kind: str, case: Case, what: object) -> None:
        """Take note of a case that went wrong."""
        self.wrongs[kind] += 1
        if len(self.wrong) < _MOST_KEPT:
            self.wrong.append(f"{kind}: case {case.number} {case.kind} {case.accidents}: {what}")


async def run(seed: int, numbers: range, tally: Tally | None = None) -> Tally:
    """Make one call for each case, many at a time over the same connections."""
    tally = tally or Tally()
    loop = asyncio.get_running_loop()
    previous = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: tally.complaints.append(_describe(context)))
    queue = iter(numbers)
    async with Server(lambda number: case(seed, number)) as server:
        gong = GongClient(
            BasicAuth("fuzz-access-key", "fuzz-access-key-secret"),
            base_url=server.url,
            limits=Limits(per_second=None, per_day=None, max_in_flight=_AT_ONCE),
            retry=RetryPolicy(max_attempts=1, max_refusals=0),
            timeout=TIMEOUT,
            limit_store=_Unlimited(),
        )

        async def work() -> None:
            for number in queue:
                await _one(gong, case(seed, number), tally)

        async with gong, asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())
        for _ in range(100):
            if not server.open:
                break
            await asyncio.sleep(0.01)
        tally.left_open += server.open
        tally.opened += server.opened
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            gc.collect()
            tally.complaints += [str(warning.message) for warning in caught]
    loop.set_exception_handler(previous)
    return tally


def _describe(context: Mapping[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r}"


async def _one(gong: GongClient, case: Case, tally: Tally) -> None:
    tally.accidents.update(case.accidents or ["none"])
    try:
        async with asyncio.timeout(_HANGS_AFTER):
            result = await _call(gong, case)
    except GongError as error:
        tally.ends[type(error).__name__] += 1
        if problem := _misjudged(case, error):
            tally.note("refused though right", case, problem)
    except TimeoutError:
        tally.note("hang", case, f"no end within {_HANGS_AFTER} s")
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        tally.note("foreign exception", case, repr(error))
    else:
        tally.ends["ok"] += 1
        if problem := false_success(case, result):
            tally.note("false success", case, problem)


async def _call(gong: GongClient, case: Case) -> Result:
    fields: dict[str, Any] = {
        "start_time": datetime(2026, 11, 24, 15, tzinfo=UTC),
        "end_time": datetime(2026, 11, 24, 16, tzinfo=UTC),
        "organizer_email": case.email,
        "invitees": (),
    }
    match case.kind:
        case "update":
            return await gong.meetings.update(case.meeting_id, MeetingUpdate(**fields))
        case "create":
            return await gong.meetings.create(NewMeeting(**fields))
        case "delete":
            return await gong.meetings.delete(case.meeting_id, organizer_email=case.email)
        case "status":
            return await gong.meetings.integration_status([case.email])


def _text(value: object) -> str:
    """Return an id or a text as it is handed out: what is no character is replaced."""
    return re.sub("[\ud800-\udfff]", "\ufffd", str(value))


def _misjudged(case: Case, error: GongError) -> str:
    """Return why an error is wrong for an answer to which nothing has happened."""
    if case.accidents or case.ending in {"hold", "reset"}:
        return ""
    if isinstance(error, APIConnectionError):
        return ""  # on a kept connection, whose end after another case was on its way
    status = read(case.answer).status
    if case.kind != "delete" and status == 204:
        return ""  # these need content
    return repr(error) if status in _SUCCESSES or error.status != status else ""


def false_success(case: Case, result: Result) -> str:
    """Return why a success is none, judged by the bytes alone; "" if it is one."""
    try:
        reading = read(case.answer)
        if reading.status not in _SUCCESSES:
            return f"the status is {reading.status}"
        if not reading.body.strip() and case.kind == "delete":
            return ""
        said = json_object(reading.body)
    except UnreadableError as error:
        return str(error)
    if said.get("errors"):
        return "it reports errors"
    match result:
        case UpdatedMeeting() | DeletedMeeting():
            reported = said.get("meetingId")
            if reported is not None and str(reported) != case.meeting_id:
                return f"it is about meeting {reported}"
            return "" if result.meeting_id == case.meeting_id else "another id was returned"
        case CreatedMeeting():
            reported = str(said.get("meetingId"))
            if not (reported.isascii() and reported.isdigit() and len(reported) <= 20):
                return f"{reported} is no id"
            return "" if result.meeting_id == reported else "another id was returned"
        case IntegrationStatus():
            reported = said.get("users") or []
            ours = [(user.email, user.exists, user.valid) for user in result.users]
            theirs = [(_text(user["email"]), user["exists"], user["valid"]) for user in reported]
            return "" if ours == theirs else f"{ours} was returned for {theirs}"
        case _:
            return "an unknown result"
