"""`gong-async bulk run` on a terminal: the question before many requests, and dry runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define
from click.testing import Result

from gong_async.bulk.store.job_file import JobFile
from gong_async.testing import FakeGong

Invoke = Callable[..., Result]
Meetings = Callable[..., Path]
Jobs = Callable[[], list[JobFile]]
QUICK = ("--per-second", "2000", "--no-progress")
on_terminals = pytest.mark.skipif(
    not hasattr(os, "openpty"), reason="there are no pseudo-terminals on this system"
)


@define
class Terminal:
    """A command on a terminal of its own."""

    process: subprocess.Popen[bytes]
    end: int

    def read_to(self, text: str) -> str:
        """Return what is shown up to a text, or to the end."""
        shown = b""
        while text.encode() not in shown:
            try:
                piece = os.read(self.end, 1_000)
            except OSError:  # the other end was closed
                break
            if not piece:
                break
            shown += piece
        return shown.decode()

    def write(self, text: str) -> None:
        """Type a text."""
        os.write(self.end, text.encode())


OnTerminal = Callable[..., Terminal]


@pytest.fixture
def on_terminal(environment: dict[str, str]) -> Iterator[OnTerminal]:
    """Start the command on a terminal of its own."""
    running: list[Terminal] = []

    def on_terminal(*words: object) -> Terminal:
        end, other = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "gong_async", "bulk", "run", *map(str, words)],
            env={**os.environ, **environment, "TERM": "dumb"},
            stdin=other,
            stdout=subprocess.DEVNULL,
            stderr=other,
        )
        os.close(other)
        running.append(Terminal(process, end))
        return running[-1]

    yield on_terminal
    for terminal in running:
        os.close(terminal.end)
        terminal.process.kill()
        terminal.process.wait()


@on_terminals
@pytest.mark.parametrize(
    ("answer", "code", "updates"), [("y\n", 0, 100), ("\n", 2, 0), ("n\n", 2, 0)]
)
def test_many_requests_are_confirmed(
    *,
    on_terminal: OnTerminal,
    meetings: Meetings,
    fake: FakeGong,
    jobs: Jobs,
    answer: str,
    code: int,
    updates: int,
) -> None:
    """Without a yes nothing is sent, and no job is left."""
    terminal = on_terminal(meetings(100), *QUICK)

    question = terminal.read_to("[y/N] ")
    terminal.write(answer)
    rest = terminal.read_to("no such text")

    assert "Send 101 requests to http" in question
    assert terminal.process.wait(60) == code, rest
    assert fake.applied_count == updates
    assert len(jobs()) == (1 if updates else 0)
    if not updates:
        assert "error: not confirmed; nothing was sent" in rest


@on_terminals
def test_a_signal_ends_the_question(
    on_terminal: OnTerminal, meetings: Meetings, fake: FakeGong, jobs: Jobs
) -> None:
    """Ctrl-C is an answer, too: no job is left that could be resumed."""
    terminal = on_terminal(meetings(100), *QUICK)

    terminal.read_to("[y/N] ")
    terminal.process.send_signal(signal.SIGINT)

    assert terminal.process.wait(60) == 75
    assert fake.received_count == 0
    assert jobs() == []


@on_terminals
@pytest.mark.parametrize(("count", "options"), [(99, ()), (100, ("--yes",))])
def test_no_question(
    on_terminal: OnTerminal,
    meetings: Meetings,
    fake: FakeGong,
    count: int,
    options: tuple[str, ...],
) -> None:
    """Few requests are sent at once, and many if that is asked for."""
    terminal = on_terminal(meetings(count), *QUICK, *options)

    shown = terminal.read_to("no such text")

    assert terminal.process.wait(60) == 0, shown
    assert "[y/N]" not in shown
    assert fake.applied_count == count


def test_without_a_terminal_there_is_no_question(
    invoke: Invoke, meetings: Meetings, fake: FakeGong
) -> None:
    """A timer cannot answer a question."""
    done = invoke("bulk", "run", meetings(150), *QUICK)

    assert done.exit_code == 0, done.stderr
    assert fake.applied_count == 150


def test_a_dry_run_is_a_plan(
    invoke: Invoke, meetings: Meetings, fake: FakeGong, jobs: Jobs
) -> None:
    """It prints what `plan` prints, and nothing is sent or kept."""
    options = ("--keep-order", "--no-check-organizers", "--per-day", "50")

    planned = invoke("bulk", "plan", meetings(150), *options)
    dry = invoke("bulk", "run", meetings(150), *options, "--dry-run", "--wait", "--canary", "2")

    assert dry.exit_code == 0, dry.stderr
    assert dry.stdout.partition("finishes")[0] == planned.stdout.partition("finishes")[0]
    assert (fake.received_count, jobs()) == (0, [])


def test_a_plan_for_programs(invoke: Invoke, meetings: Meetings) -> None:
    """Standard output is one JSON object, whatever diagnostics are."""
    done = invoke("bulk", "plan", meetings(3), "--format", "json")

    plan = json.loads(done.stdout)
    assert (plan["items"], plan["to_send"], plan["forecast"]["requests"]) == (3, 3, 4)
