"""The pipeline of a call: prepare, authorize, acquire a permit, send, parse, retry."""

from __future__ import annotations

import asyncio
import copy
import logging
import math
import re
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from attrs import Factory, define, evolve, field, frozen

from gong_async._deadline import DeadlineScope, OpenCalls
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
from gong_async._wire.response import request_id, retry_after, status_error, success_payload
from gong_async.auth import Auth
from gong_async.errors import (
    APITimeoutError,
    DecodeError,
    Delivery,
    GongError,
    ProtocolError,
    ServerError,
    UsageError,
    ValidationError,
)
from gong_async.hooks.events import (
    AttemptFinished,
    CallFinished,
    CallStarted,
    Event,
    Hook,
    LimiterPaused,
    PermitAcquired,
    RetryPlanned,
)
from gong_async.hooks.log import log_event
from gong_async.limits.types import Limiter, Permit, Priority
from gong_async.models._shared import Meta, Result, meeting_id, utc_now
from gong_async.models.converter import Converter, structure, to_json
from gong_async.models.query import query_string
from gong_async.retry import Action, Again, RetryBudget, RetryPolicy, decide

T = TypeVar("T")

_VARIABLE = re.compile(r"\{(\w+)\}")
_TOO_MANY_REQUESTS = 429
_GATEWAY_TIMEOUT = 504
_UNSENT = frozenset({"queue", "pool", "connect", "tls"})


def _headers(pipeline: Pipeline) -> tuple[Mapping[str, str], Mapping[str, str]]:
    bare = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": pipeline.user_agent,
    }
    return bare, {**bare, "Content-Type": "application/json"}


def _deadlines(pipeline: Pipeline) -> tuple[float | None, float | None]:
    deadline = pipeline.retry.deadline
    return (None, deadline) if pipeline.priority == "bulk" else (deadline, None)


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
    _deadlines: tuple[float | None, float | None] = field(
        init=False, default=Factory(_deadlines, takes_self=True)
    )
    """For a whole call, and for a call without its waits for permits: one of them is None."""
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
        self.budget.earn()
        return await _CallState(self, endpoint, request, before_send, after_attempt).run()

    def _prepare(
        self,
        endpoint: Endpoint[Any],
        path: Mapping[str, str],
        query: Mapping[str, object] | None,
        body: object,
    ) -> Request:
        steps = _steps(endpoint.route)
        filled = steps[0]
        for name, text in zip(steps[1::2], steps[2::2], strict=True):
            value = path.get(name)
            # A short number needs no quotes, and is right for every variable.
            usual = type(value) is str and value.isascii() and value.isdigit() and len(value) <= 20  # noqa: PLR2004
            filled += (value if usual and value else _path_part(name, path)) + text
        headers = self._headers[body is not None]
        return Request(
            endpoint.method,
            self.base_url + filled + (query_string(query) if query else ""),
            endpoint.route,
            endpoint.effect,
            headers,
            None if body is None else self._bytes(body),
            path.get("meetingId"),
            None if endpoint.echo is None else path[endpoint.echo],
            endpoint.requires,
        )

    def _bytes(self, body: object) -> bytes:
        if isinstance(body, Encoded):
            return body.json
        problem: str
        try:
            return to_json(self.converter, body)
        except (TypeError, ValueError) as error:
            problem = f"cannot be converted to JSON: {self.redact(str(error))}"
        raise ValidationError("body", problem)

    def emit(self, event: Event) -> None:
        """Pass an event to every hook. Exceptions in hooks are logged; the call goes on."""
        for hook in self.hooks:
            call: Callable[[Event], object] = hook
            try:
                returned = call(event)
                if returned is not None and isinstance(returned, Coroutine):
                    returned.close()
                    msg = "a hook returned a coroutine, which is not awaited; see `Hook`"
                    raise TypeError(msg)  # noqa: TRY301 - logged like other errors of hooks
            except Exception:
                logging.getLogger("gong_async").exception(
                    "a hook raised an exception for %s", type(event).__name__
                )

    def warn(self, event: RetryPlanned | LimiterPaused) -> None:
        """Emit an event that is also logged when no hook is installed."""
        if log_event not in self.hooks:
            log_event(event)
        self.emit(event)


