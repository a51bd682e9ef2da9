"""The server and the clients as processes: started, asked for batches, checked, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clients.catalog import CLIENTS

HERE = Path(__file__).parent
ROOT = HERE.parent
GENERATED = ROOT / "build" / "bench" / "generated"
DESCRIPTION = HERE / "meeting_update.yaml"


def cores() -> tuple[int | None, int | None]:
    """Return a core for the clients and one for the server; None where they cannot be chosen."""
    if not hasattr(os, "sched_setaffinity"):
        return None, None
    ours = sorted(os.sched_getaffinity(0))
    return ours[0], ours[-1]


def generate() -> None:
    """Make the client of openapi-generator, unless that was done since its description changed."""
    made = GENERATED / "meeting_update_client" / "__init__.py"
    if made.exists() and made.stat().st_mtime > DESCRIPTION.stat().st_mtime:
        return
    print("making the client of openapi-generator ...", file=sys.stderr)
    command = [str(Path(sys.executable).with_name("openapi-generator-cli")), "generate"]
    command += ["--generator-name", "python", "--library", "asyncio"]
    command += ["--package-name", "meeting_update_client"]
    command += ["--input-spec", str(DESCRIPTION), "--output", str(GENERATED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not made.exists():
        raise SystemExit(f"openapi-generator failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


class Child:
    """A Python process that takes commands and answers them, line by line."""

    def __init__(self, script: str, *arguments: str, package: Path = ROOT) -> None:
        path = os.pathsep.join(map(str, (package, HERE, GENERATED)))
        self.name = " ".join((script, *arguments))
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def hear(self) -> str:
        """Return the next line that it says."""
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"{self.name} has ended; what it said stands above")
        return line.strip()

    def emit(self, line: str) -> None:
        """Say a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Workers(ExitStack):
    """The server, and a process for each client; one of them works at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._clients: dict[str, Child] = {}
        self._one_by_one: dict[str, bool] = {}
        self._client_core, server_core = cores()
        core = [] if server_core is None else ["--core", str(server_core)]
        self._server = self.enter_context(Child("call_server.py", *core))
        self._url = self._server.hear()
        self._updates = 0

    def start(self, label: str, client: str, *, uvloop: bool, package: Path = ROOT) -> None:
        """Start a client as `label`, with the package that is in this folder."""
        core = [] if self._client_core is None else ["--core", str(self._client_core)]
        loop = "uvloop" if uvloop else "asyncio"
        child = Child(
            "call_worker.py", client, self._url, "--loop", loop, *core, package=package.resolve()
        )
        self._clients[label] = self.enter_context(child)
        self._one_by_one[label] = CLIENTS[client].shape == "one_by_one"
        found = json.loads(child.hear())["package"]
        if found and not Path(found).is_relative_to(package.resolve()):
            raise SystemExit(f"{label} has imported {found} and not what is in {package}")

    def measure(self, label: str, updates: int, in_flight: int) -> dict[str, Any]:
        """Let a client make so many updates; return its figures."""
        child = self._clients[label]
        child.emit(json.dumps({"updates": updates, "in_flight": in_flight}))
        figures: dict[str, Any] = json.loads(child.hear())
        self._updates += figures.pop("sent")
        seen = self.seen()
        if seen["updates"] != self._updates:
            raise SystemExit(
                f"{label}: the server has {seen['updates']} updates and not {self._updates}"
            )
        # Threads and jobs may get by with fewer; a client with one does one thing at a time.
        fewest = (in_flight + 1) // 2 if self._one_by_one[label] else min(in_flight, 2)
        if seen["connections"] < fewest:
            raise SystemExit(
                f"{label}: {seen['connections']} connections, with {in_flight} updates in flight"
            )
        return figures | {"connections": seen["connections"]}

    def pid(self, label: str) -> int:
        """Return the process of a client."""
        return self._clients[label].pid

    def seen(self) -> dict[str, Any]:
        """Return what the server has seen: how many updates, and the body of the last."""
        with urllib.request.urlopen(f"{self._url}/seen") as answer:
            seen: dict[str, Any] = json.load(answer)
        return seen
