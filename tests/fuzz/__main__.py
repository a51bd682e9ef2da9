"""`python -m fuzz --seed 7 --count 1000000`: a long run of fuzzed answers."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time

from fuzz.run import Tally, run

_BATCH = 20_000


def main() -> int:
    """Run, print the counts, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Answer calls with damaged bytes.")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--minutes", type=float, default=None, help="stop after so long")
    options = parser.parse_args()
    logging.getLogger("gong_async").addHandler(logging.NullHandler())  # tens of thousands of lines
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    tally, began = Tally(), time.monotonic()
    last = options.first + options.count
    for start in range(options.first, last, _BATCH):
        numbers = range(start, min(start + _BATCH, last))
        asyncio.run(run(seed, numbers, tally))
        seconds = time.monotonic() - began
        done = numbers.stop - options.first
        rate, wrong = done / seconds, tally.wrongs.total()
        print(f"{done:,} cases, {rate:,.0f} a second, wrong: {wrong}", flush=True)
        if options.minutes is not None and seconds > 60 * options.minutes:
            break
    print(f"ends: {dict(tally.ends.most_common())}")
    print(f"accidents: {dict(tally.accidents.most_common())}")
    print(f"connections: {tally.opened:,} opened, {tally.left_open} left open")
    for line in (*tally.wrong, *tally.complaints[:20]):
        print(line)
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
