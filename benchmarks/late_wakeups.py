"""How much of its rate the in-process limiter keeps when the event loop wakes late.

    python benchmarks/late_wakeups.py [--results DIRECTORY] [--real 60] [--rates 3 30]

Two parts, at 3, 10, 30, 100 and 400 calls a second:

* In virtual time, every wake-up late by a random time: without refusals, and against the ways in
  which a server may count, at which refusals are counted too.
* In real time on this machine's own event loop, for `--real` seconds a rate (0 leaves it out),
  against a server that refuses nothing.

A figure is the share of the learned rate that was made, after a time to learn (in real time a
tenth of it): grants beside the integral of the rate. `schedule` is the limiter as it is;
`wake-up` counts each interval from the grant before, late as it was.

Writes `late_wakeups.json` and `late_wakeups.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Literal

from attrs import Attribute, asdict, astuple, define, field, frozen
from rivals import Server, in_flight, paced_by
from virtual_time import VirtualLoop

from gong_async import Limits
from gong_async.limits.memory import MemoryLimitStore
from gong_async.limits.state import LimiterState
from gong_async.limits.types import Priority
from gong_async.testing.algorithms import ALGORITHMS, Algorithm, AlgorithmName, make_algorithm

RATES = (3, 10, 30, 100, 400)


def _idle(chance: random.Random) -> float:
    return chance.uniform(0.0, 0.0012)


def _busy(chance: random.Random) -> float:
    return 0.02 if chance.random() < 0.01 else _idle(chance)


LATENESS: dict[str, Callable[[random.Random], float]] = {
    "0 to 1.2 ms": _idle,
    "the same, 20 ms once in 100": _busy,
}
"""Wake-ups of an idle machine's loop, which counts in whole milliseconds; and of a busy one's."""
JITTER = 0.002
"""Seconds that the way to a simulated server differs."""
SECONDS = {3: (120, 120), 10: (120, 60), 30: (120, 60), 100: (60, 20), 400: (60, 10)}
"""By the rate, in virtual time: seconds to learn, and seconds counted."""
COUNTED_BY: tuple[Literal["nothing"] | AlgorithmName, ...] = ("nothing", *ALGORITHMS)
LIMITERS = ("wake-up", "schedule")
RESULTS = Path(__file__).parent / "results"


class LateLoop(VirtualLoop):
    """Wakes up late, by what `lateness` draws."""

    def __init__(self, lateness: Callable[[], float]) -> None:
        super().__init__()
        leap = self._leaping.select

        def select(timeout: float | None = None) -> list[object]:
            late = lateness() if timeout else 0.0
            return leap(None if timeout is None else timeout + late)

        self._leaping.select = select  # type: ignore[method-assign]


@define(eq=False)
class Watched(LimiterState):
    """Notes the grants, and what the rate would have made."""

    grants: list[float] = field(factory=list, init=False)
    made: int = field(default=0, init=False)
    expected: float = field(default=0.0, init=False)
    count_from: float = field(default=0.0, init=False)

    def take(self, now: float, wall: float, priority: Priority, since: float | None = None) -> bool:
        """Count a call and note it."""
        if self.grants and self.rate and now >= self.count_from and not self.paused_until:
            self.made += 1
            self.expected += (now - self.grants[-1]) / self.rate.interval
        self.grants.append(now)
        return LimiterState.take(self, now, wall, priority, since)


class FromWakeUp(Watched):
    """Counts each interval from the last grant, as the limiter once did."""

    def take(self, now: float, wall: float, priority: Priority, since: float | None = None) -> bool:
        """Count a call; nothing is made up for."""
        return super().take(now, wall, priority)


class Open(Algorithm):
    """Refuses nothing."""

    def wait(self, now: float) -> float:
        """Say that a call may come now."""
        return 0.0

    def take(self, now: float) -> None:
        """Count nothing."""


@frozen
class Case:
    """One run."""

    clock: str
    rate: int
    lateness: str
    counted_by: Literal["nothing"] | AlgorithmName
    limiter: str


@frozen
class Row:
    """What one run has shown."""

    case: Case
    share: float
    """Of the learned rate; time in which a refusal held everybody is left out."""
    accepted: float
    """Accepted calls a second."""
    refusals: int
    busiest_second: int
    """The most grants in any second."""
    least_gap: float
    """The least gap between two grants, in intervals of the ceiling."""


def run(case: Case, learning: float, counted: float) -> Row:
    """Call through a limiter for so long."""
    random.seed(1)
    chance = random.Random(1)
    counted_by = case.counted_by
    algorithm = Open() if counted_by == "nothing" else make_algorithm(counted_by, case.rate)
    virtual = case.clock == "virtual"
    server = Server(algorithm, JITTER if virtual else 0.0, random.Random(1))
    workers = in_flight(case.rate)
    limiter = MemoryLimitStore().limiter(
        "A", Limits(per_second=case.rate, per_day=None, max_in_flight=workers)
    )
    make_state = FromWakeUp if case.limiter == "wake-up" else Watched
    state = limiter.company.state = make_state(limiter.limits)
    begun = 0.0

    async def play() -> None:
        nonlocal begun
        begun = asyncio.get_running_loop().time() + learning
        state.count_from = time.monotonic() + learning
        try:
            async with asyncio.timeout(learning + counted):
                await paced_by(limiter, server, workers)
        except TimeoutError:
            return

    def new_loop() -> asyncio.AbstractEventLoop:
        if not virtual:
            return asyncio.new_event_loop()
        return LateLoop(lambda: LATENESS[case.lateness](chance))

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(play())
    return Row(
        case,
        round(state.made / max(state.expected, 1e-9), 4),
        round(sum(at >= begun for at in server.accepted) / counted, 3),
        sum(at >= begun for at in server.refused),
        busiest(state.grants),
        round(min(b - a for a, b in pairwise(state.grants)) * case.rate, 3),
    )


def busiest(grants: list[float]) -> int:
    """Return the most grants in any second."""
    most = first = 0
    for last, at in enumerate(grants):
        while at - grants[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def main() -> int:
    """Run both parts; print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--real", type=float, default=60.0)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES)
    parser.add_argument("--no-virtual", action="store_true")
    options = parser.parse_args()

    rows: list[Row] = []
    for rate in options.rates:
        cases = [
            Case("virtual", rate, lateness, algorithm, limiter)
            for lateness in LATENESS
            for algorithm in COUNTED_BY
            for limiter in LIMITERS
            if not options.no_virtual
        ]
        cases += [Case("real", rate, "this machine's", "nothing", name) for name in LIMITERS]
        for case in cases:
            if case.clock == "virtual":
                rows.append(run(case, *SECONDS[rate]))
            elif options.real:
                rows.append(run(case, options.real / 10, options.real))
    text = table(rows)
    print(text)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "late_wakeups.md").write_text(text)
    figures = json.dumps(
        [{**asdict(row.case), **asdict(row, filter=_is_figure)} for row in rows], indent=1
    )
    (options.results / "late_wakeups.json").write_text(figures + "\n")
    return 0


def _is_figure(attribute: Attribute[object], value: object) -> bool:
    return attribute.name != "case"


def table(rows: list[Row]) -> str:
    """Return the results as Markdown."""
    titles = ("Clock", "Calls a second", "Wake-ups late by", "Counted by", "Interval from the")
    figures = ("Share of the learned rate", "Accepted a second", "Refusals", "Busiest second")
    lines = [
        "The share of the learned rate that was made, and what came of it.",
        "",
        "| " + " | ".join((*titles, *figures, "Least gap")) + " |",
        "| --- | ---: | --- | --- | --- |" + " ---: |" * 5,
    ]
    lines += [
        "| " + " | ".join(map(str, astuple(row.case))) + f" | {row.share:.1%} | "
        f"{row.accepted:.2f} | {row.refusals} | {row.busiest_second} | {row.least_gap:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
