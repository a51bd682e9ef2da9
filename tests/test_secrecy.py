"""No secret is in an error, a log record, a repr, or a traceback with locals."""

from __future__ import annotations

import base64
import copy
import io
import json
import logging
import pickle
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from gong_async import (
    Auth,
    BasicAuth,
    BearerAuth,
    GongClient,
    GongError,
    Invitee,
    MeetingUpdate,
    NewMeeting,
    RetryPolicy,
)
from gong_async.hooks.events import Event
from gong_async.hooks.log import log_event
from gong_async.testing import FakeGong, Fault

Leaks = Callable[[dict[str, str]], Callable[..., list[str]]]
KnownSecrets = Callable[[BaseException], str]

# Different in each of its spellings, and unlike the secrets that the whole run is watched for.
KEY = 'K3Y/of+the "test"&co'
SECRET = 'S3CR3T/of+the "test"&more=='
TOKEN = "T0K3N/of+the-test.with~every=sign"
WATCHED = {
    "key": KEY,
    "secret": SECRET,
    "token": TOKEN,
    "pair": f"{KEY}:{SECRET}",
}

START = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
MEETING: dict[str, Any] = {
    "start_time": START,
    "end_time": START + timedelta(hours=1),
    "organizer_email": "dana@example.com",
    "invitees": [Invitee(email="lee@customer.example")],
}
UPDATE = MeetingUpdate(**MEETING)
NEW = NewMeeting(**MEETING)

SENT = {
    "basic": (f"Basic {base64.b64encode(f'{KEY}:{SECRET}'.encode()).decode()}", KEY, SECRET),
    "bearer": (f"Bearer {TOKEN}", TOKEN),
}


def echo(auth: str) -> str:
    """Return the text of a server that repeats the credential, in every spelling."""
    header, *secrets = SENT[auth]
    spelled = [
        text
        for secret in [*secrets, ":".join(secrets)]
        for text in (
            secret,
            quote(secret, safe=""),
            base64.b64encode(secret.encode()).decode(),
            json.dumps(secret),
        )
    ]
    return " ".join([f"Authorization: {header}", *spelled])


def echoing(auth: str, status: int, payload: dict[str, Any]) -> Fault:
    """Answer with JSON, and with the echo in a header."""
    body = json.dumps({"requestId": echo(auth), **payload}).encode()
    return Fault.status(status, body=body, headers={"x-traceid": quote(echo(auth))})


def faults(auth: str) -> dict[str, Fault]:
    """Return every fault, with a server that repeats this credential."""
    said = echo(auth)
    conflict = {"errors": [said], "userFacingError": said, "fixUrl": said, "helpUrl": said}
    return {
        **{
            str(status): Fault.status(status) for status in (400, 401, 403, 404, 409, 418, 500, 503)
        },
        "429": Fault.rate_limited("9999"),
        "redirect": Fault.redirect(f"https://evil.example/{quote(said)}"),
        "redirect to a bad place": Fault.redirect(f"https://{quote(said)}@x/"),
        "login page": Fault.html(200),
        "gateway page": Fault.html(502),
        "drop before": Fault.drop_before(),
        "drop after": Fault.drop_after(),
        "reset": Fault.reset_after(),
        "stall": Fault.stall(),
        "drip": Fault.slow_drip(1, 1.0),
        "truncated": Fault.truncate(5),
        "not HTTP": Fault.raw(),
        "echo that is not HTTP": Fault.raw(said.encode() + b"\r\n\r\n"),
        "echo in a bad header": Fault.raw(b"HTTP/1.1 200 OK\r\n" + said.encode() + b"\r\n\r\n"),
        "echo in the reason": Fault.raw(
            f"HTTP/1.1 500 {said}\r\nContent-Length: 0\r\n\r\n".encode()
        ),
        "echo in a content type": Fault.status(200, body=b"x", content_type=said),
        "wrong id": Fault.wrong_id("1"),
        "oversized": Fault.oversized(9 * 1024 * 1024),
        "empty": Fault.empty(500),
        **{
            f"echo in {status}": echoing(auth, status, conflict)
            for status in (400, 401, 403, 404, 409, 418, 429, 500)
        },
        "echo of errors in 200": echoing(auth, 200, {"errors": [said]}),
        "echo of an id in 200": echoing(auth, 200, {"meetingId": said}),
        "echo of another shape in 200": echoing(
            auth, 200, {"meetingId": [said], "meetingUrl": {"a": said}}
        ),
        "echo as text in 200": Fault.status(200, body=said.encode()),
        "echo as broken JSON in 200": Fault.status(200, body=b'{"a":' + json.dumps(said).encode()),
        "echo as a page in 502": Fault.status(502, body=f"<p>{said}</p>".encode()),
    }


