"""The OAuth credential: signs with the access token, and renews it when it is rejected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode, urlsplit

from attrs import frozen

from gong_async._redact import Redactor, Secret, hide_locals
from gong_async._settings.base_url import base_url as checked_base_url
from gong_async._settings.values import instance_of, kind_of, number
from gong_async._transport import BaseConnector
from gong_async._wire import DEFAULT_USER_AGENT
from gong_async.auth import SingleFlight, credential_problem
from gong_async.errors import ConfigurationError, ProtocolError
from gong_async.oauth.endpoint import AUTHORIZE_ROUTE, TokenEndpoint
from gong_async.oauth.file_store import FileTokenStore, login_path
from gong_async.oauth.login import KnownSecrets, Login
from gong_async.oauth.tokens import GrantReader, Tokens, TokenStore, check_writable

APP_URL = "https://app.gong.io"
DOMAINS = ("gong.io",)
TIMEOUT = 30.0
"""Seconds to wait for a response of the token endpoint."""
LONGEST_TIMEOUT = 60.0
"""Less than the lease of a login's lock, so that a renewal ends before it."""


class OAuth:
    """An OAuth authorization-code login that renews itself.

    Gong's refresh tokens can be used once. So a refused token is renewed once for all calls that
    wait, and once for all programs that share the `store`; the new pair is stored before it is
    used. Calls go to the base URL that Gong returned with the token.

    Args:
        client_id: of your application at Gong.
        client_secret: its secret.
        store: where the login is kept: `FileTokenStore`, `RedisTokenStore`, or one of your own.
        app_url: where Gong's users log in.
        domains: where a base URL that comes with a token may lie.
        timeout: seconds that the token endpoint may take for an answer, 60 at the most.
        connector: an aiohttp connector of your own, for a private CA or a proxy. Never closed.

    Raises:
        ConfigurationError: one of these cannot work.
    """

    @hide_locals
    def __init__(
        self,
        client_id: str,
        client_secret: str | Secret,
        store: TokenStore,
        *,
        app_url: str = APP_URL,
        domains: Iterable[str] = DOMAINS,
        timeout: float = TIMEOUT,
        connector: BaseConnector | None = None,
    ) -> None:
        client_secret = Secret.of(client_secret)
        self._client_id = client_id
        self._store = store
        for name, value in (("client_id", Secret.of(client_id)), ("client_secret", client_secret)):
            if problem := credential_problem(value):
                raise ConfigurationError(f"{name} {problem}")
        if ":" in client_id:
            msg = "client_id contains a ':'; pass id and secret separately"
            raise ConfigurationError(msg)
        timeout = number("timeout", timeout, above=0, most=LONGEST_TIMEOUT)
        url = checked_base_url(instance_of("app_url", app_url, str))
        if isinstance(store, type) or not isinstance(getattr(store, "name", None), str):
            msg = f"store must be FileTokenStore(), for example; got {kind_of(store)}"
            raise ConfigurationError(msg)
        if isinstance(domains, str) or not isinstance(domains, Iterable):
            msg = f"domains must be a list of domains, got {kind_of(domains)}"
            raise ConfigurationError(msg)
        if connector is not None:
            instance_of("connector", connector, BaseConnector)
        own = (Secret(f"{client_id}:{client_secret.reveal()}"), client_secret)
        self._shown = KnownSecrets(own)
        redact = Redactor(lambda: self._shown.all)
        self._endpoint = TokenEndpoint(
            url=url,
            client_id=client_id,
            client_secret=client_secret,
            timeout=timeout,
            user_agent=DEFAULT_USER_AGENT,
            # Only the fake's tokens may name this machine as their base URL.
            reader=GrantReader(
                domains=tuple(domains),
                loopback=urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"},
                redact=redact,
            ),
            redact=redact,
            connector=connector,
        )
        self._login = Login(store, self._endpoint, self._shown)
        self._flight: SingleFlight[None] = SingleFlight()

    @property
    def secrets(self) -> Iterable[Secret]:
        """The application's secret, and the tokens that were used last."""
        return self._shown.all

    @property
    def fingerprint(self) -> str:
        """Identifies the application and the store, which stay the same while tokens change."""
        login = f"{self._client_id} {self._store.name}"
        return hashlib.sha256(login.encode()).hexdigest()[:16]

    async def authorization(self) -> Secret:
        """Return `Bearer` and the access token, bound to the base URL that came with it."""
        login = self._login
        if login.tokens is None:
            await self._flight(login.open)
        elif login.ends:
            await self._flight(login.renew_early)
        return login.signed

    async def renew(self, refused: Secret) -> bool:
        """Replace the token that Gong rejected, unless that has been done meanwhile.

        Raises:
            LoginRequiredError: it cannot be renewed any more.
            GongError: it could not be renewed now.
        """
        login = self._login
        if login.signed != refused:
            return True
        if login.renews_too_often:
            return False
        old = login.tokens
        while login.tokens is old:
            # The running renewal may be an early one, which gives up more easily.
            await self._flight(lambda: login.renew(old))
        return login.signed != refused

    def authorize_url(self, *, redirect_uri: str, state: str, scopes: Iterable[str]) -> str:
        """Return the page on which an administrator of Gong approves the application.

        Args:
            redirect_uri: where Gong sends the browser afterwards, as registered at Gong.
            state: an unguessable value that must come back with the code.
            scopes: what the tokens may do, such as `api:calls:read:basic`.
        """
        query = {
            "client_id": self._client_id,
            "response_type": "code",
            "scope": " ".join(scopes),
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{self._endpoint.url}{AUTHORIZE_ROUTE}?{urlencode(query)}"

    async def exchange(self, code: str | Secret, *, redirect_uri: str) -> Tokens:
        """Log in: exchange the code of the redirect for the first tokens, and store them.

        Raises:
            LoginRequiredError: the code is not taken; it lives for ten minutes, and works once.
            ProtocolError: the answer, or its base URL, cannot be believed; nothing was stored.
        """
        code = Secret.of(code)
        if problem := credential_problem(code):
            raise ConfigurationError(f"the code {problem}")
        self._shown.add(code)
        async with self._store.lock():
            await check_writable(self._store)
            grant = await self._endpoint.exchange(code, redirect_uri)
            if grant.untrusted:
                msg = f"the login failed: {grant.untrusted}; nothing was stored"
                raise ProtocolError(msg, flaw="unexpected")
            await self._store.save(grant.tokens)
            self._login.use(grant.tokens, fresh=True)
        return grant.tokens

    async def load(self) -> Tokens | None:
        """Return the stored login, None without one."""
        return await self._store.load()

    async def forget(self) -> bool:
        """Log out locally: delete the tokens; return whether there were any.

        Gong has no call for it: there, an administrator takes the approval back.
        """
        async with self._store.lock():
            known = await self._store.load() is not None
            await self._store.clear()
        self._login.forget()
        return known

    async def settle(self) -> None:
        """Wait for a running renewal, whatever its outcome."""
        await self._flight.landed()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._client_id} in {self._store.name}>"


