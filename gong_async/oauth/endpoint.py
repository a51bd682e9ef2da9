"""Client of Gong's token endpoint: exchanges codes and refresh tokens for tokens."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from attrs import define, field, frozen

from gong_async._redact import Redactor, Secret, hide_locals
from gong_async._transport import BaseConnector, SessionPool
from gong_async._wire import AttemptProgress, Request, Response
from gong_async._wire.response import read_success, request_id, status_error
from gong_async.errors import (
    APIStatusError,
    AuthenticationError,
    GongError,
    LoginRequiredError,
    RequestRejectedError,
)
from gong_async.oauth.tokens import Grant, GrantReader, Tokens
from gong_async.retry import Action, RetryPolicy, decide

AUTHORIZE_ROUTE = "/oauth2/authorize"
TOKEN_ROUTE = "/oauth2/generate-customer-token"  # noqa: S105 - a route

# Together with the longest timeout, all of it has to end before the store's lock does.
_POLICY = RetryPolicy(max_attempts=3, max_refusals=1, max_wait=10.0)
_LOST = (
    "; Gong may have answered with new tokens, and the old ones are then spent: "
    "if Gong refuses them from now on, log in again"
)
_SPENT = re.compile(
    r"invalid_grant|\b(refresh token|authorization|grant) code is (invalid|expired)", re.IGNORECASE
)
_STRANGER = re.compile(r"invalid_client|unauthorized_client", re.IGNORECASE)
_UNAUTHORIZED = 401
_SNIPPET = 200


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
        query = _query(grant_type="refresh_token", refresh_token=old.refresh_token.reveal())
        return await self._ask(query, old)

    async def _ask(self, query: Secret, old: Tokens | None) -> Grant:
        # A renewal is rare: its connection is not kept.
        pool = SessionPool(max_connections=1, connector=self.connector)
        try:
            return await _Question(self, pool, query, old).run()
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

    async def run(self) -> Grant:
        """Attempt, decide, wait: until there are tokens, or a final error."""
        while True:
            self.attempts += 1
            try:
                return self._read(await self._send())
            except GongError as error:
                failure = error
            wait = self._next_wait(failure)
            if wait is None:
                raise failure
            await asyncio.sleep(wait)

    async def _send(self) -> Response:
        endpoint = self.endpoint
        return await self.pool.send(
            endpoint.request(self.query),
            endpoint.authorization,
            timeout=endpoint.timeout,
            progress=AttemptProgress(),
        )

    @hide_locals
    def _read(self, response: Response) -> Grant:
        endpoint = self.endpoint
        if not 200 <= response.status < 300:  # noqa: PLR2004
            raise refusal(response, endpoint.redact)
        request = Request("POST", endpoint.url, TOKEN_ROUTE, "create", {})
        payload, _ = read_success(request, response, endpoint.redact)
        return endpoint.reader.read(payload, self.old)

    def _next_wait(self, error: GongError) -> float | None:
        """Decide what follows a failed attempt: the seconds until another one, or None."""
        # A pair is created, so the retry rules of creations apply.
        decision = decide(error, "create")
        wait = 0.0
        if decision.action is Action.WAIT:
            self.refusals += 1
            wait = _POLICY.after_refusal(getattr(error, "retry_after", None), self.refusals)
            if self.refusals <= _POLICY.max_refusals and wait <= _POLICY.max_wait:
                return wait
        self.failures += 1
        if self.failures < _POLICY.attempts_after(decision.action):
            return _POLICY.backoff(self.failures)
        failing = "the login failed" if self.old is None else "the login could not be renewed"
        lost = _LOST if decision.outcome_unknown and self.old is not None else ""
        error.message = f"{failing}: {error.message}{lost}"
        error.attempts, error.method, error.route = self.attempts, "POST", TOKEN_ROUTE
        return None


def _query(**parameters: str) -> Secret:
    return Secret(urlencode(parameters))


def refusal(response: Response, redact: Redactor) -> GongError:
    """Return the exception for an error response."""
    error = status_error(response, redact, datetime.now(UTC))
    if not isinstance(error, RequestRejectedError):
        return error
    said = "; ".join(dict.fromkeys((*error.errors, *_words(response, redact))))
    if _SPENT.search(said):
        message = f"Gong rejected the code or the refresh token: {said}"
        return _as(LoginRequiredError, message, error, response, redact)
    if _STRANGER.search(said) or response.status == _UNAUTHORIZED:
        message = (
            f"Gong rejected the OAuth client id and its secret: {said or 'no reason given'}; "
            "check both against the application's page at Gong"
        )
        return _as(AuthenticationError, message, error, response, redact)
    if said and said not in error.message:
        error.message = f"{error.message}: {said}"
    return error


def _as(
    cls: type[APIStatusError],
    message: str,
    error: APIStatusError,
    response: Response,
    redact: Redactor,
) -> APIStatusError:
    given = request_id(response, redact)
    return cls(message, status=error.status, errors=error.errors, request_id=given)


def _words(response: Response, redact: Redactor) -> Iterator[str]:
    """Yield the error fields of RFC 6749, or the text of an error in plain text."""
    try:
        payload = response.json()
    except ValueError:
        payload = None
        if response.body:
            yield redact.excerpt(response.body, _SNIPPET)
    if isinstance(payload, Mapping):
        for name in ("error", "error_description", "message"):
            if isinstance(said := payload.get(name), str):
                yield redact(said, _SNIPPET)
