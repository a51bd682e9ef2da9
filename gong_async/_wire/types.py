"""Endpoint, request, response, and the protocol of a call."""

from __future__ import annotations

import platform
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, Literal, Protocol, TypeVar
from urllib.parse import quote

import attrs
from attrs import Factory, define, field, frozen
from multidict import MultiMapping

from gong_async._distribution import __version__
from gong_async._json import from_json
from gong_async.errors import ConfigurationError, GongError, Phase, ValidationError

T = TypeVar("T")

DEFAULT_USER_AGENT = f"gong_async/{__version__} Python/{platform.python_version()}"

Effect = Literal["read", "replace", "delete", "create"]
"""What a call does at Gong; decides whether it may be retried when its response is lost. "create"
also means any change that may not be applied twice."""

_EFFECTS: dict[str, Effect] = {
    "GET": "read",
    "HEAD": "read",
    "DELETE": "delete",
    "POST": "create",
    # Some of Gong's PUTs add to what is there. One that replaces it says so with `effect`.
    "PUT": "create",
    "PATCH": "create",
}


def _default_effect(endpoint: Endpoint[Any]) -> Effect:
    return _EFFECTS.get(endpoint.method, "create")  # the validator rejects an unknown method


def _method(endpoint: object, attribute: object, value: str) -> None:
    if value not in _EFFECTS:
        raise ConfigurationError(f"method {value!r} is not one of {', '.join(_EFFECTS)}")


def _default_requires(endpoint: Endpoint[Any]) -> tuple[str, ...]:
    """Return `requestId`, which Gong's responses have, unless a field proves the response."""
    if endpoint.echo is not None:
        return ()
    fields = attrs.fields(endpoint.returns) if attrs.has(endpoint.returns) else ()
    has_required_field = any(one.init and one.default is attrs.NOTHING for one in fields)
    return () if has_required_field else ("requestId",)


def _echo(endpoint: Endpoint[Any], attribute: object, value: str | None) -> None:
    if value is not None and f"{{{value}}}" not in endpoint.route:
        problem = f"echo {value!r} is not a path variable of the route {endpoint.route}"
        raise ConfigurationError(problem)


def _requires(endpoint: object, attribute: object, value: tuple[str, ...]) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(f"requires must be a tuple of field names, got {value!r}")


def _route(endpoint: object, attribute: object, value: str) -> None:
    if not value.startswith("/") or "?" in value or "#" in value or not value.isprintable():
        problem = f"route {value!r} must start with '/' and have no query; use `query` for it"
        raise ConfigurationError(problem)


@frozen
class Endpoint(Generic[T]):
    """One operation of Gong's API.

    `method` and `route` are as in Gong's reference, for example `/v2/calls/{id}`;
    `returns` is the class of the result; `effect` is what a call does at Gong. By default a GET
    reads, a DELETE deletes, and any other call is not sent again if its response is lost; state the
    effect of a POST that only reads ("read"), and of a PUT that replaces the state ("replace").

    `echo` names the path variable that every response repeats at its top level; a response with
    another value, or without it, raises `ProtocolError`. `requires` names the fields that a 2xx
    response must have: by default `requestId`, or none if `echo` or a required field of `returns`
    already proves the response. With `()` and no `echo`, an empty body is a success of a
    replacement. A deletion may always return an empty body, or only `organizerEmail`.

    `hints` replaces the `hint` of the given error classes.
    """

    method: str = field(validator=_method)
    route: str = field(validator=_route)
    returns: type[T]
    effect: Effect = field(kw_only=True, default=Factory(_default_effect, takes_self=True))
    echo: str | None = field(default=None, kw_only=True, validator=_echo)
    requires: tuple[str, ...] = field(
        kw_only=True,
        default=Factory(_default_requires, takes_self=True),
        validator=_requires,
    )
    hints: Mapping[type[GongError], str] = field(factory=dict, kw_only=True, eq=False, repr=False)


_VARIABLE = re.compile(r"\{(\w+)\}")


@lru_cache
def route_parts(route: str) -> list[str]:
    """Split a route into literal texts and, at odd indexes, the names of its variables."""
    return _VARIABLE.split(route)


def path_segment(name: str, path: Mapping[str, str]) -> str:
    """Return the value of a path variable, quoted so that it stays one segment of the path."""
    if name not in path:
        raise ValidationError(name, "missing path variable of the route")
    value = path[name]
    if not value or value in {".", ".."} or not value.isprintable():
        raise ValidationError(name, "a path variable must be printable text other than . and ..")
    return quote(value, safe="")


@frozen
class Encoded:
    """A body that is already JSON; sent byte for byte."""

    json: bytes = field(repr=False)


@frozen
class Request:
    """One request; every attempt sends the same bytes."""

    method: str
    url: str = field(repr=False)  # its query may contain personal data
    route: str
    effect: Effect
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    path: Mapping[str, str] = field(factory=dict)
    """The variables of the route."""
    echo: str | None = None
    """The variable that the response must repeat."""
    requires: tuple[str, ...] = ()
    """Fields that the JSON of a success must have."""


@frozen
class Response:
    """One complete response: status, headers, and the body after decompression."""

    status: int
    headers: MultiMapping[str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> object:
        """Parse the body.

        Raises:
            ValueError: it is not JSON.
        """
        return from_json(self.body)


@define
class AttemptProgress:
    """The phase of the current attempt, updated by the transport."""

    phase: Phase = "queue"


BeforeSend = Callable[[], Awaitable[None]]
"""Called before each request of a call, which is sent when it returns, and not if it raises."""

AfterAttempt = Callable[[int | None, GongError | None], None]
"""Called after each request of a call, with its status and error; with neither if cancelled."""


class Call(Protocol):
    """The callable that resources use to make a call."""

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
        ...
