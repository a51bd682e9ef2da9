"""Public client; composes the pipeline, limiter and resources, and owns the connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from functools import partial
from os import PathLike
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack, get_args, overload
from weakref import WeakSet

from attrs import evolve

from gong_async._pipeline import Pipeline
from gong_async._redact import Redactor, Secret, hide_locals, redact_log
from gong_async._settings.base_url import DEFAULT_BASE_URL, origin
from gong_async._settings.base_url import base_url as checked_base_url
from gong_async._settings.values import file_path, instance_of, kind_of, number
from gong_async._transport import BaseConnector, ClientSession, SessionPool
from gong_async._wire import DEFAULT_USER_AGENT, Endpoint
from gong_async._wire.call import OpenCalls
from gong_async.auth import Auth, Closable, auth_from_env
from gong_async.bulk.engine import SETTLE_SECONDS, Engine, Outcome, wait_until_done
from gong_async.errors import ConfigurationError, ValidationError
from gong_async.hooks.dispatch import checked_hooks
from gong_async.hooks.events import Hook
from gong_async.limits.limiter import LimitStore
from gong_async.limits.memory import PROCESS_LIMITS
from gong_async.limits.types import Limits, Priority, Quota
from gong_async.models._shared import RawResult
from gong_async.models.converter import make_converter, to_json
from gong_async.models.meetings import Change, MeetingChange, UpdatedMeeting, meeting_id
from gong_async.models.query import Query
from gong_async.resources.meetings import Meetings
from gong_async.retry import RetryPolicy

if TYPE_CHECKING:
    from gong_async.bulk.job import BulkJob
    from gong_async.bulk.job_task import JobTask
    from gong_async.bulk.planner import Changes
    from gong_async.bulk.records import BulkOptions

T = TypeVar("T")

DEFAULT_TIMEOUT = 30.0
"""Seconds for one attempt, from its permit to the last byte of the response."""


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of `GongClient`, as `GongClient.from_env` takes them."""

    base_url: str | None
    limits: Limits | None
    retry: RetryPolicy | None
    timeout: float
    session: ClientSession | None
    connector: BaseConnector | None
    user_agent: str | None
    hooks: Iterable[Hook]
    limit_store: LimitStore | None


