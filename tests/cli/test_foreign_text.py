"""Text that others have written reaches the terminal as what it is: text, in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gong_async.testing import FakeGong, Fault

FORGED = "error: forged"
EVIL = f"a\n{FORGED}\x1b[2J\x9b31m\u2028\u202e\rb"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names of files that Windows refuses")


def check(*done: Result) -> None:
    """Look at all that was written, in the form that a terminal would get."""
    assert "forged" in "".join(one.output for one in done)
    for one in done:
        shown = one.stdout + one.stderr
        assert all(line.isprintable() for line in shown.split("\n")), shown
        assert not [line for line in shown.split("\n") if line.startswith(FORGED)]


def test_names_of_files(invoke: Callable[..., Result], meetings: Callable[..., Path]) -> None:
    """Of the input, of the journal, and of reports."""
    file = meetings(2, f"{EVIL}.csv")
    wrong = meetings([("7.78E+18", "Title")], f"{EVIL}wrong.csv")
    journal = file.with_name(f"{EVIL}.sqlite3")
    quick = ("--per-second", "2000")
    check(
        invoke("bulk", "plan", file, *quick),
        invoke("bulk", "plan", wrong, *quick),
        invoke("bulk", "run", file, "--journal", journal, "--canary", "1", *quick),
        invoke("bulk", "run", file, "--journal", journal, *quick),
        invoke("bulk", "status", journal),
        invoke("bulk", "status", journal, "--follow"),
        invoke("bulk", "report", journal),
        invoke("bulk", "report", journal, "--bundle", file.with_name(f"{EVIL}.json")),
        invoke("bulk", "resume", journal, *quick),
        invoke("bulk", "pause", journal),
    )


def test_words_of_gong(
    invoke: Callable[..., Result], meetings: Callable[..., Path], fake: FakeGong
) -> None:
    """In the errors of one meeting, in those of a job, and of what has to be set right."""
    start = ("--start", "2026-11-24T15:00:00Z", "--end", "2026-11-24T16:00:00Z")
    fake.script(Fault.conflict(EVIL, fix_url=f"https://gong.example/{EVIL}"), times=None)
    one = invoke("meetings", "update", "778", *start, "--organizer", "dana@example.com")
    job = invoke("bulk", "run", meetings(1), "--no-check-organizers", "--per-second", "2000")
    fake.script(Fault.status(400, body=EVIL.encode()), times=None)

    check(one, job, invoke("bulk", "report", job.stdout.split()[0]))


@pytest.mark.parametrize(
    "words",
    [
        (EVIL,),
        (f"--{EVIL}",),
        ("bulk", "status", EVIL),
        ("bulk", "run", EVIL),
        ("meetings", "update", EVIL),
        ("whoami", EVIL),
    ],
)
def test_what_was_typed(invoke: Callable[..., Result], words: tuple[str, ...]) -> None:
    """By a user who pasted it."""
    check(invoke(*words))
