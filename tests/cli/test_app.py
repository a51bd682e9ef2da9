"""The command as a whole: help, exit codes, diagnostics, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gong_async._distribution.install import install_command
from gong_async.testing import FakeGong, Fault

Invoke = Callable[..., Result]
COMMANDS = (
    "plan",
    "run",
    "resume",
    "status",
    "pause",
    "cancel",
    "report",
    "undo",
    "purge",
    "list",
)
ID = "7782342274025937895"


@pytest.mark.parametrize("words", [["--help"], ["--version"], [], ["bulk", "--help"]])
def test_help_is_quick(words: list[str]) -> None:
    """Help imports neither the network, nor a database, nor what draws."""
    program = (
        "import atexit, sys\n"
        "heavy = {'aiohttp', 'asyncio', 'cattrs', 'rich', 'backoff', 'sqlite3'}\n"
        "heavy |= {'sqlite3', 'filelock'}\n"
        "atexit.register(lambda: print(sorted(heavy & sys.modules.keys())))\n"
        "from gong_async.__main__ import main\n"
        f"sys.argv[1:] = {words!r}\n"
        "main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [["list"], ["status", "none"], ["report", "none"]])
def test_a_look_at_a_job_is_quick(words: list[str], tmp_path: Path) -> None:
    """Commands that only read a journal do not import the network."""
    program = (
        "import atexit, os, sys\n"
        f"os.environ['GONG_STATE_DIR'] = {str(tmp_path)!r}\n"
        "atexit.register(lambda: print('aiohttp' in sys.modules))\n"
        "from gong_async.__main__ import main\n"
        f"sys.argv[1:] = {['bulk', *words]!r}\n"
        "main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines()[-1] == "False"


def test_a_run_without_a_terminal_draws_nothing() -> None:
    """The progress bar is not imported without a terminal."""
    program = (
        "import sys\n"
        "from gong_async.cli.diagnostics import Diagnostics\n"
        "from gong_async.cli.bulk.progress import make_progress\n"
        "make_progress(Diagnostics(as_json=False), wanted=True)\n"
        "print('rich' in sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "False\n"


def test_missing_extra() -> None:
    """Without click, one line says which extra is missing."""
    program = (
        "import sys; sys.modules['click'] = None\n"
        "from gong_async.__main__ import main\n"
        "sys.exit(main())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 2
    assert done.stderr == (
        "gong-async: the command line needs the extra cli; "
        f"install it with: {install_command('cli')}\n"
    )


def test_the_module_is_the_command() -> None:
    """`python -m gong_async` ends with the command's exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "gong_async", "bulk", "run", "missing.csv"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "missing.csv" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "meetings --help",
        "bulk --help",
        *(f"bulk {command} --help" for command in COMMANDS),
    ],
)
def test_exit_codes_are_documented(invoke: Invoke, words: str) -> None:
    """Every help ends with the exit codes, and says where credentials come from."""
    done = invoke(*words.split())

    assert done.exit_code == 0
    assert "75  stopped before the end" in done.stdout
    assert "GONG_ACCESS_KEY" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        "nonsense",
        "--nonsense",
        "bulk",
        "bulk nonsense",
        "bulk run",
        "bulk run --per-second x .",
        "bulk run --canary 0 .",
        "bulk resume",
        "bulk undo x",
        "bulk report x --format pdf",
        "fake --fault x",
    ],
)
def test_wrong_usage(invoke: Invoke, words: str) -> None:
    """Wrong usage ends with 2, says so on stderr, and leaves stdout empty."""
    done = invoke(*words.split())

    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr


@pytest.mark.parametrize("words", ["nonsense", "--nonsense", "bulk", "bulk run", "fake --port x"])
def test_wrong_usage_for_programs(invoke: Invoke, words: str) -> None:
    """With `--json`, wrong usage is one JSON object."""
    done = invoke("--json", *words.split())

    assert done.exit_code == 2
    assert {"level": "error", "kind": "usage"}.items() <= json.loads(done.stderr).items()


