"""The login in use: its tokens, and how they are renewed without ever spending one twice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import define, field

from gong_async._redact import PinnedSecret, Secret
from gong_async._settings.base_url import DEFAULT_BASE_URL
from gong_async.auth import bearer
from gong_async.errors import GongError, LoginRequiredError, ProtocolError
from gong_async.oauth.endpoint import TokenEndpoint
from gong_async.oauth.tokens import Grant, Tokens, TokenStore, check_writable

_EARLY = 60.0  # seconds before its end that a token is renewed
# A token that is refused as soon as it comes would be refused again, and again.
_MOST_RENEWALS = 2
_IN_SECONDS = 30.0
_MOST_SHOWN = 8
_log = logging.getLogger("gong_async")


@define(eq=False)
class KnownSecrets:
    """The secrets that must be redacted now: those of the application, and the last tokens."""

    own: tuple[Secret, ...]
    all: tuple[Secret, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.all = self.own

    def add(self, *secrets: Secret | None) -> None:
        """Take secrets in, before they are used."""
        new = [secret for secret in secrets if secret is not None]
        before = [secret for secret in self.all[len(self.own) :] if secret not in new]
        self.all = (*self.own, *before[-_MOST_SHOWN:], *new)


@define(eq=False)
class Login:
    """The pair in use, which is always one that is stored."""

    store: TokenStore
    endpoint: TokenEndpoint
    shown: KnownSecrets
    clock: Callable[[], float] = time.monotonic
    tokens: Tokens | None = field(default=None, init=False)
    _renew_at: float | None = field(default=None, init=False)
    _renewals: deque[float] = field(factory=lambda: deque(maxlen=_MOST_RENEWALS), init=False)
    _spent: Secret | None = field(default=None, init=False)
    _unsaved: tuple[Tokens, Tokens] | None = field(default=None, init=False)

    @property
    def ends(self) -> bool:
        """Whether the access token should be renewed before it is used."""
        return self._renew_at is not None and self.clock() >= self._renew_at

    @property
    def renews_too_often(self) -> bool:
        """Whether another renewal so soon would only burn refresh tokens."""
        last = self._renewals
        return len(last) == _MOST_RENEWALS and self.clock() - last[0] < _IN_SECONDS

    @property
    def signed(self) -> Secret:
        """The value of the header, bound to the base URL that came with the token."""
        if self.tokens is None:
            raise LoginRequiredError(f"not logged in ({self.store.name})")
        header = bearer(self.tokens.access_token)
        return PinnedSecret(header.reveal(), self.tokens.base_url or DEFAULT_BASE_URL)

    async def open(self) -> None:
        """Read the store, unless that was done."""
        if self.tokens is None:
            self.use(await self._load(), fresh=False)

    async def renew_early(self) -> None:
        """Renew before the token expires; if that fails, use it until Gong rejects it."""
        if not self.ends:
            return  # done meanwhile
        self._renew_at = None
        try:
            await self.renew(self.tokens)
        except LoginRequiredError:
            raise
        except GongError as error:
            _log.warning("%s; the access token is used until Gong refuses it", error.message)

    async def renew(self, old: Tokens | None) -> None:
        """Replace `old`, unless this or another program already has."""
        if self.tokens is not old:
            return
        async with self.store.lock():
            stored = await self._load()
            if self._unsaved is not None:
                stored = await self._save_late(stored, *self._unsaved)
            if old is None or stored.access_token != old.access_token:
                self.use(stored, fresh=False)
                return
            if stored.refresh_token is not None and stored.refresh_token == self._spent:
                msg = "Gong has refused the refresh token before"
                raise LoginRequiredError(msg)
            await check_writable(self.store)
            grant = await self._refresh(stored)
            if grant is not None:
                await self._keep(grant, stored)

    def use(self, tokens: Tokens, *, fresh: bool) -> None:
        """Use a pair that is stored."""
        self.shown.add(tokens.access_token, tokens.refresh_token)
        self.tokens = tokens
        left = _time_left(tokens.expires_at, tokens.lifetime, fresh=fresh)
        self._renew_at = None if left is None else self.clock() + left

    def forget(self) -> None:
        """Drop the tokens."""
        self.tokens, self._unsaved, self._renew_at = None, None, None

    async def _load(self) -> Tokens:
        tokens = await self.store.load()
        if tokens is None:
            raise LoginRequiredError(f"not logged in ({self.store.name})")
        return tokens

    async def _refresh(self, stored: Tokens) -> Grant | None:
        """Return the next pair; None if another program stored one in spite of our lock."""
        self.shown.add(stored.access_token, stored.refresh_token)
        try:
            return await self.endpoint.refresh(stored)
        except LoginRequiredError as refused:
            failure = refused
        except asyncio.CancelledError:
            _log.warning(
                "the renewal of the Gong login was cut off; if Gong refuses it from now on, "
                "log in again"
            )
            raise
        again = await self._load()
        if again.access_token != stored.access_token:
            self.use(again, fresh=False)
            return None
        self._spent = stored.refresh_token
        raise failure

    async def _keep(self, grant: Grant, old: Tokens) -> None:
        """Store the new pair, and only then use it."""
        new = grant.tokens
        self.shown.add(new.access_token, new.refresh_token)
        self._renewals.append(self.clock())
        self._unsaved = (old, new)
        await self.store.save(new)
        self._unsaved = None
        self.use(new, fresh=True)
        before = old.base_url or DEFAULT_BASE_URL
        if grant.untrusted:
            msg = f"{grant.untrusted}; calls go to {before} as before"
            raise ProtocolError(msg, flaw="unexpected")
        if old.base_url and new.base_url != old.base_url:
            _log.warning("Gong has moved the company's API from %s to %s", before, new.base_url)

    async def _save_late(self, stored: Tokens, old: Tokens, new: Tokens) -> Tokens:
        """Store a pair that could not be stored when it came."""
        if stored.access_token == old.access_token:
            await self.store.save(new)
            stored = new
        self._unsaved = None
        return stored


def _time_left(ends: datetime | None, lifetime: float | None, *, fresh: bool) -> float | None:
    """Return the seconds until a token should be renewed.

    For a new one its lifetime decides, for a stored one the wall clock, which may
    be wrong: it can only make the time shorter.
    """
    if lifetime is None:
        return None
    left = lifetime
    if not fresh and ends is not None:
        left = min(left, (ends - datetime.now(UTC)).total_seconds())
    return max(0.0, left - min(_EARLY, lifetime / 10))
