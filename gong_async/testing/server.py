"""A fake Gong on a real socket of this machine."""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from gong_async.testing.algorithms import AlgorithmName
from gong_async.testing.connections import Connections, CountingServer, serve_in_thread
from gong_async.testing.faults import Fault
from gong_async.testing.handler import Handler
from gong_async.testing.oauth import FakeOAuth
from gong_async.testing.operations import Operation, User, make_company
from gong_async.testing.quotas import FakeQuota
from gong_async.testing.recording import Observed, Recording
from gong_async.testing.script import FaultRule, Script, make_rules

HOST = "127.0.0.1"
LARGEST_BODY = 16 * 1024 * 1024

# In the shape of Gong's, and good for nothing: they open this fake alone.
FAKE_ACCESS_KEY = "FAKEKEYOFTHEFAKEGONG000000000000"
FAKE_ACCESS_KEY_SECRET = "FAKESECRETOFTHEFAKEGONG000000000"  # noqa: S105
FAKE_BEARER_TOKEN = "FAKETOKENOFTHEFAKEGONG0000000000"  # noqa: S105


class FakeGong(Observed):
    """A fake Gong for tests, demos and benchmarks.

    It is a real HTTP server on 127.0.0.1 with Gong's checks, answers and limits, it records every
    request, and it goes wrong on demand. Use it as an async context manager, or in a thread of its
    own through `serve_in_thread`. All times are of the running loop's clock, in seconds.

    Args:
        per_second: Calls per second; None for no limit.
        per_day: Calls per day; None for no limit.
        algorithm: How the second is counted.
        day_reset: Seconds from the first call until the day's count is reset for the first time;
            None counts the last 24 hours.
        count_refused: Whether refused calls use up the day.
        access_key: The user name of Basic authorization.
        access_key_secret: Its password.
        bearer_token: The token of Bearer authorization.
        port: The port; 0 takes a free one.
        prefix: A path before `/v2`, as behind a gateway.
        latency: Seconds that every call takes, or a function that says so for each.
        known_meetings: The meeting ids that exist; "any" takes every well-formed one.
        faults: Faults in force from the start, such as `parse_fault` reads them.
        fault_rates: Shares from 0 to 1 of the requests to be struck, by the fault's name.
        seed: Makes the chance of faults repeatable.
        record: How much is remembered: "all", "last:N" or "counts".
        keepalive_timeout: Seconds after which an idle connection is closed.
        ssl_context: Serve https in place of http.
    """

    def __init__(
        self,
        *,
        per_second: float | None = 3,
        per_day: int | None = 10_000,
        algorithm: AlgorithmName = "sliding_window",
        day_reset: float | None = None,
        count_refused: bool = False,
        access_key: str = FAKE_ACCESS_KEY,
        access_key_secret: str = FAKE_ACCESS_KEY_SECRET,
        bearer_token: str = FAKE_BEARER_TOKEN,
        port: int = 0,
        prefix: str = "",
        latency: float | Callable[[], float] = 0.0,
        known_meetings: Literal["any"] | Iterable[str] = "any",
        faults: Iterable[FaultRule] = (),
        fault_rates: Mapping[str, float] | None = None,
        seed: int | None = None,
        record: str = "all",
        keepalive_timeout: float = 75.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.quota: FakeQuota = FakeQuota(
            per_second=per_second,
            per_day=per_day,
            algorithm=algorithm,
            day_reset=day_reset,
            count_refused=count_refused,
        )
        self.access_key: str = access_key
        self.access_key_secret: str = access_key_secret
        self.bearer_token: str = bearer_token
        self.latency: float | Callable[[], float] = latency
        self.limited_release: bool = False
        self.granted_scopes: set[str] | None = None
        self.oauth: FakeOAuth = FakeOAuth(lambda: self.url, seed)
        self._company = make_company(known_meetings)
        self._script = Script(seed)
        for rule in (*faults, *make_rules(fault_rates or {})):
            self._script.add(rule)
        self._recording = Recording(record)
        self._connections = Connections()
        self._prefix = prefix.rstrip("/")
        self._handler = Handler(
            settings=self,
            company=self._company,
            script=self._script,
            recording=self._recording,
            connections=self._connections,
            ids=random.Random(seed),  # noqa: S311 - ids of a fake, no secret
            prefix=self._prefix,
        )
        self._asked_port = port
        self._keepalive_timeout = keepalive_timeout
        self._ssl_context = ssl_context
        self._runner: web.ServerRunner | None = None
        self._url: str | None = None

    async def start(self) -> None:
        """Open the port."""
        if self._runner is not None:
            raise RuntimeError("this FakeGong is running already")
        server = CountingServer(
            self._handler.handle,
            request_factory=_make_request,
            access_log=None,
            keepalive_timeout=self._keepalive_timeout,
        )
        server.connections_seen = self._connections
        # Not 0, which aiohttp takes for "without end".
        self._runner = runner = web.ServerRunner(server, shutdown_timeout=0.05)
        await runner.setup()
        tls = self._ssl_context
        await web.TCPSite(runner, HOST, self._asked_port, ssl_context=tls, backlog=1024).start()
        scheme = "https" if tls else "http"
        self._url = f"{scheme}://{HOST}:{runner.addresses[0][1]}{self._prefix}"

    async def close(self) -> None:
        """Close the port and every connection, and give up what is stalled."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in runner.sites:
            await site.stop()
        await self._handler.give_up()
        await runner.cleanup()
        # The transports close one iteration of the loop later.
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        """Open the port."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close everything."""
        await self.close()

    @classmethod
    def serve_in_thread(cls, **options: Any) -> AbstractContextManager[Self]:
        """Run in a thread with a loop of its own, for callers that have none.

        Takes the same options as the class. What was received may be read from any thread.
        """
        return serve_in_thread(cls(**options))

    @property
    def url(self) -> str:
        """The base URL for a client, without `/v2` and without a slash at the end."""
        if self._url is None:
            raise RuntimeError("this FakeGong has not been started")
        return self._url

    @property
    def authorization(self) -> str:
        """The `Authorization` header that opens this fake, for clients written by hand."""
        pair = f"{self.access_key}:{self.access_key_secret}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    @property
    def missing_meetings(self) -> set[str]:
        """Ids of meetings that do not exist, deleted ones among them; may be added to."""
        return self._company.missing

    def add_meeting(self, meeting_id: str, *, organizer_email: str | None = None) -> None:
        """Add a meeting; with an organizer, any other one gets 404 for it."""
        self._company.add_meeting(meeting_id, organizer_email)

    def add_user(
        self,
        email: str,
        *,
        exists: bool = True,
        valid: bool = True,
        user_facing_error: str = "",
        fix_url: str = "",
        help_url: str = "",
    ) -> None:
        """Set the integration status of an organizer; by default all exist and are valid.

        With `valid` false, writes in their name are answered 409; with `exists` false, 404.
        """
        self._company.users[email] = User(
            email=email,
            exists=exists,
            valid=valid,
            user_facing_error=user_facing_error,
            fix_url=fix_url,
            help_url=help_url,
        )

    def script(
        self,
        fault: Fault,
        *,
        on: Operation | str | None = None,
        nth: int | None = None,
        every: int | None = None,
        share: float | None = None,
        times: int | None = 1,
    ) -> None:
        """Let the next matching requests be struck by a fault; faults queue up in order.

        Only requests that pass authorization and the limits count. See `FaultRule` for the rest.
        """
        rule = FaultRule(fault=fault, on=on, nth=nth, every=every, share=share, times=times)
        self._script.add(rule)

    def clear_script(self) -> None:
        """Forget every fault that has not struck yet."""
        self._script.clear()


def _make_request(*parts: Any) -> web.BaseRequest:
    message, payload, protocol, writer, task = parts
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY
    )