@define(eq=False)
class _CallState(Generic[T]):
    """The state of one call over all its attempts."""

    pipeline: Pipeline
    endpoint: Endpoint[T]
    request: Request
    before_send: BeforeSend | None
    after_attempt: AfterAttempt | None
    scope: DeadlineScope | None = None
    progress: AttemptProgress = field(factory=AttemptProgress)
    attempts: int = 0
    failures: int = 0
    refusals: int = 0
    waited: float = 0.0
    on_wire: float = 0.0
    renewed: bool = False
    doubtful: bool = False
    """Whether an attempt that may have been applied lost its response."""

    async def run(self) -> T:
        """Attempt until there is a result, a final error, or no time left."""
        pipeline = self.pipeline
        error: GongError | None = None
        finished = False
        if pipeline.hooks:
            pipeline.emit(CallStarted(**self._subject()))
        try:
            with DeadlineScope(pipeline.open_calls, pipeline._deadlines[0]) as self.scope:  # noqa: SLF001 - one module
                result = await pipeline.retry.run(self._attempt)
            finished = True
            return result
        except GongError as failed:
            error = failed
            raise
        except TimeoutError:
            if self.scope is None or not self.scope.expired:
                raise
            error = expired = self._expired()
        finally:
            if pipeline.hooks:
                cancelled = not finished and error is None
                pipeline.emit(self._finished(error, cancelled=cancelled))
        raise expired

    async def _attempt(self) -> T:
        """Make one attempt: authorize, acquire a permit and send, parse; or decide on a retry."""
        pipeline = self.pipeline
        if pipeline.open_calls.closed:
            pipeline.open_calls.check()
        authorization = await self._authorize()
        error: GongError | None = None
        response: Response | None = None
        before = (self.attempts, self.waited, self.on_wire)
        try:
            response = await self._send(authorization)
            return self._parse(response)
        except GongError as failed:
            error = failure = self._annotate(failed)
        finally:
            if self.attempts > before[0] and (pipeline.hooks or self.after_attempt is not None):
                self._emit_attempt(response, error, before)
        raise await self._next_step(failure, authorization)

    async def _authorize(self) -> Secret:
        """Return the credential; fetching or renewing it may fail."""
        try:
            return await self.pipeline.auth.authorization()
        except GongError as failed:
            failure = self._credential_error(failed)
        raise failure

    async def _renew(self, rejected: Secret) -> bool:
        """Replace the credential that Gong rejected; return whether there is a new one."""
        try:
            return await self.pipeline.auth.renew(rejected)
        except GongError as failed:
            failure = self._credential_error(failed)
        raise failure

    def _credential_error(self, error: GongError) -> GongError:
        """Return a copy of an error of the credential, for this call: nothing was sent for it."""
        error = copy.copy(error)  # other calls may wait for the same credential and share the error
        error.delivery = Delivery.ANSWERED if self.attempts else Delivery.NOT_SENT
        error.outcome_unknown = self.doubtful
        return self._annotate(error)

    def _addressed(self, authorization: PinnedSecret) -> Request:
        """Return the request, addressed to the base URL of the credential."""
        pipeline, request = self.pipeline, self.request
        if authorization.base_url == pipeline.base_url:
            return request
        target = request.url.removeprefix(pipeline.base_url)
        return evolve(request, url=authorization.base_url + target)

    async def _send(self, authorization: Secret) -> Response:
        """Acquire a permit, send, and release the permit once the response is complete."""
        pipeline, loop = self.pipeline, asyncio.get_running_loop()
        request = self.request
        if pipeline.follows_credential and isinstance(authorization, PinnedSecret):
            request = self._addressed(authorization)
        scope, deadline = self.scope, pipeline._deadlines[1]  # noqa: SLF001 - one module
        if deadline is not None and scope is not None:
            scope.stop_time()
        max_wait = pipeline._longest_pause  # noqa: SLF001 - one module
        if scope is not None and scope.until != math.inf:
            max_wait = min(max_wait, self._time_left())
        async with pipeline.limiter.acquire(
            max_wait=max_wait, priority=pipeline.priority
        ) as permit:
            self.waited += permit.waited
            if self.before_send is not None:
                await _before_send(permit, self.before_send)
            if deadline is not None and scope is not None:
                scope.count_time(deadline)
            self.attempts += 1
            if pipeline.hooks and permit.waited > 0:
                waited = permit.waited
                pipeline.emit(
                    PermitAcquired(**self._subject(), priority=pipeline.priority, seconds=waited)
                )
            sent_at = loop.time()
            try:
                response = await pipeline.transport.send(
                    request, authorization, timeout=pipeline.timeout, progress=self.progress
                )
            finally:
                self.on_wire += loop.time() - sent_at
            if response.status == _TOO_MANY_REQUESTS:
                asked = retry_after(response, utc_now())
                pause = pipeline.retry.after_refusal(asked, self.refusals + 1)
                permit.throttled(pause)
                pipeline.warn(
                    LimiterPaused(pause=pause, request_id=request_id(response, pipeline.redact))
                )
            else:
                permit.accepted()
        return response

    def _parse(self, response: Response) -> T:
        """Return the result of a response, or raise its error."""
        pipeline = self.pipeline
        if not 200 <= response.status < 300:  # noqa: PLR2004
            raise status_error(response, pipeline.redact, utc_now())
        payload = success_payload(self.request, response, pipeline.redact)
        given = request_id(response, pipeline.redact, payload)
        failure, echo = None, self.endpoint.echo
        if echo is not None and payload.get(echo) != self.request.echo:
            failure = self._check_echo(echo, payload)
        if failure is None:
            try:
                result = structure(pipeline.converter, payload, self.endpoint.returns)
            except DecodeError as error:
                paths = tuple(map(pipeline.redact, error.paths))  # may contain keys of the payload
                failure = DecodeError(pipeline.redact(error.message), paths=paths)
            else:
                if isinstance(result, Result):
                    self._attach_meta(result, response, given)
                return result
        failure.status, failure.request_id = response.status, given
        del payload  # a traceback may be shown with the locals of its frames
        raise failure

    def _check_echo(self, echo: str, payload: dict[str, Any]) -> ProtocolError | None:
        """Return the error for an answer whose `echo` is not the text that was sent, if it is one.

        A deletion may lack it; an integer is compared by its digits.
        """
        redact, value, wanted = self.pipeline.redact, payload.get(echo), self.request.echo
        if value is None and self.endpoint.effect == "delete":
            payload[echo] = wanted
            return None
        if value is None:
            return ProtocolError(f"Gong's answer is JSON without {echo}", flaw="shape")
        # Gong's ids are strings in some responses and integers in others, which Python keeps exact.
        if type(value) is int and str(value) == wanted:
            return None
        self.pipeline.transport.discard_connections()
        other = redact(str(value), 40)
        msg = f"Gong's answer is about {echo} {other}, not the requested one"
        return ProtocolError(msg, flaw="mismatch")

    def _attach_meta(self, result: Result, response: Response, given: str | None) -> None:
        meta = Meta(
            status=response.status,
            request_id=given,
            attempts=self.attempts,
            seconds_waited=self.waited,
            seconds_on_wire=self.on_wire,
        )
        # Frozen, but created a moment ago and not yet visible to the caller.
        object.__setattr__(result, "meta", meta)
        object.__setattr__(result, "request_id", given)

    async def _next_step(self, error: GongError, authorization: Secret) -> Again | GongError:
        """Decide what to raise after `error`: itself, or `Again` for another attempt."""
        policy = self.pipeline.retry
        # The attempt is over: a deadline that ends the call from here on does not interrupt it.
        self.progress = AttemptProgress()
        decision = decide(error, self.request.effect, resend_creates=policy.resend_creates)
        error.outcome_unknown = self.doubtful = self.doubtful or decision.outcome_unknown
        wait: float | None = None
        match decision.action:
            case Action.WAIT:
                self.refusals += 1
                asked = getattr(error, "retry_after", None) or 0.0
                # A bulk call waits for its next permit, which does not count for its deadline.
                in_time = self.pipeline.priority == "bulk" or not self._too_late(asked)
                may_wait = asked <= policy.max_wait and in_time
                if self.refusals <= policy.max_refusals and may_wait:
                    wait = 0.0  # the limiter pauses all calls, this one too
            case Action.RENEW:
                if not self.renewed and await self._renew(authorization):
                    self.renewed, wait = True, 0.0
            case Action.RETRY | Action.RETRY_ONCE:
                self.failures += 1
                most = policy.max_attempts if decision.action is Action.RETRY else 2
                if self.failures < min(most, policy.max_attempts):
                    wait = self._retry_wait(error)
            case Action.FAIL:
                pass
        if wait is None or self._too_late(wait):
            return error
        self.pipeline.warn(
            RetryPlanned(**self._subject(), attempt=self.attempts, wait=wait, error=error)
        )
        self.waited += wait
        return Again(wait)

    def _retry_wait(self, error: GongError) -> float | None:
        """Return the seconds to wait before a retry; None for no retry."""
        policy = self.pipeline.retry
        wait = policy.backoff(self.failures)
        if error.status == _GATEWAY_TIMEOUT:
            wait = max(wait, 1.0)  # Gong may still be applying the change behind the gateway
        if isinstance(error, ServerError) and error.retry_after is not None:
            if error.retry_after > policy.max_wait:
                return None
            wait = max(wait, policy.after_refusal(error.retry_after, self.failures))
        if not self.pipeline.budget.spend(error):
            error.message += " (not retried: too many calls of this client are failing)"
            return None
        return wait

    def _too_late(self, wait: float) -> bool:
        return wait >= self._time_left()

    def _time_left(self) -> float:
        if self.scope is None or self.scope.until == math.inf:
            return math.inf
        return self.scope.until - asyncio.get_running_loop().time()

    def _expired(self) -> GongError:
        """Return the error of a call that was ended by its deadline or by closing the client."""
        unsent = self.progress.phase in _UNSENT
        delivery = Delivery.NOT_SENT if unsent else Delivery.MAYBE
        maybe_applied = not unsent and self.request.effect != "read"
        error: GongError
        if self.pipeline.open_calls.closed:
            error = UsageError("the client was closed during the call")
        elif self.attempts == 0:
            seconds = self.pipeline.retry.deadline
            msg = f"no permit within the deadline of {seconds:g} s; nothing was sent"
            error = APITimeoutError(msg, phase="queue")
        else:
            msg = f"no result within the deadline of {self.pipeline.retry.deadline:g} s"
            error = APITimeoutError(msg, phase="total")
        error.delivery = delivery
        error.outcome_unknown = self.doubtful or maybe_applied
        return self._annotate(error)

    def _annotate(self, error: GongError) -> GongError:
        """Add the call's operation, subject and attempts to an error."""
        error.method, error.route = self.request.method, self.request.route
        error.meeting_id, error.attempts = self.request.meeting_id, self.attempts
        if advice := self.endpoint.hints.get(type(error)):
            error.hint = advice
        return error

    def _subject(self) -> dict[str, Any]:
        request = self.request
        return {
            "method": request.method,
            "route": request.route,
            "meeting_id": request.meeting_id,
        }

    def _emit_attempt(
        self,
        response: Response | None,
        error: GongError | None,
        before: tuple[int, float, float],
    ) -> None:
        pipeline, status = self.pipeline, response.status if response else None
        if self.after_attempt is not None:
            self.after_attempt(status, error)
        if not pipeline.hooks:
            return
        pipeline.emit(
            AttemptFinished(
                **self._subject(),
                attempt=self.attempts,
                status=status,
                request_id=request_id(response, pipeline.redact) if response else None,
                seconds_waited=self.waited - before[1],
                seconds_on_wire=self.on_wire - before[2],
                error=error,
            )
        )

    def _finished(self, error: GongError | None, *, cancelled: bool) -> CallFinished:
        return CallFinished(
            **self._subject(),
            attempts=self.attempts,
            seconds_waited=self.waited,
            seconds_on_wire=self.on_wire,
            error=error,
            cancelled=cancelled,
        )


async def _before_send(permit: Permit, before_send: BeforeSend) -> None:
    """Call `before_send`; if it raises, the permit stays unused."""
    may_send = False
    try:
        await before_send()
        may_send = True
    finally:
        if not may_send:
            permit.unused()


@lru_cache
def _steps(route: str) -> list[str]:
    """Split a route into literal texts and, at odd indexes, the names of its variables."""
    return _VARIABLE.split(route)


def _path_part(name: str, path: Mapping[str, str]) -> str:
    """Return a path variable, quoted so that it stays one path segment."""
    if name not in path:
        raise ValidationError(name, "missing path variable of the route")
    value = path[name]
    if name == "meetingId":
        return meeting_id(value)
    if not value or value in {".", ".."} or not value.isprintable():
        raise ValidationError(name, "a path variable must be printable text other than . and ..")
    return quote(value, safe="")
