"""Programs of their own: what a user writes, in development mode, every warning an error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

from gong_async.testing import FakeGong

_PREAMBLE = """
import asyncio, gc, logging, os, sys, threading, time, warnings
from datetime import datetime, timezone
from gong_async import *

logging.getLogger("gong_async").addHandler(logging.NullHandler())

UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, tzinfo=timezone.utc),
    end_time=datetime(2026, 11, 24, 16, tzinfo=timezone.utc),
    organizer_email="dana@example.com",
    invitees=[],
)
URL, AUTH = sys.argv[1], BasicAuth(*sys.argv[2:4])
UNLIMITED = Limits(per_second=None, per_day=None)

def client(**options):
    return GongClient(AUTH, base_url=URL, **{"limits": UNLIMITED, **options})

async def use(gong, number=1):
    print((await gong.meetings.update(number, UPDATE)).meeting_id, flush=True)
"""


def start(text: str, fake: FakeGong, *flags: str, before: str = "") -> subprocess.Popen[str]:
    """Start a program that talks to `fake`; it does what is in `before` without the package."""
    source = before + _PREAMBLE + textwrap.dedent(text)
    command = [sys.executable, *(flags or ("-X", "dev", "-W", "error")), "-c", source]
    return subprocess.Popen(
        [*command, fake.url, fake.access_key, fake.access_key_secret],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def run(
    text: str, fake: FakeGong, *flags: str, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    with start(text, fake, *flags, before=before) as process:
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def is_quiet(ended: subprocess.CompletedProcess[str]) -> bool:
    """Whether a program ended well and nothing was complained of."""
    # On a busy machine asyncio, in its debug mode, logs steps that took long.
    slow = re.compile(r"(WARNING asyncio )?Executing <.*> took [0-9.]+ seconds\n")
    return ended.returncode == 0 and slow.sub("", ended.stderr) == ""
