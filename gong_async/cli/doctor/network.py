"""`gong-async doctor`: checks DNS, connection and certificate of the host."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from gong_async._transport.connector import tls_context
from gong_async.cli.doctor.environment import PROXIES, SETTINGS_PAGE, Target
from gong_async.cli.doctor.findings import Diagnosis, note, ok, problem

CONNECT_SECONDS = 10.0

_DAY = 86_400.0
_FEW_DAYS = 7
# Verification codes of OpenSSL.
_NOT_VALID_NOW = frozenset({9, 10})
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
_OTHER_HOST = frozenset({62, 64})

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
"""Public certificate authorities. Other issuers usually belong to a company's proxy."""


def check_network(target: Target) -> Iterator[Diagnosis]:
    """Resolve, connect and do the TLS handshake; sends no request, stops at the first failure."""
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
        do = "ask your network administrator whether calls to Gong go through an internal machine"
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
    """Diagnose a trusted certificate."""
    ends = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = int((ends - time.time()) / _DAY)
    issuer = dict(part for level in certificate["issuer"] for part in level)
    organization = issuer.get("organizationName", "an unnamed authority")
    seen = f"{version}, certificate by {organization}, {days} days left"
    if target.is_gong and organization not in _ISSUERS:
        do = (
            "ask your network administrator: it may be a proxy that decrypts connections, and "
            "reads credentials and meetings"
        )
        return note("tls", f"{seen}; not one of the usual public authorities", do)
    if days < _FEW_DAYS:
        return note("tls", seen, "inform the operator of this host, unless renewal is automatic")
    return ok("tls", seen)


def _how_to_trust(code: int) -> str:
    if code in _NOT_VALID_NOW:
        return "check this machine's clock; if it is right, the certificate is not valid now"
    if code in _OTHER_HOST:
        return (
            f"check the host of the base URL: the certificate names another server; {SETTINGS_PAGE}"
        )
    if code in _UNKNOWN_ISSUER:
        return (
            "update the machine's CA certificates; if your company's proxy decrypts connections, "
            "get its CA certificate and set SSL_CERT_FILE to its path"
        )
    return "look for a proxy between this machine and Gong, and update its CA certificates"


def _how_to_get_out() -> str:
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in PROXIES):
        return "allow direct connections in the firewall: the proxy in the environment is not used"
    return "check the network, and whether a firewall blocks the connection"


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no response within {CONNECT_SECONDS:g} s"
    return str(getattr(error, "reason", None) or error.strerror or type(error).__name__)
