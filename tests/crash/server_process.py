"""The oracle from outside: starts its process, gives it orders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crash.evidence import Applied, Request

TESTS = Path(__file__).parents[1]

ACCESS_KEY = "CRASHKEY00000000000000000000000"
ACCESS_KEY_SECRET = 'Crash+Secret/"of\\no&use='
"""Made of what is spelled differently in JSON, in URLs and in base64."""


def environment() -> dict[str, str]:
    """Return the environment of a process that finds this folder and the package."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}


class OracleProcess:
    """Runs the oracle; one job at a time."""

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crash.oracle"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let it end by itself."""
        self._process.communicate(timeout=60)

    def open(self, **given: Any) -> str:
        """Begin with a new job, and return the server's address."""
        url: str = self._order("open", key=ACCESS_KEY, secret=ACCESS_KEY_SECRET, **given)["url"]
        return url

    def calm(self) -> None:
        """Let nothing go wrong from now on."""
        self._order("calm")

    def record(self) -> tuple[list[Request], list[Applied]]:
        """Return what was received and applied up to now."""
        reported = self._order("dump")
        requests = [Request(**request) for request in reported["requests"]]
        return requests, [Applied(**change) for change in reported["applied"]]

    def _order(self, name: str, **given: Any) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{json.dumps([name, given])}\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer
