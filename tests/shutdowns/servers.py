"""The four kinds of backend as processes: started, asked for updates, and shut down."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crash.server_process import environment

from shutdowns.work import LIVES, Style

Kind = Literal["uvicorn-workers", "uvicorn-reload", "aiohttp", "task"]
KINDS: tuple[Kind, ...] = ("uvicorn-workers", "uvicorn-reload", "aiohttp", "task")

_LONGEST = 40.0
_ENDS_WELL = frozenset({0, -signal.SIGTERM, 128 + signal.SIGTERM})
_STEP = 0.01


@dataclass
class Line:
    """One line of the log of lives."""

    pid: int
    event: str
    words: list[str]


@dataclass
class Backend:
    """The processes of one scenario."""

    kind: Kind
    style: Style
    url: str
    folder: Path
    asked: dict[str, list[int]] = field(default_factory=dict)
    """Answers to updates that were asked for, by meeting."""
    output: str = ""
    _next_id: int = 8_000_000_000_000_000_001
    _process: subprocess.Popen[bytes] | None = None
    _lives: int = 0

    def start(self, seconds: float) -> None:
        """Start it; one without a web server ends after `seconds`."""
        self.port = _free_port()
        reload = ["--reload", "--reload-dir", str(self.watched.parent), "--reload-delay", "0.05"]
        uvicorn = ["uvicorn", "shutdowns.asgi_backend:app", "--port", str(self.port)]
        command = {
            "uvicorn-workers": [*uvicorn, "--workers", "2"],
            "uvicorn-reload": [*uvicorn, *reload],
            "aiohttp": ["shutdowns.aiohttp_backend", str(self.port)],
            "task": ["shutdowns.task_backend", str(seconds), str(self._next_id)],
        }[self.kind]
        self._next_id += 1_000_000
        self._launch(command)

    def finish(self) -> None:
        """Let a process go on with all jobs until they are through."""
        self._launch(["shutdowns.task_backend"])
        self._wait_for_end()

    @property
    def watched(self) -> Path:
        """The file whose change makes uvicorn reload."""
        return self.folder / "watched" / "settings.py"

    @property
    def reloads(self) -> bool:
        """Whether a new process follows each shutdown by itself."""
        return self.kind == "uvicorn-reload"

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def lines(self) -> list[Line]:
        """Read the log of lives."""
        try:
            text = (self.folder / LIVES).read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        return [
            Line(int(pid), event, words) for pid, event, *words in map(str.split, text.splitlines())
        ]

    def wait_for(self, *events: str, count: int = 1, since: int) -> bool:
        """Wait for lines that come behind the first `since`; return False if the process ended."""
        give_up = time.monotonic() + _LONGEST
        while time.monotonic() < give_up:
            if sum(line.event in events for line in self.lines()[since:]) >= count:
                return True
            if self._process is None or self._process.poll() is not None:
                return False
            time.sleep(_STEP)
        raise AssertionError(
            f"{self.kind}: no {events} after {_LONGEST:g} s; {self.output[-2000:]}"
        )

    @contextmanager
    def load(self) -> Iterator[None]:
        """Ask for updates, in two threads, until the block ends."""
        if self.kind == "task":  # it has clicks of its own
            yield
            return
        over = threading.Event()
        threads = [
            threading.Thread(target=self._click, args=(self._next_id + 100_000 * number, over))
            for number in range(2)
        ]
        self._next_id += 1_000_000
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def shut_down(self) -> None:
        """Shut it down, and wait for the end; with `--reload` for the next life."""
        assert self._process is not None
        if self.reloads:
            since = len(self.lines())
            os.utime(self.watched)
            self.wait_for("start", since=since)
            return
        if self.kind != "task":
            self._process.terminate()
        self._wait_for_end()

    def stop(self) -> None:
        """End what is still running."""
        if self._process is not None:
            self._process.terminate()
            self._wait_for_end()

    def _launch(self, command: list[str]) -> None:
        self._lives += 1
        self._log = self.folder / f"output-{self._lives}.txt"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-X", "dev", "-m", *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    **environment(),
                    "SHUTDOWN_URL": self.url,
                    "SHUTDOWN_FOLDER": str(self.folder),
                    "SHUTDOWN_STYLE": self.style,
                },
                cwd=self.folder,
            )

    def _wait_for_end(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        try:
            code = process.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        self.output += self._log.read_text(encoding="utf-8", errors="replace")
        if code is None:
            self.output += f"\nTraceback: did not end within {_LONGEST:g} s\n"
        elif code not in _ENDS_WELL:
            self.output += f"\nTraceback: exit code {code}\n"

    def _click(self, first: int, over: threading.Event) -> None:
        number = first
        while not over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_LONGEST)
            try:
                while not over.is_set():
                    answers = self.asked.setdefault(str(number), [])
                    number += 1
                    connection.request("POST", f"/{number - 1}")
                    response = connection.getresponse()
                    response.read()
                    answers.append(response.status)
            except (OSError, http.client.HTTPException):
                time.sleep(_STEP)
            finally:
                connection.close()


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
