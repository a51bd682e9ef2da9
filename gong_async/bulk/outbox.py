"""What a job hands to its reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from attrs import define, field

from gong_async.bulk.records import BulkItem


@define(eq=False)
class Outbox:
    """Records on their way from a job's task to its reader, who may never come back for them.

    The task does not wait for the reader, but begins nothing more while too many wait to be taken.
    """

    _records: deque[tuple[BulkItem, Callable[[], None]]] = field(factory=deque, init=False)
    _arrived: asyncio.Event = field(factory=asyncio.Event, init=False)
    _closed: bool = field(default=False, init=False)

    def put(self, record: BulkItem, taken: Callable[[], None]) -> None:
        """Leave a record; `taken` is called when the reader takes it."""
        self._records.append((record, taken))
        self._arrived.set()

    async def get(self) -> BulkItem | None:
        """Return the next record; None when there are no more."""
        while not self._records:
            if self._closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        record, taken = self._records.popleft()
        taken()
        return record

    def close(self) -> None:
        """Let the reader come to the end."""
        self._closed = True
        self._arrived.set()
