"""What all tests share: no blocking calls in the loop, and no secret in anything that is written.

The fixtures `fake_gong` and `gong` come from the plugin `gong_async._pytest`.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import logging
import os
import re
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from blockbuster import BlockBuster

from gong_async import BasicAuth, GongClient, Invitee, Limits, MeetingUpdate
from gong_async._transport.http1 import DOCUMENTED_ONLY
from gong_async.hooks.events import Hook
from gong_async.limits.memory import MemoryLimitStore
from gong_async.testing import FakeGong
from gong_async.testing.oauth import FAKE_CLIENT_SECRET, FAKE_TOKENS
from gong_async.testing.server import (
    FAKE_ACCESS_KEY,
    FAKE_ACCESS_KEY_SECRET,
    FAKE_BEARER_TOKEN,
)

HERE = str(Path(__file__).parent)
_EMAIL = re.compile(r"[^\s<>'\"]+@[^\s<>'\"]+\.[a-z]+")
WIRE = Path(HERE, "wire")


def spellings(secret: str) -> dict[str, str]:
    """Return the ways in which a secret may be written, by their names."""
    return {
        "raw": secret,
        "base64": base64.b64encode(secret.encode()).decode().rstrip("="),
        "URL-encoded": quote(secret, safe=""),
        "JSON-escaped": json.dumps(secret)[1:-1],
    }


class LeakSearch:
    """Finds secrets in texts, and names them without showing them."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self._names = {
            spelling: f"{name} ({way})"
            for name, secret in secrets.items()
            for way, spelling in reversed(spellings(secret).items())
        }
        self._pattern = re.compile("|".join(map(re.escape, self._names)))

    def __call__(self, *texts: str) -> list[str]:
        """Return the names of the secrets that occur."""
        return [self._names[found] for text in texts for found in self._pattern.findall(text)]


def traceback_text(error: BaseException) -> str:
    """Return everything that an error tracker would show of an exception, locals included.

    Frames of tests are left out: these know the secrets that they look for.
    """
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    chain: list[traceback.TracebackException | None] = [shown]
    while chain:
        if link := chain.pop():
            link.stack[:] = [frame for frame in link.stack if not frame.filename.startswith(HERE)]
            chain += [link.__cause__, link.__context__]
    return "".join(shown.format())


class SecretWatch(logging.Handler):
    """Reads every log record and every failure of the run, and fails the run if one shows a secret.

    Only where a secret was found is kept, never the text. Each process of pytest-xdist has a watch
    of its own, which hands its findings to the one of the process that decides about the run.
    """

    def __init__(self, search: LeakSearch) -> None:
        super().__init__(logging.DEBUG)
        self.search = search
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Search a log record."""
        texts = [str(record.msg), record.getMessage(), repr(record.args)]
        if record.name == "gong_async" and _EMAIL.search(texts[1]):
            self.found.append(f"log record at {record.pathname}:{record.lineno}: an email address")
        if record.exc_info and record.exc_info[1] is not None:
            texts.append(traceback_text(record.exc_info[1]))
        self._note(f"log record of {record.name}, {record.pathname}:{record.lineno}", texts)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Search what is shown of a failure, and what was written to the terminal."""
        if report.longrepr is not None:
            self._note(f"failure of {report.nodeid}", [report.longreprtext])
        self._note(f"output of {report.nodeid}", [report.capstdout, report.capstderr])

    def look_into(self, folder: Path, test: str) -> None:
        """Search the databases that a test has left: journals, ledgers, limits."""
        for file in folder.rglob("*.sqlite3*"):
            if file.is_file() and not file.is_symlink():
                self._note(f"{file.name} of {test}", [file.read_bytes().decode("latin-1")])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run if anything was found; a worker of pytest-xdist hands it over."""
        logging.getLogger().removeHandler(self)
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["secrets"] = self.found
        if self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of pytest-xdist has found; one that died has failed the run anyway."""
        self.found.extend(getattr(node, "workeroutput", {}).get("secrets", ()))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where."""
        if self.found:
            terminalreporter.section("secrets were written", red=True)
            for where in dict.fromkeys(self.found):
                terminalreporter.line(where)

    def _note(self, where: str, texts: Iterable[str]) -> None:
        self.found.extend(f"{where}: {name}" for name in sorted(set(self.search(*texts))))


class UnderUvloop:
    """Runs every async test in a loop of uvloop's, with virtual time where it is asked for."""

    def pytest_asyncio_loop_factories(
        self, item: pytest.Item
    ) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        """Return the one kind of loop that a test runs in."""
        import uvloop  # noqa: PLC0415 - not there on every system
        from faults.uvloop_time import VirtualLoop  # noqa: PLC0415

        virtual = item.get_closest_marker("looptime") is not None
        return {"uvloop": VirtualLoop if virtual else uvloop.new_event_loop}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the loop be chosen, and the tests that take long be run: `pytest tests/faults --full`."""
    parser.addoption("--uvloop", action="store_true", help="run the async tests under uvloop")
    parser.addoption("--full", action="store_true", help="also run the tests that take long")
    parser.addoption(
        "--documented-aiohttp",
        action="store_true",
        help="send requests through aiohttp's documented API",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for: by `--full`, or by the name of a test."""
    if config.getoption("--documented-aiohttp"):
        from faults.documented_aiohttp import expect_differences  # noqa: PLC0415 - as uvloop

        expect_differences(items)
    if config.getoption("--full") or any("::" in argument for argument in config.args):
        return
    full = [item for item in items if item.get_closest_marker("full")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


def pytest_make_parametrize_id(config: pytest.Config, val: object) -> str | None:
    """Name values by their type where their repr holds an address: workers must agree on ids."""
    return type(val).__name__ if " at 0x" in repr(val) else None


def pytest_configure(config: pytest.Config) -> None:
    """Watch the whole run; change the loop if `--uvloop` says so."""
    if config.getoption("--documented-aiohttp"):
        os.environ[DOCUMENTED_ONLY] = "1"
    if config.getoption("--uvloop"):
        config.pluginmanager.register(UnderUvloop(), "under-uvloop")
    pair = f"{FAKE_ACCESS_KEY}:{FAKE_ACCESS_KEY_SECRET}"
    watch = SecretWatch(
        LeakSearch(
            {
                "the fake's key and secret": pair,
                "the fake's access key": FAKE_ACCESS_KEY,
                "the fake's access key secret": FAKE_ACCESS_KEY_SECRET,
                "the fake's bearer token": FAKE_BEARER_TOKEN,
                "the fake's client secret": FAKE_CLIENT_SECRET,
                **{f"a token of the fake's OAuth ({kind})": kind for kind in FAKE_TOKENS},
            }
        )
    )
    config.pluginmanager.register(watch, "secret-watch")
    root = logging.getLogger()
    root.addHandler(watch)
    root.setLevel(logging.DEBUG)
    # looptime asks for the current loop also in sync tests; unless one (or none) was set,
    # asyncio makes one for the asking, and never closes it.
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True, scope="session")
def programs_are_not_measured() -> None:
    """Keep coverage.py out of the programs that tests start: it prints, imports and opens files."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(autouse=True, scope="session")
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use neither the user's state directory nor that of another worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture(autouse=True)
def limits_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test limits of its own: ports come again, and with them another test's company."""
    monkeypatch.setattr("gong_async._client.PROCESS_LIMITS", MemoryLimitStore())


