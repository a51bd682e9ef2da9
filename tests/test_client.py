"""The client's life: where it may be built and used, what it shares, and how it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from attrs import evolve

from gong_async import (
    APITimeoutError,
    BearerAuth,
    ConfigurationError,
    Delivery,
    Endpoint,
    GongClient,
    GongError,
    Limits,
    MeetingUpdate,
    ProtocolError,
    RawResult,
    RetryPolicy,
    UsageError,
)
from gong_async.testing import FakeGong, Fault

UNLIMITED = Limits(per_second=None, per_day=None)
Client = Callable[..., GongClient]


@pytest.fixture
def distant() -> Iterator[FakeGong]:
    """Run a fake without limits in a thread of its own."""
    with FakeGong.serve_in_thread(per_second=None, per_day=None) as fake:
        yield fake


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run in a new loop, without touching the thread's own as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(coroutine)


async def failure(coroutine: Coroutine[Any, Any, Any]) -> GongError:
    """Return the error that a call ends with."""
    with pytest.raises(GongError) as caught:
        await coroutine
    return caught.value


# Programs of their own: what a user writes, with every warning an error.

PREAMBLE = """
import asyncio, gc, os, sys, threading
from datetime import datetime, timezone
from gong_async import BasicAuth, GongClient, Limits, MeetingUpdate

UPDATE = MeetingUpdate(
    start_time=datetime(2026, 11, 24, 15, tzinfo=timezone.utc),
    end_time=datetime(2026, 11, 24, 16, tzinfo=timezone.utc),
    organizer_email="dana@example.com",
    invitees=[],
)
url, key, secret = sys.argv[1:]
gong = GongClient(BasicAuth(key, secret), base_url=url, limits=Limits(per_second=None))

async def use(number=1):
    print((await gong.meetings.update(number, UPDATE)).meeting_id, flush=True)
"""

PROGRAMS = {
    "used and closed in one run": """
        async def main():
            async with gong:
                await use(1)
                await use(2)
        asyncio.run(main())
    """,
    "one run after another, closed in the last": """
        asyncio.run(use(1))
        gc.collect()
        asyncio.run(use(2))
        asyncio.run(gong.close())
    """,
    "one run after another, never closed": """
        asyncio.run(use(1))
        gc.collect()
        asyncio.run(use(2))
    """,
    "in the loop of a thread": """
        thread = threading.Thread(target=lambda: asyncio.run(use(1)))
        thread.start()
        thread.join()
        asyncio.run(use(2))
        asyncio.run(gong.close())
    """,
    "dropped without being closed": """
        async def main():
            global gong
            await use(1)
            await use(2)
            del gong
            gc.collect()
            await asyncio.sleep(0.01)
        asyncio.run(main())
    """,
}

FORK = """
    async def main():
        await use(1)
        child = os.fork()
        if not child:
            code = 1
            try:
                asyncio.run(use(2))
                gc.collect()
                asyncio.run(gong.close())
                code = 0
            finally:
                os._exit(code)
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            await asyncio.sleep(0.01)
        assert ended[1] == 0
        await asyncio.wait_for(use(3), 60)
        await gong.close()
    asyncio.run(main())
