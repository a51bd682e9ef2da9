"""I1 to I5: what becomes of each item. Nothing of the library is imported."""

from __future__ import annotations

from collections.abc import Iterator

from crash.evidence import Applied, Evidence, Life, Request
from crash.journal_view import (
    FINAL,
    REASONS,
    Item,
    JournalView,
    problems,
    read_journal,
    read_ledger,
)

_TIMEOUT = 0.4
"""Seconds after which the victim may have given up on an answer."""
_NOT_DONE = frozenset({"failed", "in_doubt"})


def final(evidence: Evidence) -> JournalView:
    """Return the journal at the end."""
    view = read_journal(evidence.journal)
    if view is None:
        raise AssertionError(f"there is no journal at {evidence.journal}")
    return view


def every_item_has_one_final_state(evidence: Evidence) -> Iterator[str]:
    """I1: one item for each row, in one final state; counts, exit code and report agree.

    For SQLite this holds of every moment: what a death has left is consistent, too. And what the
    caller got is in the journal, however soon after that the process died.
    """
    view, rows = final(evidence), evidence.manifest.rows
    if [item.meeting_id for item in view.items.values()] != [row.meeting_id for row in rows]:
        yield "the journal's items are not the file's rows"
        return
    for item in view.items.values():
        yield from _wrong_end(evidence, item)
    yield from problems(view)
    yield from _wrong_sum(evidence, view)
    for life in evidence.lives:
        yield from _wrong_death(life)


def _wrong_end(evidence: Evidence, item: Item) -> Iterator[str]:
    """Yield what is wrong with the state in which an item ends."""
    manifest, row = evidence.manifest, evidence.manifest.rows[item.index]
    ends = f"item {item.index} ends as {item.state} ({item.reason})"
    legal = item.reason in REASONS if item.state == "skipped" else item.reason is None
    if item.state not in FINAL or not legal:
        yield ends
    if (item.reason == "superseded") != (manifest.last[row.meeting_id] is not row):
        yield f"{ends}, against the file"
    elif manifest.last[row.meeting_id] is row:
        barred = row.body["organizerEmail"] in manifest.barred
        if barred != (item.reason == "organizer"):
            yield f"{ends}, against its organizer"


def _wrong_sum(evidence: Evidence, view: JournalView) -> Iterator[str]:
    """Yield where the job, its exit code or its report say something else than its items."""
    if view.header.get("state") != "completed":
        yield f"the job is {view.header.get('state')}"
    bad = [i for i in view.items.values() if i.state in _NOT_DONE or i.reason == "organizer"]
    code = evidence.life(evidence.last_work).exit_code
    if code != (1 if bad else 0):
        yield f"exit code {code}, with {len(bad)} not done"
    if evidence.report is not None:
        reported = {int(row["index"]): row["state"] for row in evidence.report}
        if reported != {item.index: item.state for item in view.items.values()}:
            yield "the report does not say what the journal says"


def _wrong_death(life: Life) -> Iterator[str]:
    """Yield what is wrong with what a process has left behind."""
    if "Traceback" in life.output or "Warning:" in life.output:
        yield f"life {life.number} said: {life.output[-300:]}"
    if life.after is not None:
        yield from (f"after life {life.number}: {what}" for what in problems(life.after))
    for index, state in life.reported if life.kind != "again" else ():
        if life.after is None or life.after.items[index].state != state:
            yield f"life {life.number} reported that item {index} is {state}; the journal does not"


def done_was_applied(evidence: Evidence) -> Iterator[str]:
    """I2: what is done was applied, last with the manifest's bytes; the ledger knows it.

    And the other way round: when nothing goes wrong any more, all that can be done is done.
    """
    ledger, effects = read_ledger(evidence.ledger), evidence.effects()
    for meeting, (digest, claim) in ledger.items():
        applied = effects.get(meeting, [])
        if digest is not None and claim is None and (not applied or applied[-1].sha != digest):
            yield f"the ledger knows what meeting {meeting} was given, and is wrong"
    for item in final(evidence).items.values():
        row = evidence.manifest.rows[item.index]
        if item.state == "skipped":
            continue
        if item.state != "succeeded":
            if evidence.calm and row.meeting_id not in evidence.manifest.missing:
                yield f"item {item.index} could be done, and is {item.state}: {item.message}"
            continue
        applied = effects.get(item.meeting_id, [])
        if not applied:
            yield f"item {item.index} is done, and was never applied"
        elif applied[-1].sha != item.digest.lower() or applied[-1].body != row.body:
            yield f"item {item.index} is done, and was applied with other bytes"
        if ledger.get(item.meeting_id) != (item.digest.lower(), None):
            yield f"item {item.index} is done, and the ledger says {ledger.get(item.meeting_id)}"


