"""How well processes share one limit: the part of it that they use, refusals, and fairness.

Eight processes make their calls at a fake Gong that counts by the same limit, in real time: once
with the limits in a file, and once in Redis, where `redis-server` and the extra `redis` are there.
On a machine that is busy with other things the figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gong_async.testing import FakeGong

WORKER = Path(__file__).parent.parent / "tests" / "limits" / "worker.py"


def measure(count: int, calls: int, rate: int, **shared: Any) -> str:
    """Let so many processes make their calls; return a line of figures."""
    limits = {"per_second": rate, "per_day": None}
    with FakeGong.serve_in_thread(per_second=rate, per_day=None) as fake:
        given = json.dumps({"url": fake.url, "calls": calls, "limits": limits, **shared})
        workers = [
            subprocess.Popen(
                [sys.executable, str(WORKER), given],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        reported = [json.loads(line) for line in _run(workers)]
        times = sorted(request.at for request in fake.received)
        refused = fake.quota_refusals
    used = (len(times) - refused - 1) / (times[-1] - times[0]) / rate
    took = sorted(one["took"] for one in reported)
    spread = (took[-1] - took[0]) / took[-1]
    return f"{used:.1%} of the limit, {refused} of {len(times):,} refused, spread {spread:.1%}"


def _run(workers: list[subprocess.Popen[str]]) -> list[str]:
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [worker.communicate()[0] for worker in workers]


@contextmanager
def redis_server(program: str) -> Iterator[str]:
    """Start a Redis without persistence; yield its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as line:
                if not line.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--calls", type=int, default=60, help="of each process")
    parser.add_argument("--rate", type=int, default=30, help="calls a second, of all together")
    options = parser.parse_args()
    given = options.processes, options.calls, options.rate

    with tempfile.TemporaryDirectory() as folder:
        print("file: ", measure(*given, file=f"{folder}/limits.sqlite3"))
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None or find_spec("redis") is None:
        print("Redis: needs redis-server and the package redis")
        return
    with redis_server(program) as url:
        print("Redis:", measure(*given, redis=url, processes=options.processes))


if __name__ == "__main__":
    main()
