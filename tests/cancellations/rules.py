"""What holds of a job's journal and of Gong's record after every interruption.

Nothing of the library is imported: the journal is read with plain SQL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from crash.evidence import Applied, Request
from crash.journal_view import Attempt, JournalView, problems

_OK = 200


def interrupted_well(
    view: JournalView, *, states: Iterable[str], unanswered: bool
) -> Iterator[str]:
    """Yield what is wrong with a journal that an interrupted run has left.

    Args:
        view: the journal.
        states: what the job's state may be.
        unanswered: whether requests may have lost their answers.
    """
    state, why = view.header.get("state"), view.header.get("reason")
    if state not in set(states):
        yield f"the job was left {state}"
    if state in {"interrupted", "paused"} and not why:
        yield f"the job was left {state} without a reason"
    for item in view.in_state("failed"):
        yield f"item {item.index} failed, and Gong refused nothing: {item.status} {item.message}"
    if state != "running":
        for item in view.in_state("in_flight"):
            yield f"item {item.index} was left sent, and the job is {state}"
    if not unanswered:
        for item in view.in_state("in_flight", "in_doubt"):
            yield f"item {item.index} was left {item.state}, with time to end"
    yield from problems(view)


def nothing_lost(view: JournalView, effects: Mapping[str, list[Applied]]) -> Iterator[str]:
    """Yield the items that did not reach their meeting in the end."""
    if view.header.get("state") != "completed":
        yield f"in the end the job is {view.header.get('state')}: {view.header.get('why')}"
    for item in view.items.values():
        applied = effects.get(item.meeting_id, [])
        if item.state != "succeeded":
            yield f"in the end item {item.index} is {item.state}: {item.message}"
        if not applied:
            yield f"item {item.index} was lost: meeting {item.meeting_id} was never updated"
        elif applied[-1].sha != item.digest.lower():
            yield f"meeting {item.meeting_id} has other bytes than item {item.index}"
    yield from problems(view)


def nothing_doubled(view: JournalView, requests: Mapping[str, list[Request]]) -> Iterator[str]:
    """Yield the meetings that were sent a second request without a cause in the journal."""
    attempts: dict[int, list[Attempt]] = {}
    for attempt in view.attempts:
        attempts.setdefault(attempt.index, []).append(attempt)
    for item in view.items.values():
        sent, announced = requests.get(item.meeting_id, []), attempts.get(item.index, [])
        if len(sent) > len(announced):
            yield f"item {item.index} was sent {len(sent)} times, announced {len(announced)} times"
        for attempt in announced[:-1]:
            if attempt.ended and attempt.error is None:
                yield f"item {item.index} was sent again after attempt {attempt.number} succeeded"
    for meeting, sent in requests.items():
        yield from (f"meeting {meeting}: {what}" for what in _overlaps(sent))


def acknowledged_twice(requests: Mapping[str, list[Request]], *, most: int) -> Iterator[str]:
    """Yield what was sent again although Gong had acknowledged it.

    Within a life that is always wrong. Later it is right for what was under way at the end of the
    life before, whose answer came too late: for at most `most` meetings.
    """
    late = 0
    for meeting, sent in requests.items():
        for one, other in pairwise(sent):
            if one.status != _OK or not one.clear:
                continue
            late += one.life != other.life
            if one.life == other.life:
                yield f"meeting {meeting} was acknowledged, and sent again by the same client"
    if late > most:
        yield f"{late} meetings were acknowledged, and sent again later; {most} were under way"


def repetitions(view: JournalView) -> Counter[str]:
    """Count the causes of second requests, as the journal has them."""
    last = {item.index: item.attempts for item in view.items.values()}
    return Counter(
        attempt.error or "no answer"
        for attempt in view.attempts
        if attempt.number < last[attempt.index]
    )


def _overlaps(sent: list[Request]) -> Iterator[str]:
    """Yield what was sent while an earlier request of the meeting was answered still."""
    for one, other in pairwise(sent):
        if one.status == _OK and one.clear and one.ended is not None and other.at < one.ended:
            yield f"request {other.index} came while {one.index} was under way"