@pytest.mark.parametrize("option", ["--access-key", "--token", "--secret", "--password"])
def test_credentials_are_no_options(invoke: Invoke, option: str) -> None:
    """An option that looks like a credential is an error that says where credentials belong."""
    done = invoke("meetings", "status", option, "x", "dana@example.com")

    assert done.exit_code == 2
    assert "Credentials are read from the environment only" in done.stderr


def test_missing_credentials(invoke: Invoke) -> None:
    """Without a credential, it is said which variables to set."""
    done = invoke("meetings", "status", "dana@example.com", env={})

    assert done.exit_code == 2
    assert "GONG_ACCESS_KEY is not set" in done.stderr
    assert "credentials are never options" in done.stderr


def test_missing_credentials_for_programs(invoke: Invoke) -> None:
    """The same as JSON."""
    done = invoke("--json", "meetings", "status", "dana@example.com", env={})

    assert json.loads(done.stderr)["kind"] == "configuration"


def test_an_error_of_gong(invoke: Invoke, fake: FakeGong) -> None:
    """A call that Gong rejects ends with 1, and its message is printed."""
    fake.missing_meetings.add(ID)

    done = invoke("meetings", "delete", ID, "--organizer", "dana@example.com")

    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: Gong answered 404 Not Found: The given meeting ID")


def test_an_error_of_gong_for_programs(invoke: Invoke, fake: FakeGong) -> None:
    """With `--json`, what a program wants to know has keys of its own."""
    fake.add_user("dana@example.com", valid=False, fix_url="https://fix.example/")

    done = invoke("--json", *update(), "--organizer", "dana@example.com")

    reported = json.loads(done.stderr)
    assert done.exit_code == 1
    assert (reported["error"], reported["status"], reported["fix_url"]) == (
        "ConflictError",
        409,
        "https://fix.example/",
    )


def test_advice_of_gong(invoke: Invoke, fake: FakeGong) -> None:
    """Where Gong says what to do about a conflict, that is shown."""
    fake.add_user(
        "dana@example.com",
        valid=False,
        user_facing_error="No calendar",
        fix_url="https://fix.example/",
    )

    done = invoke(*update(), "--organizer", "dana@example.com")

    assert "Gong says: No calendar" in done.stderr
    assert "fix it at: https://fix.example/" in done.stderr


def test_a_long_wait(invoke: Invoke, fake: FakeGong) -> None:
    """A wait that Gong asks for is no failure: come back later."""
    fake.script(Fault.rate_limited("3600"))

    done = invoke("--json", "meetings", "status", "dana@example.com")

    reported = json.loads(done.stderr.splitlines()[-1])
    assert done.exit_code == 75
    assert reported["error"] == "RateLimitError"
    assert reported["retry_at"] is not None


def test_nothing_steers_the_terminal(invoke: Invoke, fake: FakeGong) -> None:
    """Control characters and directions in Gong's words are shown, not obeyed."""
    fake.script(Fault.status(400, errors=("\x1b[2Jgone\u202e",)))

    done = invoke(*update(), "--organizer", "dana@example.com")

    assert "\\u001b[2Jgone\\u202e" in done.stderr
    assert "\x1b" not in done.stderr


def test_warnings_of_the_library(invoke: Invoke, fake: FakeGong) -> None:
    """The library's warnings are among the diagnostics."""
    fake.script(Fault.rate_limited("0"))

    done = invoke("--json", "meetings", "status", "dana@example.com")

    assert done.exit_code == 0
    assert [json.loads(line)["kind"] for line in done.stderr.splitlines()] == ["log"]


def update() -> list[str]:
    """Return an update's words, but for the organizer."""
    start, end = "2026-11-24T15:00:00+01:00", "2026-11-24T15:45:00+01:00"
    return ["meetings", "update", ID, "--start", start, "--end", end]
