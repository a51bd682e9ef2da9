"""Five virtual days: 50,000 updates with 1 % faults at 3 calls a second and 10,000 a day."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from meetings import changes
from thread_aware_time import HoldingWriter, ThreadAwareLoop

from gong_async import BasicAuth, BulkOptions, GongClient, Limits
from gong_async.testing import FakeGong

FAULTS = {"status": 0.004, "drop_after": 0.003, "drop_before": 0.003}


async def run(count: int, per_day: int, folder: Path) -> dict[str, float]:
    """Run the job to its end; return what was planned and what came of it."""
    loop = asyncio.get_running_loop()
    latency = random.Random(7)  # the way to Gong and back
    async with (
        FakeGong(
            per_day=per_day,
            latency=lambda: latency.uniform(0.15, 0.17),
            fault_rates=FAULTS,
            seed=7,
            record="counts",
        ) as fake,
        GongClient(
            BasicAuth(fake.access_key, fake.access_key_secret),
            base_url=fake.url,
            limits=Limits(per_day=per_day),
        ) as gong,
    ):
        job = gong.bulk(changes(count), state_dir=folder, options=BulkOptions())
        plan = await job.plan()
        began, real = loop.time(), time.perf_counter()
        last = began
        async for item in job.run(wait=True):
            last = loop.time() if item.ok else last
        async for _ in job.resume(wait=True):
            last = loop.time()
        status = await job.status()
        return {
            "updates": count,
            "planned_days": plan.forecast.days,
            "took_days": (last - began) / 86_400,
            "took_of_plan": (last - began) / plan.forecast.seconds,
            "succeeded": status.counts["succeeded"],
            "in_doubt": status.counts["in_doubt"],
            "failed": status.counts["failed"],
            "requests": fake.received_count,
            "applied": fake.applied_count,
            "refusals": fake.quota_refusals,
            "real_seconds": time.perf_counter() - real,
        }


def main(count: int, per_day: int) -> dict[str, float]:
    """Run in virtual time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("gong_async.bulk.store.journal.Writer", HoldingWriter),
    ):
        loop = ThreadAwareLoop()
        try:
            return loop.run_until_complete(run(count, per_day, Path(folder)))
        finally:
            loop.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--per-day", type=int, default=10_000)
    options = parser.parse_args()
    for name, value in main(options.count, options.per_day).items():
        print(f"{name:14} {value:,.3f}".rstrip("0").rstrip("."))
    sys.exit(0)
