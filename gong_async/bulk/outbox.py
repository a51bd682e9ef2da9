"""The queue from a job's task to its reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from attrs import define, field

from gong_async.bulk.records import BulkItem


@define(eq=False)
class Outbox:
    """Queue of records for the reader, who may stop reading at any time.

    The task does not wait for the reader, but begins nothing more while too many wait to be taken.
    """

    _records: deque[tuple[BulkItem, Callable[[], None]]] = field(factory=deque, init=False)
    _arrived: asyncio.Event = field(factory=asyncio.Event, init=False)
    _closed: bool = field(default=False, init=False)

    def put(self, record: BulkItem, taken: Callable[[], None]) -> None:
        """Add a record; `taken` is called when the reader takes it."""
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
        """Signal the end to the reader."""
        self._closed = True
        self._arrived.set()