class GongClient:
    """A client of the Gong API for one company.

    You can create it anywhere, also at import: it binds to no event loop before the first call,
    and each loop gets its own connections. Close it, or use it as an async context manager.

    Args:
        auth: `BasicAuth`, `BearerAuth` or `OAuth`.
        base_url: your company's API base URL: see "API" in Gong's company settings. A path is kept.
            With `OAuth`, leave it out: Gong returns it with every token.
        limits: your company's API limits, calls per second and per day.
        retry: how often calls are retried, and their deadline.
        timeout: seconds for one attempt, from its permit on; time in the queue does not count.
        session: an aiohttp session of your own. It is used as it is and never closed: its
            cookies, proxy and TLS settings apply, its middlewares do not.
        connector: an aiohttp connector of your own, for a private CA or a proxy. Never closed.
        user_agent: replaces the default `User-Agent` header.
        hooks: called with the events of `gong_async.hooks.events`.
        limit_store: where the state of the limits is kept. None keeps it in this process, shared
            by all its clients of the same company.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    meetings: Meetings
    """The operations on meetings."""

    def __init__(
        self,
        auth: Auth,
        *,
        base_url: str | None = None,
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        session: ClientSession | None = None,
        connector: BaseConnector | None = None,
        user_agent: str | None = None,
        hooks: Iterable[Hook] = (),
        limit_store: LimitStore | None = None,
    ) -> None:
        if session is not None and connector is not None:
            msg = "pass either session or connector, not both: a session has its own connector"
            raise ConfigurationError(msg)
        limits = Limits() if limits is None else instance_of("limits", limits, Limits)
        retry = RetryPolicy() if retry is None else instance_of("retry", retry, RetryPolicy)
        given = DEFAULT_BASE_URL if base_url is None else instance_of("base_url", base_url, str)
        url = checked_base_url(given)
        timeout = float(number("timeout", timeout, above=0))
        named, called = _user_agent(user_agent), checked_hooks(hooks)
        _check_own("session", session, ClientSession)
        _check_own("connector", connector, BaseConnector)
        _check_auth(auth)
        company = f"{origin(url)} {auth.fingerprint}"
        limiter = _limit_store(limit_store).limiter(company, limits)
        self._limits, self._company = limits, company
        self._pool = SessionPool(
            max_connections=limits.max_in_flight, session=session, connector=connector
        )
        self._owner = True
        self._jobs: WeakSet[JobTask] = WeakSet()
        self._open_job_calls = OpenCalls()
        self._closing: asyncio.Task[None] | None = None
        redact = Redactor(partial(getattr, auth, "secrets"))
        redact_log(redact)
        self._attach_resources(
            Pipeline(
                base_url=url,
                user_agent=named,
                auth=auth,
                limiter=limiter,
                priority="interactive",
                transport=self._pool,
                retry=retry,
                timeout=timeout,
                converter=make_converter(),
                redact=redact,
                follows_credential=base_url is None,
                open_calls=OpenCalls(),
                hooks=called,
            )
        )

    @classmethod
    @hide_locals
    def from_env(
        cls, environ: Mapping[str, str] | None = None, **options: Unpack[ClientOptions]
    ) -> Self:
        """Return a client configured from the environment.

        Uses `GONG_ACCESS_KEY` and `GONG_ACCESS_KEY_SECRET`, or `GONG_BEARER_TOKEN`; without them,
        the login of `gong-async login`, which needs `GONG_OAUTH_CLIENT_ID` and
        `GONG_OAUTH_CLIENT_SECRET`. `GONG_BASE_URL` is optional. `options` are the arguments of
        the class.

        Raises:
            ConfigurationError: a variable is missing, two contradict each other, or an option
                is invalid.
        """
        if environ is not None and not isinstance(environ, Mapping):
            raise ConfigurationError(f"environ must be a mapping, got {kind_of(environ)}")
        from gong_async.oauth.credential import (  # noqa: PLC0415 - most programs have no login
            login_from_env,
        )

        environ = os.environ if environ is None else environ
        auth = login_from_env(environ) or auth_from_env(environ)
        if base_url := environ.get("GONG_BASE_URL"):
            options.setdefault("base_url", base_url)
        return cls(auth, **options)

    def with_options(
        self,
        *,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        priority: Priority | None = None,
    ) -> GongClient:
        """Return a client with other options, on the same connections and limits.

        Calls with the priority "bulk" go after those with "interactive", and do not use the
        reserve of the limits.

        It shares its parent's lifetime; only closing the parent has an effect.
        """
        derived = object.__new__(type(self))
        derived._limits, derived._company = self._limits, self._company
        derived._pool, derived._owner = self._pool, False
        derived._jobs, derived._open_job_calls = self._jobs, self._open_job_calls
        changes: dict[str, Any] = {}
        if timeout is not None:
            changes["timeout"] = float(number("timeout", timeout, above=0))
        if retry is not None:
            changes["retry"] = instance_of("retry", retry, RetryPolicy)
        if priority is not None:
            changes["priority"] = _priority(priority)
        derived._attach_resources(evolve(self._call, **changes))
        return derived

    @overload
    async def request(
        self,
        endpoint: str,
        *,
        path: Mapping[str, str | int] | None = None,
        query: Query | None = None,
        body: object = None,
    ) -> RawResult: ...

    @overload
    async def request(
        self,
        endpoint: Endpoint[T],
        *,
        path: Mapping[str, str | int] | None = None,
        query: Query | None = None,
        body: object = None,
    ) -> T: ...

    async def request(
        self,
        endpoint: Endpoint[Any] | str,
        *,
        path: Mapping[str, str | int] | None = None,
        query: Query | None = None,
        body: object = None,
    ) -> Any:
        """Call any operation of the API, with the same limits, retries and errors.

        Args:
            endpoint: an `Endpoint`, or its method and route: `"GET /v2/users"`.
            path: the value of each `{variable}` of the route.
            query: the query parameters, with Python's names or Gong's. Values are text, numbers,
                bools, aware times, dates, enums, or a list of them; None leaves one out.
            body: a JSON value, or an instance of an attrs class with Python names.
        """
        if isinstance(endpoint, str):
            method, _, route = endpoint.partition(" ")
            endpoint = Endpoint(method, route, RawResult)
        plain = {name: str(value) for name, value in (path or {}).items()}
        if "meetingId" in plain:
            plain["meetingId"] = meeting_id(plain["meetingId"])
        return await self._call(endpoint, path=plain, query=query, body=body)

    def update_many(
        self,
        changes: Iterable[Change] | AsyncIterable[Change],
        *,
        max_in_flight: int | None = None,
    ) -> AsyncGenerator[Outcome[Change, UpdatedMeeting], None]:
        """Update many meetings; yield the outcome of each, in order of completion.

        The source is read lazily, so memory does not grow with the number of changes. Changes of
        the same meeting are applied one after the other, in the order given; after a retried
        update, or one whose outcome is unknown, the next one of that meeting waits 30 s. A failed
        change does not stop the others: its outcome carries the error.

        To stop early, use `contextlib.aclosing`, or end the source and read the remaining
        outcomes: an update that is cancelled may still be applied.

        Args:
            changes: `MeetingChange`s, or pairs of an id and a `MeetingUpdate`.
            max_in_flight: concurrent updates; by default as in `limits`.

        Raises:
            ConfigurationError: `max_in_flight` is below 1.
            Exception: raised by the source; all changes read before it are finished first.
        """
        if max_in_flight is not None:
            max_in_flight = int(number("max_in_flight", max_in_flight, whole=True, least=1))
        engine: Engine[Change, UpdatedMeeting] = Engine(
            source=changes,
            operation=self.with_options(priority="bulk")._update_one,  # noqa: SLF001 - our own
            key=_meeting_key,
            attempts=_attempts,
            max_in_flight=max_in_flight or self._limits.max_in_flight,
            settle_seconds=SETTLE_SECONDS,
        )
        return engine.outcomes()

    def bulk(
        self,
        changes: Changes | None = None,
        *,
        journal: str | PathLike[str] | None = None,
        options: BulkOptions | None = None,
        state_dir: str | PathLike[str] | None = None,
    ) -> BulkJob:
        """Return a bulk job: many updates with a journal, so that no crash loses or repeats one.

        It does nothing until you call one of its methods.

        Args:
            changes: as for `update_many`; read once, when the job is planned. None for a job whose
                journal exists: to resume it, or to read its status.
            journal: the job's file; by default a new one in the state directory.
            options: the job's options; by default those of its journal, or `BulkOptions()`.
            state_dir: the directory of journals and of the ledger; by default `GONG_STATE_DIR` or
                the user's state directory.
        """
        from gong_async.bulk.job import BulkJob  # noqa: PLC0415
        from gong_async.bulk.records import BulkOptions  # noqa: PLC0415
        from gong_async.bulk.store import job_file  # noqa: PLC0415 - only for bulk jobs

        if options is not None:
            instance_of("options", options, BulkOptions)
        state = None if state_dir is None else file_path("state_dir", state_dir)
        path = None if journal is None else file_path("journal", journal)
        name = job_file.new_job_id()
        default = job_file.jobs_directory(state) / f"{name}{job_file.SUFFIX}"
        return BulkJob(
            path=path or default,
            id=name,
            ledger=job_file.ledger_path(state),
            options=options,
            changes=changes,
            company=self._company,
            origin=origin(self._call.base_url),
            # Calls of jobs may finish while the client closes; see `close`.
            call=evolve(self._call, priority="bulk", open_calls=self._open_job_calls),
            limiter=self._call.limiter,
            limits=self._limits,
            encode=partial(to_json, self._call.converter),
            register=self._register_job,
        )

    async def quota(self) -> Quota:
        """Return the usage of the company's limits. Makes no API call: Gong does not report it."""
        return await self._call.limiter.quota()

    async def close(self) -> None:
        """Cancel running calls, stop running bulk jobs, and close the connections.

        Updates of bulk jobs that are in flight have the job's `drain_seconds` to finish; pending
        ones stay pending, and the job's state becomes `interrupted`. If `close` is cancelled, jobs
        stop at once, and everything is released all the same. A second `close` does nothing, or
        waits for the first. If the source of a job's changes closes the client, `close` returns at
        once, because the job waits for its source.
        """
        if not self._owner:
            return
        self._call.open_calls.closed = True
        loop = asyncio.get_running_loop()
        closing = self._closing
        if closing is None or closing.done() or closing.get_loop() is not loop:
            closing = self._closing = loop.create_task(self._close())
        if self._jobs and _job_tasks().is_planning_here(self._jobs):
            return
        try:
            await asyncio.wait([closing])
        except asyncio.CancelledError:
            closing.cancel()
            await wait_until_done(closing)
            raise
        if not closing.cancelled():
            closing.result()

    async def _close(self) -> None:
        jobs = [job for job in self._jobs if not job.task.done()]
        try:
            await self._call.open_calls.cut()
            if jobs:
                await _job_tasks().close_all(jobs)
            if isinstance(self._call.auth, Closable):
                await self._call.auth.settle()
        except asyncio.CancelledError:
            if jobs:
                await _job_tasks().end_all(jobs)
            raise
        finally:
            try:
                await self._open_job_calls.cut()
            finally:
                self._call.limiter.detach()
                await self._pool.close()

    async def __aenter__(self) -> Self:
        self._call.open_calls.check()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._call.base_url}>"

    def _attach_resources(self, call: Pipeline) -> None:
        self._call = call
        self.meetings = Meetings(call)

    def _register_job(self, job: JobTask) -> None:
        self._call.open_calls.check()
        self._jobs.add(job)

    async def _update_one(self, change: Change) -> UpdatedMeeting:
        match change:
            case MeetingChange():
                return await self.meetings.update(change.meeting_id, change.update)
            case (id, update):
                return await self.meetings.update(id, update)
        problem = f"expected a MeetingChange or (id, MeetingUpdate), got {type(change).__name__}"
        raise ValidationError("change", problem)


