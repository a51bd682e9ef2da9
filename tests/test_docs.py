"""What the pages say is true: blocks run, commands parse, links lead somewhere.

A fence says by its first word what it is, and by the rest how it is treated:

    ```python                    pasted into `python -m asyncio`; blocks of a page share names
    ```python test_app.py        written to a file of this name and run by pytest
    ```python app.py             written to a file of this name and imported
    ```python requires=fastapi   pasted if that package is there, else only compiled
    ```csv meetings.csv          written to a file of this name, for the blocks and commands to read
    ```console                   run by a shell; what it prints is compared, `...` is anything
    ```sh                        only parsed: what never ends, or sets up a machine
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import code
import doctest
import gc
import importlib
import importlib.util
import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import click
import pytest
from attrs import frozen

from gong_async.cli.app import app
from gong_async.cli.diagnostics import Diagnostics
from gong_async.testing import FakeGong

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(\w+)[ ]?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@frozen
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    info: str
    text: str

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, from the top to the bottom."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2], found[3])
        for found in _FENCE.finditer(text)
    ]


ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]


def pages_with(*languages: str) -> list[Any]:
    """Return the pages that have blocks in one of these languages, as parameters."""
    found = dict.fromkeys(block.page for block in ALL_BLOCKS if block.language in languages)
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in found]


def blocks_in(*languages: str) -> list[Any]:
    """Return the blocks in these languages, as parameters."""
    return [
        pytest.param(block, id=block.place) for block in ALL_BLOCKS if block.language in languages
    ]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGong]:
    """Run a fake Gong that the environment points to, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with FakeGong.serve_in_thread(per_second=None) as fake:
        monkeypatch.setenv("GONG_BASE_URL", fake.url)
        monkeypatch.setenv("GONG_ACCESS_KEY", fake.access_key)
        monkeypatch.setenv("GONG_ACCESS_KEY_SECRET", fake.access_key_secret)
        monkeypatch.setenv("GONG_STATE_DIR", str(tmp_path / "state"))
        monkeypatch.delenv("GONG_BEARER_TOKEN", raising=False)
        yield fake


class Console(code.InteractiveConsole):
    """What `python -m asyncio` is up to Python 3.12: it compiles what is pasted line by line.

    There a blank line ends an indented block, and the next statement must not follow without one.
    """

    def __init__(self, runner: asyncio.Runner, *, runs: bool = True) -> None:
        names = {"__name__": "__main__", "__builtins__": builtins, "asyncio": asyncio}
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.runner = runner
        self.runs = runs

    def paste(self, text: str) -> None:
        """Enter every line, and an empty one at the end."""
        for line in text.splitlines():
            self.push(line)
        assert not self.push(""), "the last statement is not complete"

    def runcode(self, code: CodeType) -> None:
        """Run one statement, as `asyncio.__main__` does."""
        if self.runs:
            self.runner.run(self._run(FunctionType(code, self.locals)))

    async def _run(self, statement: FunctionType) -> None:
        result = statement()
        if inspect.iscoroutine(result):
            await result

    def showsyntaxerror(self, *_: Any, **__: Any) -> None:
        """Let the test fail."""
        raise  # noqa: PLE0704 - it is called while the error is handled


def run_python(block: Block, console: Console) -> None:
    """Paste a block."""
    needed = block.info.removeprefix("requires=") if "=" in block.info else None
    console.runs = needed is None or importlib.util.find_spec(needed) is not None
    console.filename = block.place
    try:
        console.paste(block.text)
    except Exception as error:
        error.add_note(f"pasted from {block.place}")
        raise


def run_pytest(file: Path, *options: str) -> str:
    """Run a file as it is, in a folder without a configuration; return the output if it fails."""
    command = [sys.executable, "-m", "pytest", *options, file.name]
    run = subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True, timeout=60, check=False
    )
    return run.stdout + run.stderr if run.returncode else ""