"""


def program(text: str, fake: FakeGong) -> subprocess.CompletedProcess[str]:
    """Run a program in development mode, every warning an error."""
    source = PREAMBLE + textwrap.dedent(text)
    arguments = [fake.url, fake.access_key, fake.access_key_secret]
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", source, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_client_built_at_import_works_in_any_loop(name: str, distant: FakeGong) -> None:
    """Each loop gets connections of its own, and none of them is left open with a warning."""
    ended = program(PROGRAMS[name], distant)

    assert ended.stdout.split() == ["1", "2"], ended.stderr
    assert "Warning" not in ended.stderr
    assert "Error" not in ended.stderr
    assert ended.returncode == 0


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="no fork on this system")
def test_a_client_works_on_both_sides_of_a_fork(distant: FakeGong) -> None:
    """The child makes connections of its own; the parent goes on with the one that it had."""
    ended = program(FORK, distant)

    assert ended.stdout.split() == ["1", "2", "3"], ended.stderr
    assert ended.returncode == 0
    assert distant.connections_total == 2


@pytest.mark.may_block("two loops, one after the other")
def test_a_client_is_used_by_two_threads_at_once(
    distant: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Two loops, one client: all calls arrive, and each loop closes what is its own."""
    gong = client(distant)

    async def work(first: int) -> None:
        for number in range(first, first + 20):
            await gong.meetings.update(number, update)

    threads = [threading.Thread(target=run, args=(work(first),)) for first in (100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run(gong.close())

    assert distant.counts == {200: 40}


def test_closing_ends_the_calls_of_another_threads_loop(
    distant: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A call that is under way elsewhere ends with it, with its outcome unknown."""
    distant.script(Fault.stall())
    gong = client(distant, timeout=600.0)
    ended: list[GongError] = []

    async def call() -> None:
        ended.append(await failure(gong.meetings.update("1", update)))

    thread = threading.Thread(target=run, args=(call(),))
    thread.start()
    while not distant.received_count:
        time.sleep(0.001)
    run(gong.close())
    thread.join()

    (error,) = ended
    assert isinstance(error, UsageError)
    assert error.outcome_unknown


async def test_nothing_belongs_to_a_loop_before_the_first_call(client: Client) -> None:
    """Building a client in a loop opens nothing: it may be dropped without being closed."""
    built = client(await _unstarted())

    assert "127.0.0.1" in repr(built)


async def _unstarted() -> FakeGong:
    fake = FakeGong()
    await fake.start()
    await fake.close()
    return fake


# A session or a connector of the caller's own.


async def test_a_session_passed_in_is_used_and_never_closed(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Its connections are used, and it stays open when the client is closed."""
    async with aiohttp.ClientSession() as session:
        async with client(fake, session=session) as gong:
            await gong.meetings.update("1", update)

        assert not session.closed
        assert fake.counts == {200: 1}


async def test_a_connector_passed_in_is_used_and_never_closed(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Its connections are used, and it stays open when the client is closed."""
    async with aiohttp.TCPConnector() as connector:
        async with client(fake, connector=connector) as gong:
            await gong.meetings.update("1", update)

        assert not connector.closed
        assert fake.counts == {200: 1}


async def test_a_session_that_is_closed_is_refused(fake: FakeGong, client: Client) -> None:
    """When the client is built, not when it is first used."""
    session = aiohttp.ClientSession()
    await session.close()

    with pytest.raises(ConfigurationError, match="session that was passed in is closed"):
        client(fake, session=session)


async def test_a_session_that_is_closed_later_is_refused(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A clear error in place of aiohttp's."""
    session = aiohttp.ClientSession()
    async with client(fake, session=session) as gong:
        await session.close()
        error = await failure(gong.meetings.update("1", update))

    assert isinstance(error, UsageError)
    assert "closed" in str(error)


async def test_a_connector_that_is_closed_is_refused(fake: FakeGong, client: Client) -> None:
    """When the client is built, not when it is first used."""
    connector = aiohttp.TCPConnector()
    await connector.close()

    with pytest.raises(ConfigurationError, match="connector that was passed in is closed"):
        client(fake, connector=connector)


async def test_a_connector_that_is_closed_later_is_refused(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A clear error in place of aiohttp's."""
    connector = aiohttp.TCPConnector()
    async with client(fake, connector=connector) as gong:
        await connector.close()
        error = await failure(gong.meetings.update("1", update))

    assert isinstance(error, UsageError)
    assert "closed" in str(error)


FOREIGN: dict[str, Callable[[], Any]] = {
    "session": aiohttp.ClientSession,
    "connector": aiohttp.TCPConnector,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_belongs_to_another_loop_is_refused(
    kind: str, distant: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A session or connector of one loop, used in another, is a clear error."""

    async def make() -> Any:
        return FOREIGN[kind]()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as home:
        foreign = home.run(make())
        gong = client(distant, **{kind: foreign})

        error = run(failure(gong.meetings.update("1", update)))
        home.run(foreign.close())

    assert isinstance(error, UsageError)
    assert "another event loop" in str(error)


async def test_a_session_and_a_connector_contradict_each_other() -> None:
    """A session has its connector already."""
    async with aiohttp.ClientSession() as session:
        connector = session.connector
        with pytest.raises(ConfigurationError):
            GongClient(BearerAuth("token"), session=session, connector=connector)


# The end.


async def test_a_client_may_be_closed_twice(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """The second time does nothing."""
    gong = client(fake)
    await gong.meetings.update("1", update)
    await gong.close()

    await gong.close()

    await asyncio.sleep(0.01)
    assert fake.connections_open == 0


async def test_a_closed_client_refuses_every_use(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Calls, copies with other options and entering it: all say that it is closed."""
    gong = client(fake)
    derived = gong.with_options(timeout=5)
    await gong.close()

    errors = [
        await failure(gong.meetings.update("1", update)),
        await failure(derived.meetings.update("1", update)),
        await failure(gong.request("GET /v2/users")),
        await failure(gong.__aenter__()),
    ]

    assert {type(error) for error in errors} == {UsageError}
    assert all("closed" in str(error) for error in errors)
    assert fake.received_count == 0


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("stage", "unknown"),
    [("queue", False), ("hold", False), ("retry", True), ("refused", False), ("wire", True)],
)
async def test_closing_ends_calls_at_every_stage(
    fake: FakeGong, client: Client, update: MeetingUpdate, stage: str, *, unknown: bool
) -> None:
    """`UsageError` at once; the outcome is unknown only where a request may have been applied."""
    faults = {
        "queue": Fault.latency(0),
        "hold": Fault.rate_limited("30"),
        "retry": Fault.status(503),
        "refused": Fault.status(425),
        "wire": Fault.stall(),
    }
    pace = 1 / 100 if stage == "queue" else None
    gong = client(
        fake,
        limits=Limits(per_second=pace, per_day=None),
        retry=RetryPolicy(backoff_floor=50),
    )
    if stage == "queue":
        await gong.meetings.update("1", update)
    fake.script(faults[stage])
    call = asyncio.create_task(failure(gong.meetings.update("2", update)))
    await asyncio.sleep(5)
    start = asyncio.get_running_loop().time()

    await gong.close()
    error = await call

    assert isinstance(error, UsageError)
    assert error.outcome_unknown is unknown
    assert error.meeting_id == "2"
    assert asyncio.get_running_loop().time() - start < 1


@pytest.mark.looptime
async def test_closing_ends_a_read_without_a_doubt(fake: FakeGong, client: Client) -> None:
    """A read on the wire changes nothing at Gong."""
    fake.script(Fault.stall())
    gong = client(fake)
    call = asyncio.create_task(failure(gong.request("GET /v2/users")))
    await asyncio.sleep(1)

    await gong.close()
    error = await call

    assert not error.outcome_unknown
    assert error.delivery is Delivery.MAYBE


@pytest.mark.looptime
async def test_closing_ends_hundreds_of_calls(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Whether queued or on the wire: all end, and no task and no connection is left."""
    fake.script(Fault.stall(), times=None)
    gong = client(fake)
    before = asyncio.all_tasks()
    calls = [
        asyncio.create_task(failure(gong.meetings.update(number, update))) for number in range(300)
    ]
    await asyncio.sleep(1)

    await gong.close()
    errors = await asyncio.gather(*calls)
    await asyncio.sleep(0.1)

    assert {type(error) for error in errors} == {UsageError}
    assert sum(error.outcome_unknown for error in errors) == 16
    assert fake.connections_open == 0
    assert asyncio.all_tasks() == before


@pytest.mark.looptime
async def test_no_connection_is_used_after_the_answer_to_another_request(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """Nor if a creation, which has connections of its own, was the first one in the meantime."""
    fake.script(evolve(Fault.wrong_id("7"), hold=5.0), on="2")
    async with client(fake, retry=RetryPolicy(max_attempts=1)) as gong:
        wrong = asyncio.create_task(failure(gong.meetings.update("2", update)))
        await asyncio.sleep(1)
        await failure(gong.request(Endpoint("POST", "/v2/unknown", RawResult), body={}))
        error = await wrong
        await gong.meetings.update("3", update)

    assert isinstance(error, ProtocolError)
    assert error.flaw == "mismatch"
    assert [request.connection for request in fake.received] == [1, 2, 3]


# Other options on the same connections and limits.


@pytest.mark.looptime
async def test_a_copy_with_other_options_shares_connections_and_limits(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """One pace and one connection for both, and each its own timeout."""
    limits = Limits(per_second=1, per_day=None, headroom=0, learns=False)
    async with client(fake, limits=limits, retry=RetryPolicy(max_attempts=1)) as gong:
        derived = gong.with_options(timeout=3)
        for number in range(3):
            await gong.meetings.update(number, update)
            await derived.meetings.update(number, update)
        at = [request.at for request in fake.received]
        total = fake.connections_total
        fake.script(Fault.stall(), times=2)
        errors = [await failure(each.meetings.update("1", update)) for each in (gong, derived)]

    assert total == 1
    assert min(later - now for now, later in pairwise(at)) >= 0.999
    assert all(isinstance(error, APITimeoutError) for error in errors)
    assert ["within 30 s" in str(errors[0]), "within 3 s" in str(errors[1])] == [True, True]


async def test_closing_a_copy_does_nothing(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A copy lives as long as its original."""
    async with client(fake) as gong:
        async with gong.with_options(timeout=5) as derived:
            await derived.meetings.update("1", update)

        updated = await gong.meetings.update("1", update)

    assert updated.meeting_id == "1"


async def test_a_copy_keeps_what_is_not_changed(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """A copy with another timeout keeps the retry policy, and the other way round."""
    fake.script(Fault.status(503), times=None)
    async with client(fake, retry=RetryPolicy(max_attempts=1)) as gong:
        error = await failure(gong.with_options(timeout=5).meetings.update("1", update))

    assert error.attempts == 1


# From the environment.


async def test_a_client_is_built_from_key_and_secret_in_the_environment(
    fake: FakeGong, update: MeetingUpdate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`GONG_ACCESS_KEY`, `GONG_ACCESS_KEY_SECRET` and `GONG_BASE_URL` are enough."""
    monkeypatch.delenv("GONG_BEARER_TOKEN", raising=False)
    monkeypatch.setenv("GONG_ACCESS_KEY", fake.access_key)
    monkeypatch.setenv("GONG_ACCESS_KEY_SECRET", fake.access_key_secret)
    monkeypatch.setenv("GONG_BASE_URL", fake.url)
    async with GongClient.from_env() as gong:
        await gong.meetings.update("1", update)

    assert fake.received[0].headers["authorization"] == "Basic"
    assert fake.counts == {200: 1}


async def test_a_client_is_built_from_a_token_in_the_environment(
    fake: FakeGong, update: MeetingUpdate
) -> None:
    """`GONG_BEARER_TOKEN` is enough; options go on to the client."""
    environ = {"GONG_BEARER_TOKEN": fake.bearer_token, "GONG_BASE_URL": fake.url}
    async with GongClient.from_env(environ, limits=UNLIMITED) as gong:
        await gong.meetings.update("1", update)

    assert fake.received[0].headers["authorization"] == "Bearer"
    assert fake.counts == {200: 1}


async def test_what_is_said_in_code_beats_the_environment(fake: FakeGong) -> None:
    """A base URL as an argument wins over `GONG_BASE_URL`."""
    environ = {"GONG_BEARER_TOKEN": "token", "GONG_BASE_URL": "https://api.gong.io"}

    gong = GongClient.from_env(environ, base_url=fake.url)

    assert repr(gong) == f"<GongClient {fake.url}>"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "GONG_ACCESS_KEY is not set"),
        ({"GONG_ACCESS_KEY": "k"}, "GONG_ACCESS_KEY_SECRET is not set"),
        ({"GONG_ACCESS_KEY_SECRET": "s"}, "GONG_ACCESS_KEY is not set"),
        ({"GONG_ACCESS_KEY": "", "GONG_ACCESS_KEY_SECRET": ""}, "GONG_ACCESS_KEY is not set"),
        ({"GONG_BEARER_TOKEN": "t", "GONG_ACCESS_KEY": "k"}, "both set"),
        ({"GONG_BEARER_TOKEN": "t", "GONG_BASE_URL": "http://gong.example"}, "https://"),
    ],
)
def test_an_environment_that_cannot_work_is_reported(environ: dict[str, str], said: str) -> None:
    """The error names the variable that is missing, or those that contradict each other."""
    with pytest.raises(ConfigurationError) as caught:
        GongClient.from_env(environ)

    assert said in str(caught.value)


# Options.


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_that_cannot_be_meant_is_refused(timeout: float) -> None:
    """The error names it; the same goes for a copy."""
    with pytest.raises(ConfigurationError) as caught:
        GongClient(BearerAuth("token"), timeout=timeout)
    with pytest.raises(ConfigurationError):
        GongClient(BearerAuth("token")).with_options(timeout=timeout)

    assert "timeout" in str(caught.value)


async def test_the_user_agent_is_ours_or_the_callers(
    fake: FakeGong, client: Client, update: MeetingUpdate
) -> None:
    """By default library and Python with their versions; any other on demand."""
    async with client(fake) as gong:
        await gong.meetings.update("1", update)
    async with client(fake, user_agent="calendar-sync/2") as gong:
        await gong.meetings.update("1", update)

    ours, theirs = (request.headers["user-agent"] for request in fake.received)
    assert ours.startswith("gong_async/")
    assert theirs == "calendar-sync/2"


@pytest.mark.parametrize("value", ["", "two\nlines", "Übersetzer"])
def test_a_user_agent_that_is_no_header_is_refused(value: str) -> None:
    """Nothing can be smuggled into the headers."""
    with pytest.raises(ConfigurationError) as caught:
        GongClient(BearerAuth("token"), user_agent=value)

    assert "user_agent" in str(caught.value)
