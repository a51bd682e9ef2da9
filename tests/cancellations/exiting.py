"""A program whose interpreter shuts down while a job is half read, in one of several ways."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

from cancellations.cases import make_case
from cancellations.subjects import Scene

held: list[Any] = []
"""Alive until the interpreter takes modules apart."""


async def read_some(scene: Scene) -> None:
    """Read some outcomes, and keep everything."""
    client = scene.make_client()
    stream = scene.begin(client)
    held.extend([client, stream, scene])
    async for outcome in stream:
        scene.note(outcome)
        if len(scene.yielded) >= scene.case.at:
            break
    for meeting, ok in scene.yielded.items():
        print(meeting, ok, flush=True)  # noqa: T201 - read by the parent


async def read_and_exit(scene: Scene) -> None:
    """Read some outcomes, and leave the program from within the event loop."""
    await read_some(scene)
    sys.exit(0)


def main() -> None:
    """Begin, and end in the way that the seed says."""
    url, folder, seed, subject = sys.argv[1:]
    case = make_case(int(seed), subject=subject, way="exit")  # type: ignore[arg-type]
    scene = Scene(case, url, Path(folder))
    match int(seed) % 3:
        case 0:  # the loop is neither closed nor run again
            loop = asyncio.new_event_loop()
            held.append(loop)
            loop.run_until_complete(read_some(scene))
        case 1:
            asyncio.run(read_and_exit(scene))
        case _:  # the loop runs in a thread that ends with the program
            ready = threading.Event()

            async def stay() -> None:
                await read_some(scene)
                ready.set()
                await asyncio.sleep(3600)

            threading.Thread(target=asyncio.run, args=(stay(),), daemon=True).start()
            ready.wait()


if __name__ == "__main__":
    main()