def failed_was_refused(evidence: Evidence) -> Iterator[str]:
    """I3: what failed was refused for certain; what is in doubt has a reason to be."""
    updates, effects = evidence.updates(), evidence.effects()
    open_at_death = _open_at_death(evidence)
    for item in final(evidence).in_state("failed", "in_doubt"):
        requests = updates.get(item.meeting_id, [])
        died = item.index in open_at_death
        if item.state == "in_doubt":
            if not died and all(request.clear for request in requests):
                yield f"item {item.index} is in doubt without a reason"
            continue
        if died or not all(request.clear or request.refused for request in requests):
            yield f"item {item.index} failed, and may have been applied"
        if item.meeting_id in effects:
            yield f"item {item.index} failed, and was applied"
        if not requests or requests[-1].status != item.status:
            yield f"item {item.index} failed with {item.status}, which was not the last answer"


def nothing_is_applied_in_vain(evidence: Evidence) -> Iterator[str]:
    """I4: applied again only for a lost answer or a death; what was acknowledged stays so.

    A death is a cause if the answer was not written by then. All updates are PUT: there is nothing
    here that must not be repeated after a doubt.
    """
    for meeting, cause in repeated(evidence):
        if cause is None:
            yield f"meeting {meeting} was applied again, and nothing was in doubt"
    updates = evidence.updates()
    for life in evidence.lives:
        for item in life.after.in_state("succeeded", "failed") if life.after else ():
            if any(request.life > life.number for request in updates.get(item.meeting_id, ())):
                yield f"item {item.index} was {item.state} after life {life.number}, and sent again"


def repeated(evidence: Evidence) -> Iterator[tuple[str, str | None]]:
    """Yield the meetings that were applied again, once for each time, with the cause."""
    requests = {request.index: request for request in evidence.requests}
    open_at_death = _open_at_death(evidence)
    indexes = {row.meeting_id: index for index, row in enumerate(evidence.manifest.rows)}
    for meeting, effects in evidence.effects().items():
        for effect in sorted(effects, key=lambda effect: effect.request)[:-1]:
            request = requests[effect.request]
            deaths = open_at_death.get(indexes.get(meeting, -1), set())
            yield meeting, _cause(evidence, request, effect, deaths)


def _cause(evidence: Evidence, request: Request, effect: Applied, deaths: set[int]) -> str | None:
    last = [r for r in evidence.updates()[effect.meeting_id] if r.life == request.life][-1]
    if request.life in deaths and last is request:
        return "killed before the answer was written"
    if not request.clear:
        return f"answer lost: {request.fault or 'connection'} {request.status or ''}".rstrip()
    if request.ended is None or request.ended - request.at > _TIMEOUT:
        return "answer too late"
    return None


def _open_at_death(evidence: Evidence) -> dict[int, set[int]]:
    """Return the lives at whose death an item was in flight, by the item's index."""
    found: dict[int, set[int]] = {}
    for life in evidence.lives:
        if life.after is not None and life.killed:
            for item in life.after.in_state("in_flight"):
                found.setdefault(item.index, set()).add(life.number)
    return found


def bytes_are_the_same(evidence: Evidence) -> Iterator[str]:
    """I5: whatever was sent or applied for an item has the manifest's bytes."""
    digests = {i.meeting_id: i.digest.lower() for i in final(evidence).items.values()}
    for request in evidence.requests:
        whole = request.operation == "updateMeeting" and not request.lost
        if whole and request.sha != digests.get(request.meeting_id or ""):
            yield f"request {request.index} has other bytes than meeting {request.meeting_id}"
    for effect in evidence.applied:
        row = evidence.manifest.last.get(effect.meeting_id)
        if row is None or effect.body != row.body:
            yield f"meeting {effect.meeting_id} was given what the file does not say"
