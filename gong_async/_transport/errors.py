"""Converts aiohttp's exceptions to exceptions of this package."""

from __future__ import annotations

import socket
import ssl

import aiohttp
from yarl import URL

from gong_async._wire import AttemptProgress, Request
from gong_async.errors import (
    APIConnectionError,
    APITimeoutError,
    Delivery,
    GongError,
    ProtocolError,
    TLSError,
)

_UNSENT_PHASES = frozenset({"connect", "tls"})
_TIMEOUTS: dict[str, str] = {
    "connect": "no connection to",
    "tls": "no TLS handshake with",
    "send": "the request was not taken by",
    "headers": "no answer from",
    "body": "no complete answer from",
}


class ConnectionLost(aiohttp.ClientError):
    """A connection error under a name that aiohttp does not know.

    aiohttp repeats PUT, DELETE and GET once by itself when it sees its own connection errors:
    past our limits, our count of attempts and our journal. This one it lets pass.
    """

    def __init__(self, original: Exception) -> None:
        super().__init__()
        self.original = original


class InvalidResponseError(aiohttp.ClientError):
    """A response that aiohttp's parser rejects."""


def explain(
    error: Exception, request: Request, *, timeout: float, progress: AttemptProgress
) -> GongError:
    """Return our exception for one of aiohttp's, with what is known of the delivery."""
    if isinstance(error, ConnectionLost):
        error = error.original
    phase = progress.phase
    unconnected = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    if unconnected and phase not in _UNSENT_PHASES:
        phase = "connect"
    unsent = phase in _UNSENT_PHASES
    delivery = Delivery.NOT_SENT if unsent else Delivery.MAYBE
    host = URL(request.url, encoded=True).authority
    match error:
        case ssl.SSLError() | aiohttp.ClientSSLError() if unsent:
            return TLSError(
                f"no trusted connection to {host}: {_reason(error)}",
                reason="connect",
                delivery=delivery,
            )
        case TimeoutError():
            return APITimeoutError(
                f"{_TIMEOUTS[phase]} {host} within {timeout:g} s",
                phase=phase,
                delivery=delivery,
            )
        case aiohttp.ClientConnectorDNSError():
            return APIConnectionError(
                f"the host name of {host} does not resolve: {_reason(error)}",
                reason="dns" if _is_unknown_name(error.os_error) else "connect",
                delivery=Delivery.NOT_SENT,
            )
        case aiohttp.ClientResponseError() | InvalidResponseError():
            # aiohttp gives these status 400, although no server sent one.
            return ProtocolError(f"the answer of {host} is not valid HTTP", flaw="not_http")
        case aiohttp.ClientPayloadError():
            return ProtocolError(f"the answer of {host} was cut short", flaw="cut")
        case ValueError():
            return ProtocolError(
                f"the request to {host} could not be written", flaw="unexpected", delivery=delivery
            )
        case _:
            lost = "could not be made" if unsent else "was lost"
            return APIConnectionError(
                f"the connection to {host} {lost}: {_reason(error)}",
                reason="connect" if unsent else "lost",
                delivery=delivery,
            )


def _is_unknown_name(error: OSError) -> bool:
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME


def _reason(error: Exception) -> str:
    """Return the message of the operating system or OpenSSL, which contains no secret."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            inner: BaseException = error.certificate_error
            return str(getattr(inner, "verify_message", "")) or "the certificate is not trusted"
        case aiohttp.ServerDisconnectedError():
            return "the server closed it without an answer"
        case aiohttp.ClientConnectorError():
            inner = error.os_error
        case _:
            inner = error
    words = getattr(inner, "reason", None) or getattr(inner, "strerror", None)
    return str(words) if words else type(inner).__name__