def write_files(page: Path, folder: Path) -> None:
    """Write the blocks of a page that stand for files."""
    for block in blocks(page):
        if re.fullmatch(r"\w+\.(py|csv|jsonl|toml)", block.info):
            (folder / block.info).write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs(
    page: Path, fake: FakeGong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Python block of a page runs, in order, to its end, and needs no other page."""
    failures: list[str] = []
    write_files(page, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "displayhook", lambda _: None)
    known = set(sys.modules)

    with asyncio.Runner() as runner:
        console = Console(runner)
        for block in blocks(page):
            if block.language == "python" and block.info.startswith("test_"):
                # What is to be a test of this project finds its configuration there.
                ours = ("-o", "asyncio_mode=auto") if page.name == "CONTRIBUTING.md" else ()
                failures.append(run_pytest(tmp_path / block.info, *ours))
            elif block.language == "python" and block.info.endswith(".py"):
                importlib.import_module(block.info.removesuffix(".py"))
            elif block.language == "python":
                run_python(block, console)
    console.locals.clear()
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    gc.collect()  # reports here what was left open, not in a later test

    assert "".join(failures) == ""


NAMED = [
    pytest.param(block, id=f"{block.place} {block.info}")
    for block in ALL_BLOCKS
    if re.fullmatch(r"\w+\.py", block.info) and block.page.name != "CONTRIBUTING.md"
]


@pytest.mark.parametrize("block", NAMED)
def test_what_is_a_file_is_said_to_be_one(block: Block) -> None:
    """The name beside a fence is not shown: the text or a command before or after it says it."""
    text = block.page.read_text(encoding="utf-8")
    others = text.replace(f"```{block.language} {block.info}\n", "")

    assert block.info in others


@pytest.mark.parametrize(
    "text",
    [
        "if True:\n    a = 1\n\n    b = 2\n",
        "class A:\n    a = 1\n\n    b = 2\n",
        "if True:\n    a = 1\nb = 2\n",
        "async def f():\n    pass\n@f\ndef g(): pass\n",
        "a = (1,\n",
    ],
)
def test_what_cannot_be_pasted_is_found(text: str) -> None:
    """So that the test above is worth something."""
    compile(text if text.count("(") == text.count(")") else "", "a page", "exec")
    with asyncio.Runner() as runner, pytest.raises((SyntaxError, AssertionError)):
        Console(runner).paste(text)


NO_ZONES = """
import runpy, sys, zoneinfo
zoneinfo.reset_tzpath(to=())
sys.modules["tzdata"] = None
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def run_without_zones(file: Path) -> subprocess.CompletedProcess[str]:
    """Run a file where the system knows no time zones."""
    command = [sys.executable, "-c", NO_ZONES, str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_first_example_needs_no_time_zones(fake: FakeGong, tmp_path: Path) -> None:
    """That of the README is the first thing that anybody runs, in a slim container maybe."""
    write_files(ROOT / "README.md", tmp_path)
    ended = run_without_zones(tmp_path / "update.py")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert [change.body["startTime"] for change in fake.applied] == ["2026-11-24T12:00:00Z"]


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / "examples").glob("*.py")], ids=str)
def test_what_names_time_zones_says_what_they_need(page: Path) -> None:
    """Windows has none, and slim containers have none."""
    text = page.read_text(encoding="utf-8")

    assert "ZoneInfo(" not in text or "pip install tzdata" in text or page.name == "CHANGELOG.md"


def session(block: Block) -> tuple[str, str]:
    """Return the commands of a console block as a script, and all that they print."""
    lines = block.text.splitlines(keepends=True)
    script = [line[2:] for line in lines if line.startswith(("$ ", "> "))]
    printed = [line for line in lines if not line.startswith(("$ ", "> "))]
    return "".join(script), "".join(printed)


@pytest.mark.parametrize("page", pages_with("console"))
def test_consoles_print_what_they_show(page: Path, fake: FakeGong, tmp_path: Path) -> None:
    """Every console block of a page runs, in order, and prints what the page shows."""
    write_files(page, tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    checker = doctest.OutputChecker()
    wrong: list[tuple[str, str]] = []

    for block in blocks(page):
        if block.language != "console":
            continue
        script, wanted = session(block)
        run = subprocess.run(
            ["/bin/sh"],
            input=script,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if not checker.check_output(wanted, run.stdout, doctest.ELLIPSIS):
            wrong.append((block.place, run.stdout))

    assert wrong == []


def parse(words: list[str]) -> None:
    """Parse a command line to its end, and run nothing.

    Raises:
        click.UsageError: it is not one of `gong-async`.
    """
    command: click.Command = app
    while isinstance(command, click.Group):
        context = command.make_context(words[0], words[1:], obj=Diagnostics(as_json=False))
        _, found, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found is not None
        command, words = found, [found.name or "", *words]
    command.make_context(words[0], words[1:], obj=Diagnostics(as_json=False))


COMMANDS = [
    pytest.param(line, id=f"{block.place} {line}")
    for block in ALL_BLOCKS
    if block.language == "sh"
    for line in block.text.splitlines()
]


@pytest.mark.parametrize("line", [line for line in COMMANDS if "gong-async " in str(line.values)])
def test_commands_parse(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other command line is one that `gong-async` understands."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line, comments=True)
    for name in re.findall(r"[\w-]+\.(?:csv|jsonl)", line):
        (tmp_path / name).touch()

    parse(words)


@pytest.mark.parametrize("line", [line for line in COMMANDS if "make " in str(line.values)])
def test_targets_of_make_exist(line: str) -> None:
    """Every `make` on a page is a target of the Makefile."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    words = shlex.split(line, comments=True)

    assert set(words[1:]) <= set(targets)


def test_the_fake_says_how_to_be_reached() -> None:
    """`gong-async fake` prints the three lines that the tutorial lets the reader paste."""
    command = [sys.executable, "-m", "gong_async", "fake"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        lines = list(iter(server.stdout.readline, "Ctrl-C stops it.\n"))
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)

    exported = [found[1] for line in lines if (found := re.match(r"\s*export (\w+)=.", line))]
    assert exported == ["GONG_BASE_URL", "GONG_ACCESS_KEY", "GONG_ACCESS_KEY_SECRET"]


@pytest.mark.parametrize("block", blocks_in("json", "jsonl"))
def test_json_parses(block: Block) -> None:
    """Every JSON block is JSON, and every line of a JSONL block."""
    texts = block.text.splitlines() if block.language == "jsonl" else [block.text]

    assert all(isinstance(json.loads(text), dict) for text in texts)


def anchors(page: Path) -> set[str]:
    """Return the names that a page's headings get when it is shown."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link within the project points to a file, and to a heading of it."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    broken: list[str] = []
    for link in _LINK.findall(text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_every_page_is_reached_from_the_index() -> None:
    """No page of the documentation is an orphan."""
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text("utf-8"))}

    assert [page for page in (ROOT / "docs").rglob("*.md") if page not in {index, *linked}] == []
