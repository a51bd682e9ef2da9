"""Certificates for the bad server: good ones, and every kind that must not be trusted."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import trustme

HOST = "127.0.0.1"
TRUSTED = "trusted"


@cache
def authority(name: str) -> trustme.CA:
    """Return the certificate authority of that name."""
    return trustme.CA(organization_name=name)


def write_trusted(path: Path) -> None:
    """Write the certificates that the client trusts."""
    authority(TRUSTED).cert_pem.write_to_path(str(path))


@cache
def server_context(
    host: str = HOST, *, issuer: str = TRUSTED, expired: bool = False
) -> ssl.SSLContext:
    """Return the context of a server with a certificate for `host`."""
    until = datetime(2001, 1, 1, tzinfo=UTC) if expired else None
    certificate = authority(issuer).issue_cert(host, not_after=until)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