@pytest.fixture(autouse=True)
def no_secret_in_files(request: pytest.FixtureRequest) -> Iterator[None]:
    """Search what a test has left on the disk."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    watch = request.config.pluginmanager.get_plugin("secret-watch")
    if isinstance(folder, Path) and isinstance(watch, SecretWatch):
        watch.look_into(folder, request.node.nodeid)


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """Run a fake without limits in the loop of the test."""
    async with FakeGong(per_second=None, per_day=None) as fake:
        yield fake


@pytest.fixture
def client() -> Callable[..., GongClient]:
    """Make clients of a fake with hooks and options, without limits of their own unless given."""

    def client(fake: FakeGong, *hooks: Hook, **options: Any) -> GongClient:
        auth = BasicAuth(fake.access_key, fake.access_key_secret)
        options = {"limits": Limits(per_second=None, per_day=None), **options}
        return GongClient(auth, base_url=fake.url, hooks=hooks, **options)

    return client


@pytest.fixture
def update() -> MeetingUpdate:
    """Return an update of a meeting."""
    return MeetingUpdate(
        start_time=datetime(2026, 11, 24, 15, tzinfo=UTC),
        end_time=datetime(2026, 11, 24, 16, tzinfo=UTC),
        organizer_email="dana@example.com",
        invitees=[Invitee(email="lee@example.com", display_name="Łé")],
        title="Renewal",
    )


@pytest.fixture(scope="session")
def blockbuster() -> BlockBuster:
    """Find calls that block, when they are made on behalf of the package in an event loop."""
    found = BlockBuster("gong_async", excluded_modules=["gong_async.testing"])
    # Modules and their SQL are read by pytest's loader in place of Python's, which may block.
    found.functions["io.BufferedReader.read"].can_block_in("assertion/rewrite.py", {"get_data"})
    return found


@pytest.fixture(autouse=True)
def no_blocking(request: pytest.FixtureRequest, blockbuster: BlockBuster) -> Iterator[None]:
    """Let an async test fail that blocks its event loop."""
    is_async = inspect.iscoroutinefunction(getattr(request, "function", None))
    if not is_async or request.node.get_closest_marker("may_block"):
        yield
        return
    blockbuster.activate()
    yield
    blockbuster.deactivate()


@pytest.fixture
def wire() -> Callable[[str], Any]:
    """Read a sample of what travels, written by hand from Gong's documentation."""

    def read(name: str) -> Any:
        return json.loads((WIRE / name).read_text(encoding="utf-8"))

    return read


@pytest.fixture
def leaks_of() -> Callable[[dict[str, str]], LeakSearch]:
    """Make a search for secrets, given by name."""
    return LeakSearch


@pytest.fixture
def shown() -> Callable[[BaseException], str]:
    """Show an exception as an error tracker does, with the locals of every frame."""
    return traceback_text
