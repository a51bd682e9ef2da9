"""I6 to I13: what the processes do on the wire, in their files, and to the machine.

Nothing of the library is imported.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import quote

from crash.evidence import Evidence
from crash.item_rules import final

_TOO_MANY = 429
_JITTER = 0.03
"""Seconds by which calls may come to the server closer together than they left."""
_IN_FLIGHT = 0.15
"""Seconds in which a call may still arrive that left before a refusal was known."""
_MOST_MEMORY = 120 * 2**20
_MOST_FILES = 64
_JOURNAL_BASE = 192 * 1024
_JOURNAL_PER_ATTEMPT = 2048
_LOG = 5 * 2**20
_UNSEEN = 0.1
"""Share of the requests at whose arrival the journal need not have been readable."""


def attempts_do_not_overlap(evidence: Evidence) -> Iterator[str]:
    """I6: within a life, no request for a meeting while another one is in flight."""
    for meeting, requests in evidence.updates().items():
        for first, second in pairwise(requests):
            if first.life != second.life:
                continue
            if first.ended is None or second.at < first.ended:
                yield f"meeting {meeting}: request {second.index} overlaps {first.index}"


def limit_is_kept(evidence: Evidence) -> Iterator[str]:
    """I7: no second sees more requests than the limit, over all lives together.

    Requests are seen where they arrive, a little closer together than they left.
    """
    if evidence.per_second is None:
        return
    most = int(evidence.per_second)
    times = [request.at for request in evidence.requests]
    for early, late in zip(times, times[most:], strict=False):
        if late - early < 1.0 - _JITTER:
            yield f"{most + 1} requests within {late - early:.3f} s"


def refusals_are_heeded(evidence: Evidence) -> Iterator[str]:
    """I8: after a 429 nothing comes before its time is over, not even from the next life.

    A process that died with the refusal unread, or just read, could not pass it on to the next one.
    """
    for refusal in evidence.requests:
        if refusal.status != _TOO_MANY or refusal.ended is None or refusal.lost:
            continue
        life = evidence.life(refusal.life)
        unheard = life.killed and life.ended < refusal.ended + _IN_FLIGHT
        for other in evidence.requests:
            if not refusal.ended + _IN_FLIGHT < other.at < refusal.ended + 1.0:
                continue
            if other.life == refusal.life or not unheard:
                yield f"request {other.index} came {other.at - refusal.ended:.2f} s after a refusal"


def prefixes_are_accepted(evidence: Evidence) -> Iterator[str]:
    """I9: see `prefixes`, where it is restated for SQLite's log."""
    yield from evidence.prefixes


def finished_is_finished(evidence: Evidence) -> Iterator[str]:
    """I10: going on with a finished job sends nothing, and ends with the same code.

    What is in doubt at its end may be tried again: that is what going on is for. Another job of
    what is done sends nothing, either: the ledger knows it.
    """
    if evidence.idle_resume is None:
        return
    idle, before = evidence.life(evidence.idle_resume), evidence.life(evidence.last_work)
    assert before.after is not None
    doubts = {item.meeting_id for item in before.after.in_state("in_doubt")}
    for request in evidence.requests:
        if request.life == idle.number and request.meeting_id not in doubts:
            yield f"a finished job sent request {request.index} ({request.operation})"
    if idle.exit_code != before.exit_code:
        yield f"exit code {before.exit_code}, and {idle.exit_code} when asked again"
    for request in evidence.again or ():
        yield f"another job sent what was done: {request.operation} {request.meeting_id}"
    if idle.after is None or idle.after.tally != before.after.tally:
        yield "the counts have changed"


def no_secret_is_written(evidence: Evidence) -> Iterator[str]:
    """I11: no spelling of a secret in any file of the job, nor in anything that was printed."""
    spellings = {
        spelling.encode()
        for secret in evidence.secrets
        for spelling in (
            secret,
            base64.b64encode(secret.encode()).decode().rstrip("="),
            quote(secret, safe=""),
            json.dumps(secret)[1:-1],
        )
    }
    for file in sorted(evidence.folder.rglob("*")):
        if file.is_file() and any(spelling in file.read_bytes() for spelling in spellings):
            yield f"a secret is in {file.relative_to(evidence.folder)}"
    for life in evidence.lives:
        if any(spelling in life.output.encode() for spelling in spellings):
            yield f"a secret was printed by life {life.number}"


def every_request_was_announced(evidence: Evidence) -> Iterator[str]:
    """I12: the journal holds an intent for each request, and held it when the request arrived."""
    view = final(evidence)
    announced: dict[str, int] = {}
    for attempt in view.attempts:
        meeting = view.items[attempt.index].meeting_id
        announced[meeting] = announced.get(meeting, 0) + 1
    updates = evidence.updates()
    unseen = 0
    for meeting, requests in updates.items():
        if announced.get(meeting, 0) < len(requests):
            yield f"meeting {meeting}: {len(requests)} requests, {announced.get(meeting)} announced"
        for request in requests:
            unseen += request.announced is None
            if request.announced is not None and request.announced < request.expected:
                yield f"request {request.index} arrived before it was announced"
    if unseen > max(3, _UNSEEN * sum(map(len, updates.values()))):
        yield f"the journal could not be read for {unseen} requests"


def resources_are_bounded(evidence: Evidence) -> Iterator[str]:
    """I13: memory and open files of each process, and the journal's size, stay in bounds."""
    for life in evidence.lives:
        if life.most_memory > _MOST_MEMORY:
            yield f"life {life.number} took {life.most_memory / 2**20:.0f} MB"
        if life.most_files > _MOST_FILES:
            yield f"life {life.number} had {life.most_files} files open"
        if life.kept is None or life.after is None:
            continue
        bound = _JOURNAL_BASE + _JOURNAL_PER_ATTEMPT * len(life.after.attempts)
        for part, most in (("", bound), ("-wal", _LOG)):
            file = life.kept / f"job.sqlite3{part}"
            if file.exists() and file.stat().st_size > most:
                yield f"job.sqlite3{part} has {file.stat().st_size:,} bytes after {life.number}"