def _job_tasks() -> ModuleType:
    """Import the module of job tasks, which only bulk jobs need."""
    from gong_async.bulk import job_task  # noqa: PLC0415

    return job_task


def _meeting_key(change: Change) -> str:
    # The update itself raises the error for any other type of change.
    match change:
        case MeetingChange():
            return change.meeting_id
        case (id, _):
            try:
                return meeting_id(id)
            except ValidationError:
                return ""
    return ""


def _attempts(result: UpdatedMeeting) -> int:
    return result.meta.attempts


def _user_agent(value: str | None) -> str:
    if value is None:
        return DEFAULT_USER_AGENT
    text = instance_of("user_agent", value, str)
    if not text or not text.isascii() or not text.isprintable():
        msg = "user_agent must be printable ASCII text"
        raise ConfigurationError(msg)
    return text


def _priority(value: Priority) -> Priority:
    if value not in get_args(Priority):
        raise ConfigurationError(f"priority must be one of {', '.join(get_args(Priority))}")
    return value


def _check_own(name: str, own: object, cls: type[ClientSession | BaseConnector]) -> None:
    """Check a session or connector of the caller's own."""
    if own is not None and instance_of(name, own, cls).closed:
        raise ConfigurationError(f"the {name} that was passed in is closed; pass an open one")


