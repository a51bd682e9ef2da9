"""Where the time of an update goes: a flame graph of `meetings.update`, 10 in flight.

    python benchmarks/flame.py [--seconds 15]

py-spy looks at the client's process 500 times a second while it works against a server that only
says yes. Writes `flame.svg`: the width of a frame is its share of the samples, each frame stands
below those that it called.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from call_workers import Workers

FLAME = Path(__file__).parent / "results" / "flame.svg"
_PLACES = re.compile(r"[^\s()]*/(?=(?:gong_async|benchmarks|aiohttp|asyncio|cattrs|json|clients)/)")


def main() -> int:
    """Record and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=15)
    options = parser.parse_args()
    spy = Path(sys.executable).with_name("py-spy")
    with Workers() as workers:
        workers.start("update", "update", uvloop=False)
        workers.measure("update", updates=500, in_flight=10)
        command = [str(spy), "record", "--pid", str(workers.pid("update")), "--rate", "500"]
        command += ["--duration", str(options.seconds), "--output", str(FLAME), "--nolineno"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as recording:
            while recording.poll() is None:
                workers.measure("update", updates=5_000, in_flight=10)
            if recording.returncode:
                return recording.returncode
    drawn = re.sub(
        r'(id="title"[^>]*>)[^<]*', r"\1meetings.update, 10 in flight", FLAME.read_text()
    )
    FLAME.write_text(_PLACES.sub("", drawn))
    print(f"written: {FLAME.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
