"""The part of `gong-async doctor` that makes one call, and tells what is left of the day."""

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
"""Whom Gong is asked about unless somebody else is named: that name never belongs to anybody."""

_CALL = "POST /v2/meetings/integration/status"
_ONCE = RetryPolicy(max_attempts=1, max_refusals=0, max_wait=0.0)


@define(eq=False)
class Listener:
    """Sends as `transport` does, and keeps the time that the answer was given."""

    transport: Transport
    asked: int = field(default=0, init=False)
    ahead: float | None = field(default=None, init=False)
    """Seconds that this machine's clock is ahead of the server's; None without an answer."""

    async def send(
        self, request: Request, authorization: Secret, *, timeout: float, progress: AttemptProgress
    ) -> Response:
        """Send, and listen."""
        self.asked += 1
        began = time.time()
        response = await self.transport.send(
            request, authorization, timeout=timeout, progress=progress
        )
        there = _date(response.headers.get("Date", ""))
        if there is not None:
            # A date has whole seconds: the truth lies half a second later, give or take as much.
            self.ahead = (began + time.time()) / 2 - (there.timestamp() + 0.5)
        return response

    def discard_connections(self) -> None:
        """Let no later request use a connection that is open now."""
        self.transport.discard_connections()


@frozen(kw_only=True)
class Probe:
    """One call, the clock by its answer, and the quota after it."""

    target: Target
    base_url: str | None
    timeout: float | None
    email: str | None

    def run(self, *, call: bool) -> list[Diagnosis]:
        """Look at it all; without `call` at the quota only."""
        return asyncio.run(interruptible(self._run(call=call)))

    async def _run(self, *, call: bool) -> list[Diagnosis]:
        options = given(base_url=self.base_url, timeout=self.timeout)
        findings: list[Diagnosis] = []
        try:
            client = connect(retry=_ONCE, **options)
        except ConfigurationError as error:  # there is no place for the limits' file
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
            return ok("call", f"Gong has answered {_CALL}")
        if not users or not users[0].exists:
            do = "check the address given as --email; it has to be that of a user of Gong"
            return note("call", f"Gong has answered {_CALL}, and knows no such user", do)
        words, link = users[0].user_facing_error, users[0].fix_url
        do = f"set it right at {link}" if link else "ask an administrator of Gong"
        seen = f"Gong has answered {_CALL}: the user's meetings cannot be updated"
        return note("call", f"{seen}: {words}" if words else seen, do)


async def _quota(gong: GongClient) -> list[Diagnosis]:
    try:
        if not (state_directory() / FILE_NAME).exists():
            return [ok("quota", "no call was counted on this machine yet")]
        quota = await gong.quota()
    except (ConfigurationError, OSError):
        return []  # the file was looked at before, and what is wrong with it is told
    return [advise_quota(quota)]


def _date(text: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(text)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read
