"""How much of the quota ways of calling turn into accepted calls, and how often they get a 429.

    python benchmarks/pacing.py [--results DIRECTORY] [--seed 1] [--seeds 1] [--clients ours]
                                [--rates 300] [--jitters 0.2] [--algorithms fixed_window]

In virtual time: five ways in which a server may count, three rates, three jitters of the way to it;
our limiter beside what people use today. The share is that of the best possible without 429s:
with jitter J (seconds, the spread of the way there) and R calls a second it is 1 on token and leaky
bucket, 1/(1+J) on fixed and sliding window, 1/(1+R*J) on GCRA without burst. On windows and GCRA
more than 1 is possible, at the price of 429s or by the luck of the draw: the best possible is that
of the worst order of arrivals. The first seconds, in which we learn, are not counted.

One seed shows little of a cell in which a 429 is a matter of luck: at 300 calls a second over a
fixed window with 200 ms of jitter, the share of a seed spreads by 4 percentage points around the
mean, and a microsecond somewhere changes it. Compare revisions over `--seeds 100`, which writes
means with their standard errors.

Writes `pacing.json`, `pacing.md` and the plot `pacing.svg`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path

from attrs import asdict, evolve, frozen
from rivals import CLIENTS, Client, Server
from virtual_time import VirtualLoop

from gong_async.testing.algorithms import ALGORITHMS, AlgorithmName, make_algorithm

JITTERS = (0.0, 0.02, 0.2)
SECONDS = {3: (120, 600), 30: (120, 120), 300: (60, 30)}
"""By the rate: seconds to learn, and seconds counted."""
RESULTS = Path(__file__).parent / "results"


@frozen
class Case:
    """One run: who calls whom."""

    client: str
    algorithm: AlgorithmName
    rate: int
    jitter: float
    seed: int

    @property
    def best(self) -> float:
        """The share of the quota that is possible without 429s."""
        if self.algorithm == "gcra":
            return 1 / (1 + self.rate * self.jitter)
        return 1 / (1 + self.jitter) if self.algorithm.endswith("window") else 1.0


@frozen
class Result:
    """What a run has shown."""

    case: Case
    share: float
    """Accepted calls, as a share of the best possible."""
    refusals: float
    """429s per 1,000 accepted calls."""
    share_error: float | None = None
    """Standard error of the share, if it is a mean of several seeds."""
    refusals_error: float | None = None
    """Standard error of the 429s, likewise."""


def mean(results: Sequence[Result]) -> Result:
    """Return the mean of a case over several seeds, with standard errors."""
    if len(results) == 1:
        return results[0]
    shares, refusals = [r.share for r in results], [r.refusals for r in results]
    errors = [statistics.stdev(each) / math.sqrt(len(each)) for each in (shares, refusals)]
    share, refused = round(statistics.mean(shares), 4), round(statistics.mean(refusals), 2)
    return Result(results[0].case, share, refused, round(errors[0], 4), round(errors[1], 2))


def run(case: Case) -> Result:
    """Run one case in virtual time."""
    learning, counted = SECONDS[case.rate]
    random.seed(case.seed)  # what the limiter adds to Retry-After is drawn from there
    chance = random.Random(case.seed)
    server = Server(make_algorithm(case.algorithm, case.rate), case.jitter, chance)
    play(CLIENTS[case.client], server, case.rate, learning + counted)
    accepted = sum(at >= learning for at in server.accepted)
    refused = sum(at >= learning for at in server.refused)
    share = accepted / counted / case.rate / case.best
    return Result(case, round(share, 4), round(1000 * refused / max(1, accepted), 2))


def play(client: Client, server: Server, rate: int, seconds: float) -> None:
    """Let a client call for so many virtual seconds."""

    async def call() -> None:
        try:
            async with asyncio.timeout(seconds):
                await client(server, rate)
        except TimeoutError:
            return

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(call())


def cell(result: Result) -> str:
    """Return a result as text; each figure with its standard error, if it has one."""
    if result.share_error is None:
        return f"{result.share:.1%}, {result.refusals:,.1f}"
    share = f"{result.share:.1%} ± {result.share_error:.1%}"
    return f"{share}, {result.refusals:,.2f} ± {result.refusals_error:,.2f}"


def table(results: Sequence[Result]) -> str:
    """Return the results as Markdown: a row for each server, a column for each client."""
    clients = dict.fromkeys(result.case.client for result in results)
    lines = [
        "Share of the best possible, and 429s per 1,000 accepted calls.",
        "",
        "| Calls a second | Jitter | Counted by | " + " | ".join(clients) + " |",
        "| ---: | ---: | --- |" + " ---: |" * len(clients),
    ]

    def row_of(result: Result) -> tuple[int, float, str]:
        case = result.case
        return case.rate, case.jitter, case.algorithm

    for (rate, jitter, algorithm), row in groupby(results, row_of):
        cells = map(cell, row)
        spread = f"{jitter * 1000:.0f} ms" if jitter else "none"
        lines.append(f"| {rate} | {spread} | {algorithm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run every case, print and write the table, draw the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--rates", nargs="+", type=int, choices=SECONDS, default=list(SECONDS))
    parser.add_argument("--jitters", nargs="+", type=float, default=JITTERS)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    options = parser.parse_args()

    cases = [
        Case(client, algorithm, rate, jitter, options.seed)
        for rate in options.rates
        for jitter in options.jitters
        for algorithm in options.algorithms
        for client in options.clients
    ]
    seeds = range(options.seed, options.seed + options.seeds)
    runs = [evolve(case, seed=seed) for case in cases for seed in seeds]
    began = time.perf_counter()
    # The longest first, so that no process is left alone with one at the end.
    runs.sort(key=lambda case: -case.rate * sum(SECONDS[case.rate]))
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        known = {result.case: result for result in pool.map(run, runs)}
    results = [mean([known[evolve(case, seed=seed)] for seed in seeds]) for case in cases]
    text = table(results)
    print(text)
    print(f"{len(runs)} runs in {time.perf_counter() - began:.0f} s")

    from pacing_plot import draw  # noqa: PLC0415 - not in every process of the pool

    options.results.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(result.case), **_figures(result)} for result in results]
    (options.results / "pacing.json").write_text(json.dumps(rows, indent=1) + "\n")
    (options.results / "pacing.md").write_text(text)
    draw(options.results / "pacing.svg", options.seed)
    return 0


def _figures(result: Result) -> dict[str, float]:
    figures = {
        "best": round(result.case.best, 4),
        "share_of_best": result.share,
        "refusals_per_1000": result.refusals,
    }
    if result.share_error is not None and result.refusals_error is not None:
        figures["share_error"] = result.share_error
        figures["refusals_error"] = result.refusals_error
    return figures


if __name__ == "__main__":
    sys.exit(main())
