"""Count what a client does, and how long it takes, with a hook.

GONG_ACCESS_KEY=... GONG_ACCESS_KEY_SECRET=... python examples/observe.py 77823422740259378 ...
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

from attrs import define, field

from gong_async import GongClient, MeetingUpdate
from gong_async.hooks.events import (
    AttemptFinished,
    CallFinished,
    Event,
    LimiterPaused,
    RetryPlanned,
)


@define
class Figures:
    """A hook: anything that can be called with an event."""

    statuses: Counter[str] = field(factory=Counter)
    retries: int = 0
    seconds_held: float = 0.0
    slowest: float = 0.0

    def __call__(self, event: Event) -> None:
        """Take note of one event. This runs in the event loop: it must be quick."""
        match event:
            case AttemptFinished():
                self.statuses[str(event.status or "no answer")] += 1
            case RetryPlanned():
                self.retries += 1
            case LimiterPaused():
                self.seconds_held += event.pause
            case CallFinished():
                self.slowest = max(self.slowest, event.seconds_waited + event.seconds_on_wire)


async def run(meeting_ids: list[str]) -> Figures:
    """Move meetings to tomorrow, and return the figures."""
    start = datetime.now(UTC) + timedelta(days=1)
    new_state = MeetingUpdate(
        start_time=start,
        end_time=start + timedelta(minutes=30),
        organizer_email="dana@example.com",
        invitees=[],
    )
    figures = Figures()
    async with GongClient.from_env(hooks=[figures]) as gong:
        async for outcome in gong.update_many([(one, new_state) for one in meeting_ids]):
            if outcome.error is not None:
                print(outcome.error, file=sys.stderr)
    return figures


def main() -> int:
    """Read ids from the command line, and print the figures at the end."""
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(description="Move meetings to tomorrow and count.")
    parser.add_argument("meeting_ids", nargs="+")
    figures = asyncio.run(run(parser.parse_args().meeting_ids))
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(figures.statuses.items()))
    print(f"answers: {answers}")
    print(f"retries: {figures.retries}, held for {figures.seconds_held:.1f} s")
    print(f"slowest call: {figures.slowest:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
