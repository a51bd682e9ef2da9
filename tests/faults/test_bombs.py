"""Answers made to exhaust the machine, in a process of its own whose memory is measured."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from faults.acts import http
from faults.peer import Act, Exchange, Peer, behave

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
    pytest.mark.may_block("it reads from a program"),
]

MEBIBYTE = 1024 * 1024
MOST_GROWTH = 32 * MEBIBYTE
DEADLINE = 20.0

PROGRAM = """
import asyncio, logging, sys
from datetime import datetime, timezone
from gong_async import *

logging.getLogger("gong_async").addHandler(logging.NullHandler())

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

async def main():
    gong = GongClient(
        BasicAuth("a-key", "a-secret"),
        base_url=sys.argv[1],
        limits=Limits(per_second=None, per_day=None),
        retry=RetryPolicy(max_attempts=1, deadline=float(sys.argv[2])),
    )
    async def call():
        try:
            await gong.meetings.update(1, MeetingUpdate(
                start_time=datetime(2026, 11, 24, 15, tzinfo=timezone.utc),
                end_time=datetime(2026, 11, 24, 16, tzinfo=timezone.utc),
                organizer_email="dana@example.com", invitees=[]))
            return "ok"
        except GongError as error:
            return f"{type(error).__name__} {error.status} {len(str(error)) < 1000}"
    async with gong:
        print(await call(), flush=True)
        before = peak()
        print(await call(), flush=True)
        print(peak() - before, flush=True)
        print(await call(), flush=True)

asyncio.run(main())
"""


def _gzip(size: int) -> bytes:
    """Return the gzip of so many zeros, made piece by piece."""
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(MEBIBYTE)
    return b"".join(packer.compress(block) for _ in range(size // MEBIBYTE)) + packer.flush()


def _whole(data: bytes) -> Act:
    async def act(exchange: Exchange) -> None:
        await exchange.apply()
        await exchange.line.send(data)
        exchange.line.writer.close()

    return act


def _endless(head: bytes, block: bytes) -> Act:
    async def act(exchange: Exchange) -> None:
        await exchange.apply()
        await exchange.line.send(head)
        while True:
            await exchange.line.send(block)

    return act


HUGE = 512 * MEBIBYTE
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"
CHUNKED = ["Transfer-Encoding: chunked"]
GZIP = ["Content-Encoding: gzip"]
BUSY = "503 Service Unavailable"
HEAD = b"HTTP/1.1 200 OK\r\n"


def bombs() -> dict[str, tuple[Act, str]]:
    """Return what is sent, and what the call must end with."""
    packed = _gzip(HUGE)
    return {
        "512 MiB of gzip": (_whole(http(packed, headers=GZIP)), "ProtocolError 200"),
        "512 MiB of gzip twice": (
            _whole(http(zlib.compress(packed), headers=["Content-Encoding: deflate, gzip"])),
            "ProtocolError 200",
        ),
        "512 MiB of gzip in a failure": (
            _whole(http(packed, status=BUSY, headers=GZIP)),
            "ServerError 503",
        ),
        "an endless body": (_endless(http(length=10**15), bytes(65536)), "ProtocolError 200"),
        "endless chunks": (
            _endless(http(headers=CHUNKED, length=None), CHUNK),
            "ProtocolError 200",
        ),
        "an endless failure": (
            _endless(http(status=BUSY, headers=CHUNKED, length=None), CHUNK),
            "ServerError 503",
        ),
        "endless gzip": (
            _endless(http(headers=GZIP, length=10**15), packed[: 4 * 65536]),
            "ProtocolError 200",
        ),
        "100,000 headers": (
            _whole(HEAD + b"X-Pad: y\r\n" * 100_000 + b"Content-Length: 2\r\n\r\n{}"),
            "ProtocolError None",
        ),
        "100,000 cookies": (
            _whole(HEAD + b"Set-Cookie: a=b\r\n" * 100_000 + b"Content-Length: 2\r\n\r\n{}"),
            "ProtocolError None",
        ),
        "endless headers": (_endless(HEAD, b"X-Pad: y\r\n" * 1000), "ProtocolError None"),
        "an endless header": (_endless(HEAD + b"X: ", b"y" * 65536), "ProtocolError None"),
        "an endless status": (_endless(b"HTTP/1.1 200 ", b"y" * 65536), "ProtocolError None"),
        "endless trailers": (
            _endless(http(headers=CHUNKED, length=None) + b"0\r\n", b"X-Pad: y\r\n" * 1000),
            "ProtocolError None",
        ),
        "endless interim answers": (
            _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
            "APITimeoutError None",
        ),
        "512 MiB of brackets": (
            _endless(http(length=HUGE), b"[" * 65536),
            "ProtocolError 200",
        ),
    }


BOMBS = [
    "512 MiB of gzip", "512 MiB of gzip twice", "512 MiB of gzip in a failure", "an endless body",
    "endless chunks", "an endless failure", "endless gzip", "100,000 headers", "100,000 cookies",
    "endless headers", "an endless header", "an endless status", "endless trailers",
    "endless interim answers", "512 MiB of brackets",
]  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, tuple[Act, str]]:
    """Make the bombs once."""
    return bombs()


@contextlib.asynccontextmanager
async def program(url: str, deadline: float) -> AsyncIterator[Any]:
    """Run the client in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        url,
        str(deadline),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


ALWAYS = {"512 MiB of gzip", "endless chunks", "endless headers", "endless interim answers"}
"""The bombs of every run of the tests; the others belong to those that take long."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.full) for name in BOMBS],
)
async def test_f73_f75_f51_f43_f38_bombs(name: str, made: dict[str, tuple[Act, str]]) -> None:
    """Memory grows by less than 32 MiB, the call ends with an error, the next call works."""
    act, expected = made[name]
    deadline = 1.0 if name == "endless interim answers" else DEADLINE
    async with Peer([behave, act]) as peer, program(peer.url, deadline) as process:
        assert (await process.stdout.readline()).decode().strip() == "ok"
        end = (await process.stdout.readline()).decode().strip()
        growth = int(await process.stdout.readline())
        after = (await process.stdout.readline()).decode().strip()
        complaints = (await process.stderr.read()).decode()

    assert end == f"{expected} True", complaints
    assert growth < MOST_GROWTH
    assert after == "ok"
    assert complaints == ""
