"""Places in the library at which the program dies.

`name:n` is the n-th time that it gets there, `name:n:seconds` some time after that:

* commit-before, commit-in, commit-after: a transaction of the journal's writer;
* intent: when an intent is durable, and nothing was sent;
* wire: some time after that;
* answer: when a result is known, and nothing of it was ordered to be written;
* report-before, report-after: the moment in which a finished file takes its name.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from gong_async.bulk.records import BulkItem
from gong_async.bulk.runner import Run
from gong_async.bulk.store import writer
from gong_async.bulk.store.journal import Journal


def die() -> None:
    """End as if the power of the process were cut: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


class Point:
    """A place that is reached many times, and survived all but the n-th."""

    def __init__(self, name: str, text: str) -> None:
        wanted, _, rest = text.partition(":")
        number, _, seconds = rest.partition(":")
        self.left = int(number) if wanted == name else 0
        self.seconds = float(seconds or 0)

    def reached(self) -> bool:
        """Count; say whether it is time."""
        self.left -= 1
        return self.left == 0

    def pass_by(self) -> None:
        """Count, and die if it is time."""
        if self.reached():
            die()


def set_points(text: str) -> None:
    """Put the place to die into the library."""
    name = text.partition(":")[0]
    if name.startswith("commit"):
        _die_at_commit(text)
    elif name.startswith("report"):
        _die_at_report(text)
    elif name == "answer":
        _die_at_answer(Point(name, text))
    else:
        _die_at_intent(text)


def _die_at_commit(text: str) -> None:
    before, inside, after = (Point(f"commit-{when}", text) for when in ("before", "in", "after"))
    commit = writer.Writer._commit

    def dying(self: writer.Writer, batch: list[Any]) -> None:
        before.pass_by()
        last = writer._Order(lambda _: inside.pass_by(), batch[0].answer)
        commit(self, [*batch, last] if inside.left > 0 else batch)
        after.pass_by()

    writer.Writer._commit = dying  # type: ignore[method-assign]


def _die_at_intent(text: str) -> None:
    intent, wire = Point("intent", text), Point("wire", text)
    before_send = Run._before_send

    async def dying(self: Run, call: Any) -> None:
        await before_send(self, call)
        intent.pass_by()
        if wire.reached():
            asyncio.get_running_loop().call_later(wire.seconds, die)

    Run._before_send = dying  # type: ignore[method-assign]


def _die_at_answer(answer: Point) -> None:
    end = Journal.end

    def dying(self: Journal, item: Any, record: BulkItem) -> asyncio.Future[None]:
        if record.state != "pending":
            answer.pass_by()
        return end(self, item, record)

    Journal.end = dying  # type: ignore[method-assign]


def _die_at_report(text: str) -> None:
    before, after = Point("report-before", text), Point("report-after", text)

    def dying(original: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*given: Any, **named: Any) -> None:
            before.pass_by()
            original(*given, **named)
            after.pass_by()

        return wrapped

    os.replace = dying(os.replace)
    os.rename = dying(os.rename)
