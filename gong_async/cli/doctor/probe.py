"""`gong-async doctor`: makes one call, and reads clock and quota."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from attrs import define, evolve, field, frozen

from gong_async._client import GongClient
from gong_async._redact import Secret
from gong_async._storage.private_file import state_directory
from gong_async._transport import Transport
from gong_async._wire import AttemptProgress, Request, Response
from gong_async.cli.bulk.wording import number_of
from gong_async.cli.client import connect, given
from gong_async.cli.doctor.advice import advise_clock, advise_error, advise_quota
from gong_async.cli.doctor.environment import Target
from gong_async.cli.findings import Diagnosis, note, ok
from gong_async.cli.interrupts import interruptible
from gong_async.errors import ConfigurationError, GongError
from gong_async.limits.sqlite.schema import FILE_NAME
from gong_async.models.meetings import IntegrationStatus
from gong_async.retry import RetryPolicy

NO_LOAD = "doctor@example.invalid"
"""The default user to ask about; `.invalid` addresses never exist (RFC 2606)."""

_CALL = "POST /v2/meetings/integration/status"
_ONCE = RetryPolicy(max_attempts=1, max_refusals=0, max_wait=0.0)


@define(eq=False)
class Listener:
    """Transport wrapper that measures the clock offset from the `Date` header."""

    transport: Transport
    asked: int = field(default=0, init=False)
    ahead: float | None = field(default=None, init=False)
    """Seconds that this machine's clock is ahead of the server's; None without a response."""

    async def send(
        self, request: Request, authorization: Secret, *, timeout: float, progress: AttemptProgress
    ) -> Response:
        """Send, and measure the clock offset."""
        self.asked += 1
        began = time.time()
        response = await self.transport.send(
            request, authorization, timeout=timeout, progress=progress
        )
        there = _date(response.headers.get("Date", ""))
        if there is not None:
            # `Date` has whole seconds: on average the true time is half a second later.
            self.ahead = (began + time.time()) / 2 - (there.timestamp() + 0.5)
        return response

    def discard_connections(self) -> None:
        """Keep later requests off the connections that are open now."""
        self.transport.discard_connections()


@frozen(kw_only=True)
class Probe:
    """One call, the clock offset from its response, and the quota after it."""

    target: Target
    base_url: str | None
    timeout: float | None
    email: str | None

    def run(self, *, call: bool) -> list[Diagnosis]:
        """Run all checks; without `call`, the quota only."""
        return asyncio.run(interruptible(self._run(call=call)))

    async def _run(self, *, call: bool) -> list[Diagnosis]:
        options = given(base_url=self.base_url, timeout=self.timeout)
        findings: list[Diagnosis] = []
        try:
            client = connect(retry=_ONCE, **options)
        except ConfigurationError as error:  # no usable directory for the file of limits
            found = advise_error(error, self.target, named=self.email is not None)
            return [evolve(found, seen=f"{found.seen} (no call was made)")]
        async with client as gong:
            if call:
                findings += await self._call(gong)
            findings += await _quota(gong)
        return findings

    async def _call(self, gong: GongClient) -> list[Diagnosis]:
        listener = Listener(gong._call.transport)  # noqa: SLF001 - our own
        gong._attach_resources(evolve(gong._call, transport=listener))  # noqa: SLF001 - our own
        try:
            status = await gong.meetings.integration_status([self.email or NO_LOAD])
        except GongError as error:
            found = advise_error(error, self.target, named=self.email is not None)
        else:
            found = self._read(status)
        counted = "no call was made"
        if listener.asked:
            counted = f"{number_of(listener.asked, 'call')} made, counted in the day's quota"
        found = evolve(found, seen=f"{found.seen} ({counted})")
        return [found] if listener.ahead is None else [found, advise_clock(listener.ahead)]

    def _read(self, status: IntegrationStatus) -> Diagnosis:
        users = [
            user for user in status.users if user.email.casefold() == (self.email or "").casefold()
        ]
        if self.email is None or (users and users[0].valid):
            return ok("call", f"Gong responded to {_CALL}")
        if not users or not users[0].exists:
            do = "check the address given as --email; it must belong to a Gong user"
            return note("call", f"Gong responded to {_CALL}: unknown user", do)
        words, link = users[0].user_facing_error, users[0].fix_url
        do = f"fix it at {link}" if link else "ask a Gong administrator"
        seen = f"Gong responded to {_CALL}: the user's meetings cannot be updated"
        return note("call", f"{seen}: {words}" if words else seen, do)


async def _quota(gong: GongClient) -> list[Diagnosis]:
    try:
        if not (state_directory() / FILE_NAME).exists():
            return [ok("quota", "no call counted on this machine yet")]
        quota = await gong.quota()
    except (ConfigurationError, OSError):
        return []  # an earlier check has reported the file
    return [advise_quota(quota)]


def _date(text: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(text)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read
