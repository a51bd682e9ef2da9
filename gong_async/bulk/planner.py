"""Planning: validate, encode and number the changes, and write them to the journal."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable

from gong_async.bulk.store.journal import Journal, NewItem
from gong_async.errors import ValidationError
from gong_async.inputs.reader import Inputs
from gong_async.models._shared import meeting_id
from gong_async.models.converter import Converter, make_converter, to_json
from gong_async.models.meetings import Change, MeetingChange, MeetingUpdate

Changes = Iterable[Change] | AsyncIterable[Change]

_CHUNK = 500


async def write_plan(journal: Journal, changes: Changes) -> str:
    """Write all changes to the journal; return their digest.

    Raises:
        ValidationError: a change cannot be right; its index is named.
        InputError: the same for a file, whose faults are all counted.
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
    """Return the digest of changes, to compare with a journal."""
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
    if isinstance(changes, Inputs):
        pages = changes.pages()
        index = 0

        def read() -> list[NewItem] | None:
            page = next(pages, None)
            if page is None:
                return None
            return [_item(converter, n, line, c) for n, (line, c) in enumerate(page, index)]

        while (items := await asyncio.to_thread(read)) is not None:
            index += len(items)
            if items:
                yield items
        return
    chunk: list[NewItem] = []
    index = 0
    async for change in _pulling(changes):
        chunk.append(_item(converter, index, None, change))
        index += 1
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _item(converter: Converter, index: int, line: int | None, change: Change) -> NewItem:
    id_, update = _parts(change, index)
    try:
        body = to_json(converter, update)
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
