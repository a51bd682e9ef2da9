"""`gong-async doctor`: checks the credential, makes one call, and reads clock and quota."""

from __future__ import annotations

import asyncio
import os

from attrs import evolve, frozen

from gong_async._client import GongClient
from gong_async._storage.private_file import state_directory
from gong_async._transport import MeasuredTransport
from gong_async.auth import BasicAuth, auth_from_env
from gong_async.bulk.records import moment, number_of
from gong_async.cli.client import connect, given
from gong_async.cli.doctor.advice import advise_clock, advise_error, advise_quota
from gong_async.cli.doctor.environment import Target
from gong_async.cli.doctor.findings import Diagnosis, advised, note, ok, problem
from gong_async.cli.interrupts import interruptible
from gong_async.errors import ConfigurationError, GongError
from gong_async.limits.sqlite.tables import FILE_NAME
from gong_async.models.meetings import IntegrationStatus
from gong_async.oauth.credential import CLIENT_ID, CLIENT_SECRET, login_from_env
from gong_async.oauth.tokens import Tokens
from gong_async.retry import RetryPolicy

_UNUSED = frozenset({CLIENT_ID, CLIENT_SECRET})


def find_credential() -> tuple[Diagnosis, str | None]:
    """Return a diagnosis of the credential, and the base URL stored with a login."""
    try:
        login = login_from_env(os.environ)
        if login is None:
            return _of_environment(), None
        tokens = asyncio.run(login.load())
    except ConfigurationError as error:
        return advised("credential", str(error), "correct the named variable"), None
    if tokens is None:
        return problem("credential", "not logged in", "run `gong-async login`"), None
    return _of_login(tokens), tokens.base_url


def _of_environment() -> Diagnosis:
    kind = "access key" if isinstance(auth_from_env(os.environ), BasicAuth) else "bearer token"
    if unused := [name for name in sorted(_UNUSED) if os.environ.get(name)]:
        do = "unset the unused variables"
        return note("credential", f"{kind}; {' and '.join(unused)} also set, but not used", do)
    return ok("credential", kind)


def _of_login(tokens: Tokens) -> Diagnosis:
    ends = (
        ""
        if tokens.expires_at is None
        else f", access token valid until {moment(tokens.expires_at)}"
    )
    if tokens.refresh_token is None:
        return note(
            "credential",
            f"login without a refresh token{ends}",
            "run `gong-async login` before it expires",
        )
    return ok("credential", f"login{ends}, refreshed automatically")


UNKNOWN_USER = "doctor@example.invalid"
"""The default user to ask about; `.invalid` addresses never exist (RFC 2606)."""

_CALL = "POST /v2/meetings/integration/status"
_ONCE = RetryPolicy(max_attempts=1, max_refusals=0, max_wait=0.0)


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
        measured = MeasuredTransport(gong._call.transport)  # noqa: SLF001 - our own
        gong._attach_resources(evolve(gong._call, transport=measured))  # noqa: SLF001 - our own
        try:
            status = await gong.meetings.integration_status([self.email or UNKNOWN_USER])
        except GongError as error:
            found = advise_error(error, self.target, named=self.email is not None)
        else:
            found = self._read(status)
        counted = "no call was made"
        if measured.asked:
            counted = f"{number_of(measured.asked, 'call')} made, counted in the day's quota"
        found = evolve(found, seen=f"{found.seen} ({counted})")
        return [found] if measured.ahead is None else [found, advise_clock(measured.ahead)]

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
