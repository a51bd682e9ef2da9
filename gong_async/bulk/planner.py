"""Plans a job, and checks its organizers before updates are spent."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

from gong_async.bulk.error_scope import Scope, Stop, scope_of, stop_for
from gong_async.bulk.records import Forecast
from gong_async.bulk.store.journal import Journal, NewItem
from gong_async.errors import GongError, PermissionDeniedError, ValidationError
from gong_async.limits.day import DAY
from gong_async.limits.types import Limits, Quota
from gong_async.models.meetings import (
    Change,
    MeetingChange,
    MeetingUpdate,
    UserIntegration,
    meeting_id,
)
from gong_async.resources.meetings import EMAILS_PER_CALL, Meetings

Changes = Iterable[Change] | AsyncIterable[Change]
Encode = Callable[[object], bytes]
"""Returns the JSON of an update."""

_CHUNK = 500


@runtime_checkable
class Pages(Protocol):
    """A source that blocks while it reads, such as a file, and knows the line of each change."""

    def numbered_pages(self) -> Iterator[Sequence[tuple[int, Change]]]:
        """Read the source once; yield lines and changes."""
        ...


async def write_plan(journal: Journal, changes: Changes, encode: Encode) -> str:
    """Write all changes to the journal; return their digest.

    Raises:
        ValidationError: a change cannot be right; its index is named.
        InputError: the same for a file, whose faults are all counted.
    """
    total = hashlib.sha256()
    taken = 0
    async for chunk in _chunks(changes, encode):
        for item in chunk:
            _digest(total, item)
        await journal.add(taken, chunk)
        taken += len(chunk)
    return total.hexdigest()


async def digest_of(changes: Changes, encode: Encode) -> str:
    """Return the digest of changes, to compare with a journal."""
    total = hashlib.sha256()
    async for chunk in _chunks(changes, encode):
        for item in chunk:
            _digest(total, item)
        await asyncio.sleep(0)
    return total.hexdigest()


def _digest(total: hashlib._Hash, item: NewItem) -> None:
    total.update(f"{item.meeting_id} {item.digest.hex()}\n".encode())


async def _chunks(changes: Changes, encode: Encode) -> AsyncGenerator[list[NewItem], None]:
    if isinstance(changes, Pages):
        pages = changes.numbered_pages()
        index = 0

        def read() -> list[NewItem] | None:
            page = next(pages, None)
            if page is None:
                return None
            return [_item(encode, n, line, c) for n, (line, c) in enumerate(page, index)]

        while (items := await asyncio.to_thread(read)) is not None:
            index += len(items)
            if items:
                yield items
        return
    chunk: list[NewItem] = []
    index = 0
    async for change in _pulling(changes):
        chunk.append(_item(encode, index, None, change))
        index += 1
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _item(encode: Encode, index: int, line: int | None, change: Change) -> NewItem:
    id_, update = _parts(change, index)
    try:
        body = encode(update)
    except (TypeError, ValueError) as error:
        raise ValidationError(f"changes[{index}]", f"has no JSON form: {error}") from None
    return NewItem(
        line=line,
        meeting_id=id_,
        organizer_email=update.organizer_email,
        digest=hashlib.sha256(body).digest(),
        body=body,
    )


async def _pulling(changes: Changes) -> AsyncGenerator[Change, None]:
    """Iterate over either kind of source; close an async generator on early exit."""
    if isinstance(changes, AsyncIterable):
        try:
            async for change in changes:
                yield change
        finally:
            if isinstance(changes, AsyncGenerator):
                await changes.aclose()
    else:
        for change in changes:
            yield change


def _parts(change: Change, index: int) -> tuple[str, MeetingUpdate]:
    match change:
        case MeetingChange():
            return change.meeting_id, change.update
        case (id_, MeetingUpdate() as update):
            try:
                return meeting_id(id_), update
            except ValidationError as error:
                raise ValidationError(f"changes[{index}].{error.field}", error.problem) from None
    problem = f"expected a MeetingChange or (id, MeetingUpdate), got {type(change).__name__}"
    raise ValidationError(f"changes[{index}]", problem)


def forecast(requests: int, *, quota: Quota, limits: Limits) -> Forecast:
    """Return when `requests` will finish if no other program uses the quota."""
    now = datetime.now(UTC)
    # Bulk priority leaves a part of each second to interactive calls.
    pace = None if quota.per_second is None else quota.per_second * (1 - limits.reserved_share)
    left = None if quota.left_today is None else max(0, quota.left_today - limits.reserve)
    until_reset = _seconds_to(quota.resets_at, now)
    held = _seconds_to(quota.paused_until, now)
    seconds = 0.0
    if requests:
        seconds = held + _seconds(requests, pace, left, until_reset=until_reset, limits=limits)
    return Forecast(
        requests=requests,
        seconds=seconds,
        finishes_at=now + timedelta(seconds=seconds),
        per_second=pace,
        left_today=left,
    )


def _seconds(
    requests: int, pace: float | None, left: int | None, *, until_reset: float, limits: Limits
) -> float:
    if left is None or limits.per_day is None or requests <= left:
        return _at_pace(requests, pace)
    a_day = max(1, limits.per_day - limits.reserve)
    # Used calls expire 24 hours later, at about the rate at which they were used.
    begins = until_reset if left < a_day else DAY
    days, rest = divmod(requests - left - 1, a_day)
    return max(begins, _at_pace(left, pace)) + days * DAY + _at_pace(rest + 1, pace)


def _at_pace(requests: int, pace: float | None) -> float:
    return requests / pace if pace else 0.0


def _seconds_to(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (moment - now).total_seconds())


_UNKNOWN = "Gong knows no user with this email"
_NOT_VALID = "Gong says that this user's meeting settings do not work"


async def check_organizers(
    journal: Journal,
    meetings: Meetings,
    *,
    may_go_on: Callable[[], bool],
    next_wait: Callable[[], float],
) -> Stop | None:
    """Check the organizers that are not checked yet, and skip those that cannot be updated.

    Returns why the job has to stop, if Gong's answer says so.
    """
    while may_go_on():
        asked = await journal.unchecked_organizers(EMAILS_PER_CALL)
        if not asked:
            return None
        try:
            answer = await meetings.integration_status([email for _, email in asked])
        except PermissionDeniedError as error:
            if error.missing_scope is None:
                return stop_for(error)
            return None  # the credential lacks only this permission; updates may work
        except GongError as error:
            if scope_of(error) is Scope.ITEM:
                return None  # Gong rejects this request; updates may work
            return stop_for(error) or Stop("waiting", error.message, next_wait())
        users = {user.email.lower(): user for user in answer.users}
        problems: dict[int, tuple[str | None, str | None]] = {}
        for number, email in asked:
            user = users.get(email.lower())
            problem = _problem(user)
            problems[number] = (problem, user.fix_url if user and problem else None)
        await journal.note_organizers(problems, requests=answer.meta.attempts)
    return None


def _problem(user: UserIntegration | None) -> str | None:
    """Return why a user's meetings cannot be updated; None if unknown or updatable."""
    if user is None or (user.exists and user.valid):
        return None
    return user.user_facing_error or (_NOT_VALID if user.exists else _UNKNOWN)
