"""The pipeline of a call: prepare, authorize, acquire a permit, send, parse, retry."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import Factory, evolve, field, frozen

from gong_async._redact import PinnedSecret, Redactor, Secret
from gong_async._transport import Transport
from gong_async._wire import (
    AfterAttempt,
    AttemptProgress,
    BeforeSend,
    Encoded,
    Endpoint,
    Request,
    Response,
)
from gong_async._wire.call import CallState, DeadlineScope, OpenCalls
from gong_async._wire.response import read_success, request_id, retry_after, status_error
from gong_async._wire.types import path_segment, route_parts
from gong_async.auth import Auth
from gong_async.errors import DecodeError, GongError, ProtocolError, ValidationError
from gong_async.hooks.dispatch import emit, warn
from gong_async.hooks.events import (
    AttemptFinished,
    CallFinished,
    CallStarted,
    Hook,
    LimiterPaused,
    PermitAcquired,
    RetryPlanned,
)
from gong_async.limits.limiter import Limiter
from gong_async.limits.types import Priority
from gong_async.models._shared import Meta, Result, utc_now
from gong_async.models.converter import Converter, structure, to_json
from gong_async.models.query import query_string
from gong_async.retry import Action, RetryBudget, RetryPolicy, decide

T = TypeVar("T")

_TOO_MANY_REQUESTS = 429


def _headers(pipeline: Pipeline) -> tuple[Mapping[str, str], Mapping[str, str]]:
    bare = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": pipeline.user_agent,
    }
    return bare, {**bare, "Content-Type": "application/json"}


@frozen(kw_only=True, eq=False)
class Pipeline:
    """The parts that every call of a client uses; calling it makes one call."""

    base_url: str
    user_agent: str
    auth: Auth
    limiter: Limiter
    priority: Priority
    transport: Transport
    retry: RetryPolicy
    timeout: float
    converter: Converter
    redact: Redactor
    open_calls: OpenCalls
    follows_credential: bool = True
    """Whether a credential with a base URL of its own is sent there instead of `base_url`."""
    budget: RetryBudget = field(factory=RetryBudget)
    hooks: tuple[Hook, ...] = ()
    _headers: tuple[Mapping[str, str], Mapping[str, str]] = field(
        init=False, default=Factory(_headers, takes_self=True)
    )
    """Headers of a request without a body, and of one with a body."""
    _longest_pause: float = field(
        init=False, default=Factory(lambda self: self.retry.longest_pause, takes_self=True)
    )

    async def __call__(
        self,
        endpoint: Endpoint[T],
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        body: object = None,
        before_send: BeforeSend | None = None,
        after_attempt: AfterAttempt | None = None,
    ) -> T:
        """Make one call and return its typed result."""
        request = self._prepare(endpoint, path or {}, query, body)
        if self.open_calls.closed:
            self.open_calls.check()
        self.budget.calls += 1
        call = CallState(endpoint, request, before_send, after_attempt)
        if self.hooks:
            emit(self.hooks, CallStarted(**call.subject()))
        error: GongError | None = None
        cancelled = True
        try:
            # The time of a bulk call starts with its first permit: see `_send`.
            deadline = None if self.priority == "bulk" else self.retry.deadline
            with DeadlineScope(self.open_calls, deadline) as call.scope:
                result = await self._attempt_until_done(call)
            cancelled = False
            return result
        except GongError as failed:
            error, cancelled = failed, False
            raise
        except TimeoutError:
            if not call.scope.expired:
                raise
            closed = self.open_calls.closed
            error = expired = call.expired(None if closed else self.retry.deadline)
            cancelled = False
        finally:
            if self.hooks:
                finished = CallFinished(
                    **call.subject(),
                    attempts=call.attempts,
                    seconds_waited=call.waited,
                    seconds_on_wire=call.on_wire,
                    error=error,
                    cancelled=cancelled,
                )
                emit(self.hooks, finished)
        raise expired

    def _prepare(
        self,
        endpoint: Endpoint[Any],
        path: Mapping[str, str],
        query: Mapping[str, object] | None,
        body: object,
    ) -> Request:
        """Return the request, which every attempt of the call sends."""
        parts = route_parts(endpoint.route)
        target = parts[0]
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            value = path.get(name)
            # A short number needs no quotes, and is right for every variable.
            usual = type(value) is str and value.isascii() and value.isdigit() and len(value) <= 20  # noqa: PLR2004
            target += (value if usual and value else path_segment(name, path)) + text
        content: bytes | None = None
        problem = ""
        if isinstance(body, Encoded):
            content = body.json
        elif body is not None:
            try:
                content = to_json(self.converter, body)
            except (TypeError, ValueError) as error:
                problem = f"cannot be converted to JSON: {self.redact(str(error))}"
        if problem:
            raise ValidationError("body", problem)
        return Request(
            endpoint.method,
            self.base_url + target + (query_string(query) if query else ""),
            endpoint.route,
            endpoint.effect,
            self._headers[content is not None],
            content,
            path,
            endpoint.echo,
            endpoint.requires,
        )

    async def _attempt_until_done(self, call: CallState[T]) -> T:
        """Attempt, decide, wait: until there is a result or a final error."""
        while True:
            try:
                return await self._attempt(call)
            except GongError as error:
                failure = error
            wait = await self._next_wait(call, failure)
            if wait is None:
                raise failure
            planned = RetryPlanned(
                **call.subject(), attempt=call.attempts, wait=wait, error=failure
            )
            warn(self.hooks, planned)
            call.waited += wait
            await asyncio.sleep(wait)

    async def _attempt(self, call: CallState[T]) -> T:
        """Authorize, acquire a permit, send, parse."""
        before = (call.attempts, call.waited, call.on_wire)
        response: Response | None = None
        error: GongError | None = None
        call.authorization = None
        if self.open_calls.closed:
            self.open_calls.check()
        try:
            response = await self._send(call)
            return self._parse(call, response)
        except GongError as failed:
            authorized = call.authorization is not None
            error = failure = call.annotate(failed) if authorized else call.credential_error(failed)
        finally:
            if call.attempts > before[0] and (self.hooks or call.after_attempt is not None):
                self._finish_attempt(call, response, error, before)
        raise failure

    async def _send(self, call: CallState[Any]) -> Response:
        """Authorize, acquire a permit, send; release the permit when the response is complete."""
        call.authorization = authorization = await self.auth.authorization()
        request, scope, max_wait = call.request, call.scope, self._longest_pause
        if (
            self.follows_credential
            and isinstance(authorization, PinnedSecret)
            and authorization.base_url != self.base_url
        ):
            target = request.url.removeprefix(self.base_url)
            request = evolve(request, url=authorization.base_url + target)
        deadline = self.retry.deadline if self.priority == "bulk" else None
        if deadline is not None:
            scope.stop_time()
        if scope.until != math.inf:
            max_wait = min(max_wait, scope.time_left())
        async with self.limiter.acquire(max_wait=max_wait, priority=self.priority) as permit:
            call.waited += permit.waited
            if call.before_send is not None:
                try:
                    await call.before_send()
                except BaseException:
                    permit.unused()
                    raise
            if deadline is not None:
                scope.count_time(deadline)
            call.attempts += 1
            if self.hooks and permit.waited > 0:
                waited = permit.waited
                emit(
                    self.hooks,
                    PermitAcquired(**call.subject(), priority=self.priority, seconds=waited),
                )
            sent_at = scope.loop.time()
            try:
                response = await self.transport.send(
                    request, authorization, timeout=self.timeout, progress=call.progress
                )
            finally:
                call.on_wire += scope.loop.time() - sent_at
            if response.status == _TOO_MANY_REQUESTS:
                asked = retry_after(response, utc_now())
                pause = self.retry.after_refusal(asked, call.refusals + 1)
                permit.throttled(pause)
                warn(
                    self.hooks,
                    LimiterPaused(pause=pause, request_id=request_id(response, self.redact)),
                )
            else:
                permit.accepted()
        return response

    def _parse(self, call: CallState[T], response: Response) -> T:
        """Return the result of a response, or raise its error."""
        redact = self.redact
        if not 200 <= response.status < 300:  # noqa: PLR2004
            raise status_error(response, redact, utc_now())
        try:
            payload, given = read_success(call.request, response, redact)
        except ProtocolError as error:
            if error.flaw == "mismatch":
                self.transport.discard_connections()
            raise
        try:
            result = structure(self.converter, payload, call.endpoint.returns)
        except DecodeError as error:
            paths = tuple(map(redact, error.paths))  # may contain keys of the payload
            failure = DecodeError(
                redact(error.message), paths=paths, status=response.status, request_id=given
            )
        else:
            if isinstance(result, Result):
                meta = Meta(
                    status=response.status,
                    request_id=given,
                    attempts=call.attempts,
                    seconds_waited=call.waited,
                    seconds_on_wire=call.on_wire,
                )
                # Frozen, but created a moment ago and not yet visible to the caller.
                object.__setattr__(result, "meta", meta)
                object.__setattr__(result, "request_id", given)
            return result
        del payload  # a traceback may be shown with the locals of its frames
        raise failure

    async def _next_wait(self, call: CallState[Any], error: GongError) -> float | None:
        """Decide what follows a failed attempt: the seconds until another one, or None."""
        # The attempt is over: a deadline that ends the call from here on does not interrupt it.
        call.progress = AttemptProgress()
        if call.authorization is None:
            return None  # there is no credential, and its provider has retried already
        policy, scope = self.retry, call.scope
        decision = decide(error, call.request.effect, resend_creates=policy.resend_creates)
        error.outcome_unknown = call.doubtful = call.doubtful or decision.outcome_unknown
        wait: float | None = None
        match decision.action:
            case Action.WAIT:
                call.refusals += 1
                asked = getattr(error, "retry_after", None) or 0.0
                # A bulk call waits for its next permit, which does not count for its deadline.
                in_time = self.priority == "bulk" or asked < scope.time_left()
                may_wait = asked <= policy.max_wait and in_time
                if call.refusals <= policy.max_refusals and may_wait:
                    wait = 0.0  # the limiter pauses all calls, this one too
            case Action.RENEW:
                if not call.renewed and await self._renew(call, call.authorization):
                    call.renewed, wait = True, 0.0
            case Action.RETRY | Action.RETRY_ONCE:
                call.failures += 1
                if call.failures < policy.attempts_after(decision.action):
                    wait = policy.wait_after(error, call.failures)
                if wait is not None and not self.budget.spend(error):
                    error.message += " (not retried: too many calls of this client are failing)"
                    wait = None
            case Action.FAIL:
                pass
        return wait if wait is not None and wait < scope.time_left() else None

    async def _renew(self, call: CallState[Any], rejected: Secret) -> bool:
        """Replace the credential that Gong rejected; return whether there is a new one."""
        call.authorization = None
        try:
            return await self.auth.renew(rejected)
        except GongError as failed:
            failure = call.credential_error(failed)
        raise failure

    def _finish_attempt(
        self,
        call: CallState[Any],
        response: Response | None,
        error: GongError | None,
        before: tuple[int, float, float],
    ) -> None:
        """Report an attempt to the call's callback and to the hooks."""
        status = response.status if response else None
        if call.after_attempt is not None:
            call.after_attempt(status, error)
        if not self.hooks:
            return
        finished = AttemptFinished(
            **call.subject(),
            attempt=call.attempts,
            status=status,
            request_id=request_id(response, self.redact) if response else None,
            seconds_waited=call.waited - before[1],
            seconds_on_wire=call.on_wire - before[2],
            error=error,
        )
        emit(self.hooks, finished)
