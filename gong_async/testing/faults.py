"""The ways in which an answer can go wrong, each a value that can be scripted."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, Self

from attrs import field, frozen

Then = Literal["keep", "close", "reset"]
"""What becomes of the connection: kept open in silence, closed (FIN) or reset (RST)."""

_FORGED_BODY = b'{"requestId":"forged","meetingId":"666"}'
FORGED_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_FORGED_BODY), _FORGED_BODY)
)
"""A well-formed success for a meeting that was not requested."""

NOT_HTTP = b"SSH-2.0-OpenSSH_9.6\r\n"
"""What a server says that does not speak HTTP."""


@frozen(kw_only=True)
class Substitute:
    """An answer given in place of Gong's own.

    `body` None stands for Gong's error envelope with `errors` and the `extra` keys.
    """

    status: int
    errors: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(factory=dict[str, str], hash=False)
    headers: Mapping[str, str] = field(factory=dict[str, str], hash=False)
    body: bytes | None = None


@frozen(kw_only=True)
class Wire:
    """Bytes that are sent past the HTTP server.

    `data` None stands for the answer itself; `body_bytes` cuts its body short; `chunk` bytes are
    sent every `interval` seconds, 0 meaning all at once.
    """

    data: bytes | None = None
    body_bytes: int | None = None
    chunk: int = 0
    interval: float = 0.0
    then: Then = "close"


@frozen(kw_only=True)
class Fault:
    """One way for a request to go wrong; made by the class methods below.

    Attributes:
        name: As spelled on the command line.
        applies: Whether the operation takes effect.
        delay: Seconds of silence before it takes effect.
        hold: Seconds of silence after that, before the answer.
        applies_after: Seconds after the answer at which it takes effect.
        substitute: The answer given in place of Gong's own.
        shown_id: The meeting id that the answer names.
        size: Bytes to which the answer's body is blown up.
        afterwards: Bytes that follow the answer on the same connection, after `pause` seconds.
        wire: How the bytes are sent, where the HTTP server would not send them so.
    """

    name: str
    applies: bool = True
    delay: float = 0.0
    hold: float = 0.0
    applies_after: float | None = None
    substitute: Substitute | None = None
    shown_id: str | None = None
    size: int | None = None
    afterwards: bytes = field(default=b"", repr=False)
    pause: float = 0.05
    wire: Wire | None = None

    @classmethod
    def status(
        cls,
        code: int = 500,
        *,
        errors: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        apply: bool = False,
    ) -> Self:
        """Answer with a status: in Gong's envelope, or with a body of any kind."""
        headers = dict(headers or {})
        if content_type is not None:
            headers["Content-Type"] = content_type
        errors = errors or (f"Scripted answer {code}",)
        substitute = Substitute(status=code, errors=errors, headers=headers, body=body)
        return cls(name="status", applies=apply, substitute=substitute)

    @classmethod
    def rate_limited(cls, retry_after: str | None = "30") -> Self:
        """Answer 429 with any `Retry-After`, or with none."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        substitute = Substitute(status=429, errors=("Too many requests",), headers=headers)
        return cls(name="rate_limited", applies=False, substitute=substitute)

    @classmethod
    def conflict(
        cls,
        user_facing_error: str = "The consent page is switched off.",
        *,
        fix_url: str = "",
        help_url: str = "",
        errors: tuple[str, ...] = ("Provider disconnected",),
    ) -> Self:
        """Answer 409 with the keys that advise an administrator."""
        extra = {"userFacingError": user_facing_error, "fixUrl": fix_url, "helpUrl": help_url}
        substitute = Substitute(status=409, errors=errors, extra=extra)
        return cls(name="conflict", applies=False, substitute=substitute)

    @classmethod
    def html(cls, status: int = 502) -> Self:
        """Answer with a web page, as a proxy or a captive portal does."""
        page = f"<!doctype html><html><body><h1>{status}</h1><p>A gateway.</p></body></html>"
        headers = {"Content-Type": "text/html; charset=UTF-8"}
        substitute = Substitute(status=status, headers=headers, body=page.encode())
        return cls(name="html", applies=False, substitute=substitute)

    @classmethod
    def redirect(cls, to: str = "https://elsewhere.invalid/", *, status: int = 302) -> Self:
        """Send the caller to another place."""
        substitute = Substitute(status=status, headers={"Location": to}, body=b"")
        return cls(name="redirect", applies=False, substitute=substitute)

    @classmethod
    def empty(cls, status: int = 200) -> Self:
        """Answer without a body; a 2xx means that the operation took effect."""
        applies = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
        return cls(name="empty", applies=applies, substitute=Substitute(status=status, body=b""))

    @classmethod
    def wrong_id(cls, meeting_id: str = "1") -> Self:
        """Carry out the operation, and answer as if for another meeting."""
        return cls(name="wrong_id", shown_id=meeting_id)

    @classmethod
    def oversized(cls, size: int = 64 * 1024 * 1024) -> Self:
        """Carry out the operation, and stream a valid JSON answer of so many bytes."""
        return cls(name="oversized", size=size)

    @classmethod
    def latency(cls, seconds: float = 1.0) -> Self:
        """Work slowly: take effect and answer only after a while."""
        return cls(name="latency", delay=seconds)

    @classmethod
    def stall(cls, seconds: float | None = None, *, apply: bool = False) -> Self:
        """Say nothing for so many seconds, then answer; with None, never.

        With `apply` the operation takes effect on arrival. Without, it takes effect just before the
        late answer, even when the caller has gone by then; if there is no answer, never.
        """
        if seconds is None:
            return cls(name="stall", applies=apply, wire=Wire(data=b"", then="keep"))
        if apply:
            return cls(name="stall", hold=seconds)
        return cls(name="stall", delay=seconds)

    @classmethod
    def applied_late(cls, seconds: float = 1.0, *, status: int = 504) -> Self:
        """Answer with an error at once; take effect only later, overtaking any new try."""
        substitute = Substitute(status=status, errors=("Gateway timeout",))
        return cls(name="applied_late", applies=False, applies_after=seconds, substitute=substitute)

    @classmethod
    def drop_before(cls) -> Self:
        """Close the connection without an answer; nothing takes effect."""
        return cls(name="drop_before", applies=False, wire=Wire(data=b""))

    @classmethod
    def drop_after(cls) -> Self:
        """Carry out the operation, then close the connection without an answer."""
        return cls(name="drop_after", wire=Wire(data=b""))

    @classmethod
    def reset_before(cls) -> Self:
        """Reset the connection without an answer; nothing takes effect."""
        return cls(name="reset_before", applies=False, wire=Wire(data=b"", then="reset"))

    @classmethod
    def reset_after(cls) -> Self:
        """Carry out the operation, then reset the connection without an answer."""
        return cls(name="reset_after", wire=Wire(data=b"", then="reset"))

    @classmethod
    def slow_drip(cls, bytes_per_chunk: int = 1, interval: float = 0.05) -> Self:
        """Send the answer, from its first byte on, a few bytes at a time; then close."""
        return cls(name="slow_drip", wire=Wire(chunk=bytes_per_chunk, interval=interval))

    @classmethod
    def truncate(cls, after: int = 10) -> Self:
        """Send only so many bytes of the promised body, then close."""
        return cls(name="truncate", wire=Wire(body_bytes=after))

    @classmethod
    def raw(cls, data: bytes = NOT_HTTP, *, apply: bool = False, then: Then = "close") -> Self:
        """Send any bytes in place of an answer."""
        return cls(name="raw", applies=apply, wire=Wire(data=data, then=then))

    @classmethod
    def surplus(cls, second_response: bytes = FORGED_RESPONSE, *, pause: float = 0.05) -> Self:
        """Answer well, and after a moment send an unsolicited second response."""
        return cls(name="surplus", afterwards=second_response, pause=pause)