def _limit_store(value: LimitStore | None) -> LimitStore:
    if value is None:
        return PROCESS_LIMITS
    if isinstance(value, type) or not callable(getattr(value, "limiter", None)):
        raise ConfigurationError(
            f"limit_store must be a limit store such as SQLiteLimitStore(); got {kind_of(value)}"
        )
    return value


def _check_auth(auth: Auth) -> None:
    """Check the attributes that a call needs of a credential, which may be a custom class."""
    if isinstance(auth, type):
        raise ConfigurationError(f"auth is {kind_of(auth)}; pass an instance of it")
    for name in ("authorization", "renew"):
        if not callable(getattr(auth, name, None)):
            raise ConfigurationError(
                f"auth must be BasicAuth, BearerAuth, OAuth or an object with the methods of "
                f"`Auth`, got {kind_of(auth)} without {name}()"
            )
    if not isinstance(getattr(auth, "fingerprint", None), str):
        raise ConfigurationError(f"{kind_of(auth)}.fingerprint must be a property of type str")
    if not _lists_secrets(auth):
        raise ConfigurationError(f"{kind_of(auth)}.secrets must be a property that lists `Secret`s")


def _lists_secrets(auth: Auth) -> bool:
    # In its own frame, which no traceback shows: a custom class may list plain text.
    secrets: object = getattr(auth, "secrets", None)
    return isinstance(secrets, Iterable) and all(isinstance(one, Secret) for one in secrets)
