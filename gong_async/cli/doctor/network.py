"""The part of `gong-async doctor` that looks at the way to the host: name, port, certificate."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from gong_async._transport.tls import tls_context
from gong_async.cli.doctor.environment import PROXIES, SETTINGS_PAGE, Target
from gong_async.cli.findings import Diagnosis, note, ok, problem

CONNECT_SECONDS = 10.0

_DAY = 86_400.0
_FEW_DAYS = 7
_NO_TIME_TO_TRUST = frozenset({9, 10})
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
_OTHER_HOST = frozenset({62, 64})
"""X.509 verification codes of OpenSSL: wrong by the clock, no known issuer, another name."""

_ISSUERS = frozenset(
    [
        "Amazon",
        "Cloudflare, Inc.",
        "CLOUDFLARE, INC.",
        "DigiCert Inc",
        "DigiCert, Inc.",
        "Entrust, Inc.",
        "GlobalSign nv-sa",
        "GoDaddy.com, Inc.",
        "Google Trust Services",
        "Google Trust Services LLC",
        "IdenTrust",
        "Internet Security Research Group",
        "Let's Encrypt",
        "Microsoft Corporation",
        "SSL Corporation",
        "Sectigo Limited",
    ]
)
"""Who gives certificates to public sites. Others are mostly a company's own proxy."""


def check_network(target: Target) -> Iterator[Diagnosis]:
    """Resolve, connect and shake hands; no request is sent, and the first failure ends it."""
    name = _resolve(target)
    yield name
    if name.level == "problem":
        return
    began = time.monotonic()
    try:
        connection = socket.create_connection((target.host, target.port), CONNECT_SECONDS)
    except OSError as error:
        seen = f"no connection to {target.host} port {target.port}: {_words(error)}"
        yield problem("connection", seen, _how_to_get_out())
        return
    with closing(connection):
        took = (time.monotonic() - began) * 1000
        yield ok("connection", f"{target.host} port {target.port}, in {took:.0f} ms")
        if target.tls:
            yield _shake_hands(connection, target)


def _resolve(target: Target) -> Diagnosis:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        seen = f"{target.host} does not resolve: {_words(error)}"
        do = f"check the name ({SETTINGS_PAGE}), the network, and the machine's DNS"
        return problem("dns", seen, do)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    seen = f"{target.host} is {', '.join(addresses[:4])}"
    if target.is_gong and any(ipaddress.ip_address(one).is_private for one in addresses):
        do = "ask whoever runs your network whether calls to Gong shall pass a machine of yours"
        return note("dns", f"{seen}: a private address, not one of Gong's", do)
    return ok("dns", seen)


def _shake_hands(connection: socket.socket, target: Target) -> Diagnosis:
    try:
        with tls_context().wrap_socket(connection, server_hostname=target.host) as trusted:
            return advise_certificate(trusted.getpeercert() or {}, target, trusted.version() or "")
    except ssl.SSLCertVerificationError as error:
        seen = f"the certificate is not trusted: {error.verify_message}"
        return problem("tls", seen, _how_to_trust(error.verify_code))
    except OSError as error:
        seen = f"no TLS handshake with {target.host} port {target.port}: {_words(error)}"
        do = f"check host and port of the base URL; {SETTINGS_PAGE}. {_how_to_get_out()}"
        return problem("tls", seen, do)


def advise_certificate(certificate: dict[str, Any], target: Target, version: str) -> Diagnosis:
    """Say what is to be thought of a certificate that is trusted."""
    ends = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = int((ends - time.time()) / _DAY)
    issuer = dict(part for level in certificate["issuer"] for part in level)
    organization = issuer.get("organizationName", "an authority without a name")
    seen = f"{version}, certificate by {organization}, {days} days left"
    if target.is_gong and organization not in _ISSUERS:
        do = (
            "ask whoever runs your network: it looks like a proxy that opens connections, and "
            "reads credentials and meetings"
        )
        return note("tls", f"{seen}; not one of the usual public authorities", do)
    if days < _FEW_DAYS:
        return note("tls", seen, "tell whoever runs this host, unless it is renewed by itself")
    return ok("tls", seen)


def _how_to_trust(code: int) -> str:
    if code in _NO_TIME_TO_TRUST:
        return "check this machine's clock first; if it is right, the host's certificate is not"
    if code in _OTHER_HOST:
        return f"check the host of the base URL, it is another server's; {SETTINGS_PAGE}"
    if code in _UNKNOWN_ISSUER:
        return (
            "update the machine's CA certificates; if your company's proxy opens connections, "
            "ask for its CA certificate and name it in SSL_CERT_FILE"
        )
    return "look for a proxy between this machine and Gong, and update its CA certificates"


def _how_to_get_out() -> str:
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in PROXIES):
        return (
            "let the firewall pass direct connections: the proxy that the environment names is "
            "not used"
        )
    return "check the network, and whether a firewall lets this machine connect there"


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:g} s"
    return str(getattr(error, "reason", None) or error.strerror or type(error).__name__)