class LogCapture:
    """Formats every log record with its traceback, as a log file does."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)r"))

    @property
    def text(self) -> str:
        """All of it."""
        return self.stream.getvalue()


@pytest.fixture
def log() -> Iterator[LogCapture]:
    """Listen to every logger at DEBUG."""
    capture = LogCapture()
    loggers = [logging.getLogger(name) for name in ("", "aiohttp", "asyncio", "gong_async")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    loggers[0].addHandler(capture.handler)
    yield capture
    loggers[0].removeHandler(capture.handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
async def fake() -> AsyncIterator[FakeGong]:
    """Run a fake with awkward credentials."""
    async with FakeGong(
        access_key=KEY, access_key_secret=SECRET, bearer_token=TOKEN, per_second=None
    ) as fake:
        yield fake


AUTHS: dict[str, Auth] = {"basic": BasicAuth(KEY, SECRET), "bearer": BearerAuth(TOKEN)}


@asynccontextmanager
async def client(fake: FakeGong, auth: str, **options: Any) -> AsyncIterator[GongClient]:
    """Make a client that logs what it does."""
    retry = RetryPolicy(max_attempts=2, max_refusals=0)
    async with GongClient(
        AUTHS[auth], base_url=fake.url, retry=retry, timeout=5.0, hooks=[log_event], **options
    ) as gong:
        yield gong


def written(gong: GongClient, error: BaseException, shown: KnownSecrets) -> str:
    """Return every text that can be made of a failed call."""
    texts = [str(error), repr(error), repr(error.args), repr(vars(error)), shown(error)]
    texts += [repr(pickle.dumps(error)), repr(copy.deepcopy(error))]
    texts += [repr(gong), repr(vars(gong)), str(gong.meetings), repr(gong._call)]
    return "\n".join(texts)


@pytest.mark.looptime
@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("fault", faults("basic"))
async def test_nothing_of_a_failed_call_shows_a_secret(
    *,
    fault: str,
    auth: str,
    fake: FakeGong,
    log: LogCapture,
    leaks_of: Leaks,
    shown: KnownSecrets,
) -> None:
    """No fault and no echo of the server reveals what was sent."""
    fake.script(faults(auth)[fault], times=None)
    texts = []
    async with client(fake, auth) as gong:
        for call in (
            lambda: gong.meetings.update("42", UPDATE),
            lambda: gong.meetings.create(NEW),
            lambda: gong.request("GET /v2/users"),
        ):
            try:
                result = await call()
            except GongError as error:
                texts.append(written(gong, error, shown))
            else:
                texts.append(repr(result))

    assert leaks_of(WATCHED)(*texts) == []
    assert leaks_of(WATCHED)(log.text) == []


@pytest.mark.parametrize("auth", AUTHS)
async def test_a_refused_connection_shows_no_secret(
    auth: str, unused_tcp_port: int, log: LogCapture, leaks_of: Leaks, shown: KnownSecrets
) -> None:
    """The error of an unreachable server shows no secret."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    retry = RetryPolicy(max_attempts=1)
    async with GongClient(AUTHS[auth], base_url=url, retry=retry, hooks=[log_event]) as gong:
        with pytest.raises(GongError) as caught:
            await gong.meetings.update("42", UPDATE)
        text = written(gong, caught.value, shown)

    assert leaks_of(WATCHED)(text, log.text) == []


@pytest.mark.parametrize("auth", AUTHS)
async def test_a_failing_hook_shows_no_secret(
    auth: str, fake: FakeGong, log: LogCapture, leaks_of: Leaks
) -> None:
    """The traceback that is logged for a hook shows no secret."""

    def broken(event: Event) -> None:
        raise LookupError(type(event).__name__)

    async with GongClient(AUTHS[auth], base_url=fake.url, hooks=[broken]) as gong:
        await gong.meetings.update("42", UPDATE)

    assert "LookupError" in log.text
    assert leaks_of(WATCHED)(log.text) == []


@pytest.mark.parametrize("auth", AUTHS)
async def test_an_error_of_the_callers_own_session_shows_no_secret(
    auth: str, fake: FakeGong, log: LogCapture, leaks_of: Leaks, shown: KnownSecrets
) -> None:
    """An error raised inside aiohttp passes frames of the library, with their locals."""

    class Broken(aiohttp.TCPConnector):
        async def connect(self, *args: Any, **kwargs: Any) -> Any:
            raise LookupError("not one of ours")

    connector = Broken()
    async with client(fake, auth, connector=connector) as gong:
        with pytest.raises(LookupError) as caught:
            await gong.meetings.update("42", UPDATE)
        text = shown(caught.value)
    await connector.close()

    assert "RedactedHeader" in text or "***" in text
    assert leaks_of(WATCHED)(text, log.text) == []


