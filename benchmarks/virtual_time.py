"""An event loop in virtual time, for code of others as well as ours."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

TICK = 1e-7
"""Seconds that each turn of the loop takes. Without any, code that waits for a float's last bit
waits for ever, as `aiolimiter` does."""


class _LeapingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Leap over the wait. Nothing real is waited for: there are no sockets here."""
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        self.now += max(timeout, TICK)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs timers as if the time in between had passed. For one thread, without sockets."""

    def __init__(self) -> None:
        self._leaping = _LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Return the virtual time."""
        return self._leaping.now
