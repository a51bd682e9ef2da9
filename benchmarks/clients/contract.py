"""What the benchmark needs of a client: one of three shapes, by the way in which it is used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from clients.meeting import Meeting


class OneByOne(Protocol):
    """Updates a meeting a call; many calls may be under way."""

    async def open(self, url: str, in_flight: int) -> None:
        """Get ready for so many calls at a time."""

    async def update(self, meeting: Meeting) -> str:
        """Update one meeting; return the id that the answer names."""
        ...

    async def close(self) -> None:
        """Close the connections."""


class AllTogether(Protocol):
    """Takes all the meetings and sees itself to how many calls are under way."""

    async def open(self, url: str, in_flight: int) -> None:
        """Get ready for so many calls at a time."""

    def update_all(self, meetings: Iterable[Meeting]) -> AsyncIterator[str]:
        """Update all; yield the id of each that was acknowledged."""
        ...

    async def close(self) -> None:
        """Close the connections."""


class Blocking(Protocol):
    """Blocks a thread for each call under way."""

    def open(self, url: str, in_flight: int) -> None:
        """Get ready for so many calls at a time."""

    def update(self, meeting: Meeting) -> str:
        """Update one meeting; return the id that the answer names."""
        ...

    def close(self) -> None:
        """Close the connections."""
