"""An event loop that counts its iterations, and calls something at a given one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

STUCK_SECONDS = 20.0


class StepLoop(asyncio.SelectorEventLoop):
    """Counts iterations from `arm` on.

    An iteration is the smallest step in which anything can happen to a task, so that a random
    iteration hits every await, and every state between two of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.problems: list[str] = []
        self._at = 0
        self._action: Callable[[], object] | None = None
        self.set_exception_handler(self._note)
        self.call_later(STUCK_SECONDS, self._give_up)

    def arm(self, at: int, action: Callable[[], object]) -> None:
        """Call `action` at the iteration `at`, counted from now."""
        self.steps, self._at, self._action = 0, at, action

    def disarm(self) -> None:
        """Call nothing any more."""
        self._action = None

    def _run_once(self) -> None:
        self.steps += 1
        if self._action is not None and self.steps >= self._at:
            action, self._action = self._action, None
            self.call_soon(action)
        super()._run_once()  # type: ignore[misc]  # private, and the same in every version

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.problems.append(f"{context['message']} {context.get('exception')!r}")

    def _give_up(self) -> None:
        """End a loop that nothing ends: `run_until_complete` raises."""
        self.problems.append(f"still running after {STUCK_SECONDS:g} s")
        self.stop()
        self.call_later(1.0, self._give_up)
