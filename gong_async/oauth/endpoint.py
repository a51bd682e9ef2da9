"""Client of Gong's token endpoint: exchanges codes and refresh tokens for tokens."""

from __future__ import annotations

import base64
from urllib.parse import urlencode

from attrs import define, field, frozen

from gong_async._redact import Redactor, Secret
from gong_async._response import success_payload
from gong_async._transport import BaseConnector, SessionPool
from gong_async._wire import AttemptProgress, Request, Response
from gong_async.errors import GongError, LoginRequiredError
from gong_async.oauth.grant import Grant, GrantReader
from gong_async.oauth.refusal import refusal
from gong_async.oauth.tokens import Tokens
from gong_async.retry import Action, Again, RetryPolicy, decide

AUTHORIZE_ROUTE = "/oauth2/authorize"
TOKEN_ROUTE = "/oauth2/generate-customer-token"  # noqa: S105 - a route

# Together with the longest timeout, all of it has to end before the store's lock does.
_POLICY = RetryPolicy(max_attempts=3, max_refusals=1, max_wait=10.0)
_MOST_FAILURES = {Action.RETRY: _POLICY.max_attempts, Action.RETRY_ONCE: 2}
_LOST = (
    "; Gong may have answered with new tokens, and the old ones are then spent: "
    "if Gong refuses them from now on, log in again"
)


@frozen(kw_only=True, eq=False)
class TokenEndpoint:
    """Requests tokens. Follows no redirects, and uses no proxy of the environment."""

    url: str
    """The validated URL of Gong's web application."""
    client_id: str
    client_secret: Secret
    timeout: float
    user_agent: str
    reader: GrantReader
    redact: Redactor = field(repr=False)
    connector: BaseConnector | None = None

    async def exchange(self, code: Secret, redirect_uri: str) -> Grant:
        """Exchange an authorization code for the first pair of tokens."""
        query = _query(
            grant_type="authorization_code",
            code=code.reveal(),
            client_id=self.client_id,
            redirect_uri=redirect_uri,
        )
        return await self._ask(query, None)

    async def refresh(self, old: Tokens) -> Grant:
        """Exchange a refresh token, which is valid once, for the next pair of tokens."""
        if old.refresh_token is None:
            msg = "the access token has expired, and there is no refresh token"
            raise LoginRequiredError(msg)
        token = old.refresh_token.reveal()
        query = _query(grant_type="refresh_token", refresh_token=token)
        del token  # a traceback shows the locals of every frame
        return await self._ask(query, old)

    async def _ask(self, query: Secret, old: Tokens | None) -> Grant:
        # A renewal is rare: its connection is not kept.
        pool = SessionPool(max_connections=1, connector=self.connector)
        try:
            return await _POLICY.run(_Question(self, pool, query, old).attempt)
        finally:
            await pool.close()

    @property
    def authorization(self) -> Secret:
        """The client id and its secret, as they are sent."""
        pair = f"{self.client_id}:{self.client_secret.reveal()}"
        return Secret("Basic " + base64.b64encode(pair.encode()).decode())

    def request(self, query: Secret) -> Request:
        """Return the request: its parameters in the query, as Gong documents it."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": self.user_agent,
        }
        # An empty body, not none: it shows when the request is sent.
        url = f"{self.url}{TOKEN_ROUTE}?{query.reveal()}"
        return Request("POST", url, TOKEN_ROUTE, "create", headers, b"")


@define(eq=False)
class _Question:
    """One token request: never repeated once it may have arrived."""

    endpoint: TokenEndpoint
    pool: SessionPool
    query: Secret
    old: Tokens | None
    attempts: int = 0
    failures: int = 0
    refusals: int = 0

    async def attempt(self) -> Grant:
        """Send the request once."""
        self.attempts += 1
        try:
            return self._read(await self._send())
        except GongError as error:
            failure = error
        raise self._next_step(failure)

    async def _send(self) -> Response:
        endpoint = self.endpoint
        return await self.pool.send(
            endpoint.request(self.query),
            endpoint.authorization,
            timeout=endpoint.timeout,
            progress=AttemptProgress(),
        )

    def _read(self, response: Response) -> Grant:
        endpoint = self.endpoint
        if not 200 <= response.status < 300:  # noqa: PLR2004
            raise refusal(response, endpoint.redact)
        request = Request("POST", endpoint.url, TOKEN_ROUTE, "create", {})
        payload = success_payload(request, response, endpoint.redact)
        try:
            return endpoint.reader.read(payload, self.old)
        except GongError as error:
            failure = error
        # A traceback shows the locals of every frame: those of the reader hold tokens.
        del payload, response
        raise failure.with_traceback(None)

    def _next_step(self, error: GongError) -> Again | GongError:
        # A pair is created, so the retry rules of creations apply.
        decision = decide(error, "create")
        wait = 0.0
        if decision.action is Action.WAIT:
            self.refusals += 1
            wait = _POLICY.after_refusal(getattr(error, "retry_after", None), self.refusals)
            if self.refusals <= _POLICY.max_refusals and wait <= _POLICY.max_wait:
                return Again(wait)
        self.failures += 1
        if self.failures < _MOST_FAILURES.get(decision.action, 0):
            return Again(_POLICY.backoff(self.failures))
        failing = "the login failed" if self.old is None else "the login could not be renewed"
        lost = _LOST if decision.outcome_unknown and self.old is not None else ""
        error.message = f"{failing}: {error.message}{lost}"
        error.attempts, error.method, error.route = self.attempts, "POST", TOKEN_ROUTE
        return error


def _query(**parameters: str) -> Secret:
    return Secret(urlencode(parameters))