def test_a_bad_environment_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, leaks_of: Leaks, shown: KnownSecrets
) -> None:
    """A client that cannot be built from the environment does not show the environment."""
    monkeypatch.setenv("GONG_ACCESS_KEY", KEY)
    monkeypatch.setenv("GONG_ACCESS_KEY_SECRET", f"{SECRET}\n")
    with pytest.raises(GongError) as caught:
        GongClient.from_env()

    assert leaks_of(WATCHED)(shown(caught.value), str(caught.value)) == []


@pytest.mark.parametrize("name", WATCHED)
@pytest.mark.parametrize("way", ["raw", "base64", "URL-encoded", "JSON-escaped"])
def test_the_search_finds_every_spelling(name: str, way: str, leaks_of: Leaks) -> None:
    """The control: each spelling of each secret is found, in the middle of a long text."""
    secret = WATCHED[name]
    spelled = {
        "raw": secret,
        "base64": base64.b64encode(secret.encode()).decode(),
        "URL-encoded": quote(secret, safe=""),
        "JSON-escaped": json.dumps(secret)[1:-1],
    }

    found = leaks_of({name: secret})("x" * 10_000, f"a line\n{spelled[way]}\nanother")

    assert len(found) == 1
    assert found[0].startswith(f"{name} (")


async def test_the_search_would_find_what_aiohttp_itself_shows(
    fake: FakeGong, leaks_of: Leaks, shown: KnownSecrets
) -> None:
    """The control: the same failure without this library shows the secret in its traceback."""
    pair = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
    fake.script(Fault.raw())
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(fake.url + "/v2/users", headers={"Authorization": f"Basic {pair}"})

    assert leaks_of(WATCHED)(shown(caught.value)) != []


def test_the_log_capture_has_every_record(log: LogCapture, leaks_of: Leaks) -> None:
    """The control: a secret that some library logs, as an argument or not, is found."""
    logging.getLogger("aiohttp.client").debug("sending %s", TOKEN)

    assert leaks_of(WATCHED)(log.text) != []


LEAKY = {
    "a log line": """
import logging
from gong_async.testing.server import {name}
def test_it():
    logging.getLogger("some.library").debug("sending %s", {name})
""",
    "a logged traceback": """
import logging
from gong_async.testing.server import {name}
def test_it():
    try:
        raise ValueError({name})
    except ValueError:
        logging.getLogger("some.library").exception("it failed")
""",
    "a failure": """
import pytest
from gong_async.testing.server import {name}
@pytest.mark.xfail(strict=True)
def test_it():
    assert {name} == "other"
""",
}
WITHOUT_LEAK = """
import logging
def test_it():
    logging.getLogger("some.library").debug("sending ***")
"""


def run_watched(folder: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test file of its own under the watch of our conftest."""
    shutil.copy(Path(__file__).parent / "conftest.py", folder)
    (folder / "test_it.py").write_text(code, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=folder,
    )


@pytest.mark.parametrize(
    "name",
    [
        "FAKE_ACCESS_KEY_SECRET",
        pytest.param("FAKE_ACCESS_KEY", marks=pytest.mark.full),
        pytest.param("FAKE_BEARER_TOKEN", marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("leak", LEAKY)
def test_the_whole_run_is_watched(leak: str, name: str, tmp_path: Path) -> None:
    """The control: a run whose tests all pass fails when one of them writes a secret."""
    done = run_watched(tmp_path, LEAKY[leak].format(name=name))

    assert done.returncode == 1, done.stdout
    assert "secrets were written" in done.stdout
    assert "the fake's" in done.stdout


@pytest.mark.full
@pytest.mark.parametrize(
    "leak",
    [
        "a log line",
        pytest.param("a logged traceback", marks=pytest.mark.full),
        pytest.param("a failure", marks=pytest.mark.full),
    ],
)
def test_the_workers_of_a_run_are_watched(leak: str, tmp_path: Path) -> None:
    """Also a secret that is written in a process of pytest-xdist fails the run."""
    done = run_watched(tmp_path, LEAKY[leak].format(name="FAKE_ACCESS_KEY_SECRET"), "-n1")

    assert done.returncode == 1, done.stdout
    assert "secrets were written" in done.stdout
    assert "the fake's" in done.stdout


def test_a_run_without_a_leak_passes(tmp_path: Path) -> None:
    """The control of the control: without a leak the same run passes."""
    done = run_watched(tmp_path, WITHOUT_LEAK)

    assert done.returncode == 0, done.stdout
