"""What travels: an operation's description, a request, an answer, and the protocol of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Literal, Protocol, TypeVar

import attrs
from attrs import Factory, define, field, frozen
from multidict import MultiMapping

from gong_async.errors import ConfigurationError, GongError, Phase

T = TypeVar("T")

Effect = Literal["read", "replace", "delete", "create"]
"""What a call does at Gong, which decides whether it may be repeated when its answer is lost."""

_EFFECTS: dict[str, Effect] = {
    "GET": "read",
    "HEAD": "read",
    "PUT": "replace",
    "DELETE": "delete",
    "POST": "create",
    "PATCH": "create",
}


def _default_effect(endpoint: Endpoint[Any]) -> Effect:
    # PATCH counts as "create": whether it may be applied twice, nobody says.
    return _EFFECTS.get(endpoint.method, "create")  # a wrong method is refused right after


def _method(endpoint: object, attribute: object, value: str) -> None:
    if value not in _EFFECTS:
        raise ConfigurationError(f"method {value!r} is not one of {', '.join(_EFFECTS)}")


def _default_requires(endpoint: Endpoint[Any]) -> tuple[str, ...]:
    """Return `requestId`, which Gong's answers have, where nothing else proves an answer."""
    if endpoint.echo is not None:
        return ()
    fields = attrs.fields(endpoint.returns) if attrs.has(endpoint.returns) else ()
    has_required_field = any(one.init and one.default is attrs.NOTHING for one in fields)
    return () if has_required_field else ("requestId",)


def _echo(endpoint: Endpoint[Any], attribute: object, value: str | None) -> None:
    if value is not None and f"{{{value}}}" not in endpoint.route:
        problem = f"echo {value!r} is no path variable of the route {endpoint.route}"
        raise ConfigurationError(problem)


def _requires(endpoint: object, attribute: object, value: tuple[str, ...]) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(f"requires must be a tuple of field names, got {value!r}")


def _route(endpoint: object, attribute: object, value: str) -> None:
    if not value.startswith("/") or "?" in value or "#" in value or not value.isprintable():
        problem = f"route {value!r} must start with '/' and hold no query; see the `query` argument"
        raise ConfigurationError(problem)


@frozen
class Endpoint(Generic[T]):
    """One operation of Gong's API.

    `method` and `route` are as in Gong's reference, `/v2/meetings/{meetingId}` for example;
    `returns` is the class of the answer; `effect` says what a call does at Gong (taken from the
    method unless given: a POST that only reads should say "read").

    `echo` names the path variable that every answer repeats under the same name at its top level;
    an answer that repeats another value, or none, is refused. `requires` names the fields without
    which a 2xx is no success: `requestId`, unless `echo` or a field of `returns` without a default
    proves the answer already. `()` without `echo` also lets an
    answer without a body pass for the success of a replacement. A deletion may always be answered
    with no body, or with `organizerEmail` alone.

    `hints` holds advice for single classes of errors, in place of their own `hint`.
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


@frozen
class Encoded:
    """A body that is JSON already, and is sent byte for byte."""

    json: bytes = field(repr=False)


@frozen
class Request:
    """One request, ready to be sent as often as needed: the bytes never change."""

    method: str
    url: str = field(repr=False)  # may hold a query with personal data
    route: str
    effect: Effect
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    meeting_id: str | None = None
    echo: str | None = None
    """The value of the path variable that the answer repeats."""
    requires: tuple[str, ...] = ()
    """What the JSON of a success must hold."""


@frozen
class Response:
    """One complete answer: status, headers, and the body after decompression."""

    status: int
    headers: MultiMapping[str] = field(repr=False)
    body: bytes = field(repr=False)


@define
class AttemptProgress:
    """How far the current attempt has come; the transport writes it while it goes."""

    phase: Phase = "queue"


class AttemptObserver(Protocol):
    """Is told of every request before it leaves and after it has come to its end."""

    async def about_to_send(self, meeting_id: str | None) -> None:
        """Take note of a request; it leaves when this returns, and not at all if this raises."""
        ...

    def attempt_ended(
        self, meeting_id: str | None, status: int | None, error: GongError | None
    ) -> None:
        """Take note of how it ended; without status and error it was cut off."""
        ...


class Call(Protocol):
    """What a resource needs to do its work."""

    async def __call__(
        self,
        endpoint: Endpoint[T],
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str | int | float | bool] | None = None,
        body: object = None,
    ) -> T:
        """Make one call and return its typed answer."""
        ...
