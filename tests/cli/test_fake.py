"""`gong-async fake`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

Serve = Callable[..., "Served"]


class Served:
    """A fake that runs as a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.welcome = "".join(iter(process.stdout.readline, "Ctrl-C stops it.\n"))
        self.exports = dict(re.findall(r"export (\w+)=(\S+)", self.welcome))

    def call(self) -> int:
        """Ask for users, without any credential; return the status."""
        try:
            with urllib.request.urlopen(self.exports["GONG_BASE_URL"] + "/v2/users") as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        """Stop it; return its exit code and what it said at the end."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stderr


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start fakes."""
    running: list[subprocess.Popen[str]] = []

    def serve(*words: str) -> Served:
        process = subprocess.Popen(
            [sys.executable, "-m", "gong_async", "fake", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return Served(process)

    yield serve
    for process in running:
        process.kill()
        process.communicate()


def test_it_can_be_used_as_it_says(serve: Serve) -> None:
    """With the variables that it prints, the command line talks to it; it counts what it got."""
    served = serve("--per-second", "none", "--per-day", "none", "--fault", "status=503@1")

    done = subprocess.run(
        [sys.executable, "-m", "gong_async", "meetings", "delete", "1", "--organizer", "a@x.y"],
        env={**os.environ, **served.exports},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    code, said = served.stop(signal.SIGINT)

    assert done.returncode == 0, done.stderr
    assert code == 0
    assert said == "2 requests (1 with 200, 1 with 503), 1 changes applied\n"


def test_sigterm(serve: Serve) -> None:
    """SIGTERM ends it as well."""
    served = serve()

    assert served.stop(signal.SIGTERM) == (0, "0 requests, 0 changes applied\n")


def test_it_reports_its_limits(serve: Serve) -> None:
    """It prints its limits, and refuses calls without a credential."""
    served = serve("--per-second", "2.5", "--per-day", "1000", "--algorithm", "gcra")

    assert "(2.5 calls per second, 1,000 per day, gcra)" in served.welcome
    assert served.call() == 401


@pytest.mark.parametrize(
    "words",
    [
        ("--per-second", "0"),
        ("--per-second", "x"),
        ("--per-day", "inf"),
        ("--algorithm", "x"),
        ("--fault", "x"),
        ("--fault", "status=x"),
        ("--port", "70000"),
    ],
)
def test_wrong_usage(invoke: Callable[..., object], words: tuple[str, str]) -> None:
    """Options that cannot be meant are refused before anything is opened."""
    done = invoke("fake", *words)

    assert getattr(done, "exit_code", None) == 2