CLIENT_ID = "GONG_OAUTH_CLIENT_ID"
CLIENT_SECRET = "GONG_OAUTH_CLIENT_SECRET"  # noqa: S105 - a variable's name
_APP_URL = "GONG_OAUTH_URL"
_STRONGER = ("GONG_ACCESS_KEY", "GONG_ACCESS_KEY_SECRET", "GONG_BEARER_TOKEN")


@hide_locals
def login_from_env(environ: Mapping[str, str]) -> OAuth | None:
    """Return the stored login; None if another credential is set, or no application.

    Raises:
        ConfigurationError: half an application is set.
    """
    other = any(environ.get(name) for name in _STRONGER)
    application = _Application.read(environ)
    if other or not (application.client_id or application.client_secret):
        return None
    return application.oauth()


@hide_locals
def oauth_from_env(environ: Mapping[str, str]) -> OAuth:
    """Return the OAuth credential of the environment, with the login file of this user.

    Raises:
        ConfigurationError: it names none, or half of one.
    """
    return _Application.read(environ).oauth()


@frozen
class _Application:
    """The OAuth application as configured in the environment."""

    client_id: str
    client_secret: Secret | None
    app_url: str
    state_dir: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> _Application:
        secret = environ.get(CLIENT_SECRET)
        return cls(
            environ.get(CLIENT_ID) or "",
            Secret(secret) if secret else None,
            environ.get(_APP_URL) or APP_URL,
            environ.get("GONG_STATE_DIR") or "",
        )

    def oauth(self) -> OAuth:
        if self.client_secret is None or not self.client_id:
            missing = CLIENT_SECRET if self.client_id else CLIENT_ID
            raise ConfigurationError(
                f"{missing} is not set; set {CLIENT_ID} and {CLIENT_SECRET} to those of your "
                "application at Gong"
            )
        # Not earlier: users of an access key need no state directory.
        store = FileTokenStore(login_path({"GONG_STATE_DIR": self.state_dir}))
        return OAuth(self.client_id, self.client_secret, store, app_url=self.app_url)
