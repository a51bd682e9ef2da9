"""Takes each request from its arrival to its answer."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

from aiohttp import web
from attrs import define, evolve, field

from gong_async.testing.answers import FakeAnswer, deliver
from gong_async.testing.connections import Connections
from gong_async.testing.exchange import FakeExchange, below, receive
from gong_async.testing.oauth import FakeOAuth
from gong_async.testing.operations import LOGIN, SCOPES, WRITES, Company, knows_path
from gong_async.testing.quotas import FakeQuota, retry_after
from gong_async.testing.recording import Recording
from gong_async.testing.script import Script


class Settings(Protocol):
    """What may be changed while the server runs."""

    access_key: str
    access_key_secret: str
    bearer_token: str
    limited_release: bool
    granted_scopes: set[str] | None
    latency: float | Callable[[], float]
    quota: FakeQuota
    oauth: FakeOAuth


@define(kw_only=True, eq=False)
class Handler:
    """Handles a request: arrival, authentication and limits, operation, delivery."""

    settings: Settings
    company: Company
    script: Script
    recording: Recording
    connections: Connections
    ids: random.Random
    prefix: str
    _tasks: set[asyncio.Task[Any]] = field(factory=set[asyncio.Task[Any]], init=False)

    async def give_up(self) -> None:
        """Stop whatever is still being worked on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, and take it into the record."""
        exchange = self._arrive(request)
        # Decided before the body is read: a gateway counts a call by its headers.
        refusal = self._refuse_at_door(exchange)
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._tasks.add(task)
        try:
            refusal = await exchange.read_body() or refusal
            answer = refusal or await self._work(exchange)
            response, exchange.status = await deliver(
                request, answer, exchange.fault, exchange.connection.closed
            )
        except (ConnectionError, web.RequestPayloadError):
            return web.Response()
        else:
            return response
        finally:
            self._tasks.discard(task)
            self.recording.finished(exchange.received, exchange.status)

    def _arrive(self, request: web.BaseRequest) -> FakeExchange:
        connection = self.connections.of(request)
        received = receive(
            request,
            index=self.recording.arrivals,
            at=asyncio.get_running_loop().time(),
            prefix=self.prefix,
            connection=connection.number,
        )
        self.recording.arrived(received)
        return FakeExchange(
            request=request,
            connection=connection,
            recording=self.recording,
            received=received,
            request_id=f"{self.ids.getrandbits(80):020x}",
        )

    def _refuse_at_door(self, exchange: FakeExchange) -> FakeAnswer | None:
        if exchange.received.operation in LOGIN:
            return None
        if not self._authorized(exchange.request.headers.get("Authorization", "")):
            return exchange.refusal(401, "Invalid credentials")
        wait = self.settings.quota.admit(exchange.received.at)
        if wait:
            headers = {"Retry-After": retry_after(wait)}
            return exchange.refusal(429, "API rate limit exceeded", **headers)
        return None

    def _authorized(self, authorization: str) -> bool:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() == "bearer":
            now = asyncio.get_running_loop().time()
            return credential == self.settings.bearer_token or self.settings.oauth.opens(
                credential, now
            )
        pair = f"{self.settings.access_key}:{self.settings.access_key_secret}".encode()
        return scheme.lower() == "basic" and credential == base64.b64encode(pair).decode()

    async def _work(self, exchange: FakeExchange) -> FakeAnswer:
        received = exchange.received
        fault = self.script.pick(received.operation, received.meeting_id)
        exchange.struck(fault)
        latency = (
            self.settings.latency() if callable(self.settings.latency) else self.settings.latency
        )
        if fault is None:
            if latency:
                await asyncio.sleep(latency)
            return self._carry_out(exchange)
        await asyncio.sleep(latency + fault.delay)
        answer = self._carry_out(exchange) if fault.applies else exchange.refusal(500)
        await asyncio.sleep(fault.hold)
        if fault.applies_after is not None:
            self._carry_out_later(exchange, fault.applies_after)
        if fault.substitute is not None:
            return exchange.substitute(fault.substitute)
        return _renamed(answer, fault.shown_id) if fault.shown_id is not None else answer

    def _carry_out_later(self, exchange: FakeExchange, seconds: float) -> None:
        async def carry_out() -> None:
            await asyncio.sleep(seconds)
            self._carry_out(exchange)

        task = asyncio.get_running_loop().create_task(carry_out())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _carry_out(self, exchange: FakeExchange) -> FakeAnswer:
        received = exchange.received
        operation = received.operation
        if operation in LOGIN:
            now = asyncio.get_running_loop().time()
            return self.settings.oauth.answer(exchange.request, exchange.request_id, now)
        if refusal := self._refuse_operation(exchange):
            return refusal
        if operation == "listUsers":
            return self.company.list_users(received.query.get("cursor"), exchange.request_id)
        if received.headers.get("content-type", "").partition(";")[0] != "application/json":
            return exchange.refusal(415, "Unsupported media type")
        if not isinstance(received.json, dict):
            return exchange.refusal(400, "The request's body is not a JSON object")
        answer = self.company.answer(
            operation,
            meeting_id=received.meeting_id or "",
            body=received.json,
            request_id=exchange.request_id,
        )
        if answer.status == HTTPStatus.OK and operation in WRITES:
            meeting_id = received.meeting_id or json.loads(answer.body)["meetingId"]
            now = asyncio.get_running_loop().time()
            self.recording.applied(received, meeting_id=meeting_id, at=now)
        return answer

    def _refuse_operation(self, exchange: FakeExchange) -> FakeAnswer | None:
        received = exchange.received
        if received.operation == "unknown":
            if knows_path(below(received.path, self.prefix)):
                return exchange.refusal(405, "Method not allowed")
            return exchange.refusal(404, "Not found")
        if self.settings.limited_release and received.operation != "listUsers":
            return exchange.refusal(403, "This API is in limited release; ask your CSM")
        scope = SCOPES[received.operation]
        if self.settings.granted_scopes is not None and scope not in self.settings.granted_scopes:
            text = f"You don't have permission to use '{scope}' in your app."
            return exchange.refusal(401, text)
        return None


def _renamed(answer: FakeAnswer, meeting_id: str) -> FakeAnswer:
    payload = json.loads(answer.body)
    if "meetingId" not in payload:
        return answer
    return evolve(answer, body=json.dumps({**payload, "meetingId": meeting_id}).encode())
