"""From a source of changes into a journal: each checked, encoded, and given its place."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable

from gong_async._convert import make_converter, to_json
from gong_async.bulk.inputs import Inputs
from gong_async.bulk.journal import Journal, NewItem
from gong_async.errors import ValidationError
from gong_async.models._shared import meeting_id
from gong_async.models.meetings import Change, MeetingChange, MeetingUpdate

Changes = Iterable[Change] | AsyncIterable[Change]

_CHUNK = 500


async def take_in(journal: Journal, changes: Changes) -> str:
    """Write all changes into the journal; return the digest of them all.

    Raises:
        ValidationError: a change cannot be right; its place in the source is named.
    """
    total = hashlib.sha256()
    taken = 0
    async for chunk in _chunks(changes):
        for item in chunk:
            _digest(total, item)
        await journal.add(taken, chunk)
        taken += len(chunk)
    return total.hexdigest()


async def digest_of(changes: Changes) -> str:
    """Return the digest of changes that are in a journal already."""
    total = hashlib.sha256()
    async for chunk in _chunks(changes):
        for item in chunk:
            _digest(total, item)
        await asyncio.sleep(0)
    return total.hexdigest()


def _digest(total: hashlib._Hash, item: NewItem) -> None:
    total.update(f"{item.meeting_id} {item.digest.hex()}\n".encode())


async def _chunks(changes: Changes) -> AsyncGenerator[list[NewItem], None]:
    converter = make_converter()
    lines = changes.lines if isinstance(changes, Inputs) else None
    chunk: list[NewItem] = []
    place = 0
    async for change in _pulling(changes):
        id_, update = _parts(change, place)
        try:
            body = to_json(converter, update)
        except (TypeError, ValueError) as error:
            raise ValidationError(f"changes[{place}]", f"has no JSON form: {error}") from None
        chunk.append(
            NewItem(
                line=None if lines is None else lines[place],
                meeting_id=id_,
                organizer_email=update.organizer_email,
                digest=hashlib.sha256(body).digest(),
                body=body,
            )
        )
        place += 1
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _pulling(changes: Changes) -> AsyncGenerator[Change, None]:
    """Pull from either kind of source, and close an async generator when it is left early."""
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


def _parts(change: Change, place: int) -> tuple[str, MeetingUpdate]:
    match change:
        case MeetingChange():
            return change.meeting_id, change.update
        case (id_, MeetingUpdate() as update):
            try:
                return meeting_id(id_), update
            except ValidationError as error:
                raise ValidationError(f"changes[{place}].{error.field}", error.problem) from None
    problem = f"expected a MeetingChange or (id, MeetingUpdate), got {type(change).__name__}"
    raise ValidationError(f"changes[{place}]", problem)
