"""Validation of the base URL, before anything is sent to it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, unquote, urlsplit

from gong_async.errors import ConfigurationError

DEFAULT_BASE_URL = "https://api.gong.io"
_PORTS = range(1, 65_536)
_HTTPS = 443
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)


def base_url(value: str) -> str:
    """Return `value` as a prefix for routes: no slash at the end, no pasted `/v2`.

    A path is kept, for gateways. The scheme must be `https`; `http` is allowed for this machine.

    Raises:
        ConfigurationError: it is not a valid or not an allowed base URL.
    """
    if not value.isprintable() or " " in value:
        msg = "base_url contains a blank or a control character; copy it again"
        raise ConfigurationError(msg)
    split = _split(value)
    if split is None:
        msg = "base_url is not a URL; expected something like 'https://api.gong.io'"
        raise ConfigurationError(msg)
    parts, host, port = split
    if parts.username is not None or parts.password is not None:
        msg = "base_url contains a user name or password; pass the credential as `auth`"
        raise ConfigurationError(msg)
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        msg = "base_url contains a query or a fragment; pass the part before it"
        raise ConfigurationError(msg)
    if not host or (port is not None and port not in _PORTS):
        msg = f"base_url {value!r} has no usable host or port"
        raise ConfigurationError(msg)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        msg = f"base_url {value!r} must begin with https:// (http:// only for this machine)"
        raise ConfigurationError(msg)
    path = parts.path.rstrip("/").removesuffix("/v2").rstrip("/")
    steps = unquote(path).split("/")[1:]
    if _PATH.fullmatch(path) is None or any(step in {"", ".", ".."} for step in steps):
        msg = f"base_url {value!r} has an invalid path"
        raise ConfigurationError(msg)
    return f"{parts.scheme}://{_ascii_host(host)}{f':{port}' if port else ''}{path}"


def customer_base_url(value: str, *, domains: Iterable[str], loopback: bool = False) -> str:
    """Return a base URL that came with a token, if it can be trusted.

    It comes from the network and decides where credentials are sent: it must be `https` on one of
    `domains` or a subdomain. `loopback` also allows addresses of this machine.

    Raises:
        ValueError: it cannot be trusted; the message says why, without the value.
    """
    found = _split(value)
    if found is None:
        raise ValueError("is not a URL")
    parts, host, port = found[0], found[1] or "", found[2]
    if problem := _disguise(value, parts):
        raise ValueError(problem)
    if loopback and _is_loopback(host) and parts.scheme in {"http", "https"}:
        return base_url(value)
    name = host.removesuffix(".")
    if parts.scheme != "https":
        problem = "does not begin with https://"
    elif port not in {None, _HTTPS} or parts.netloc.endswith(":"):
        problem = "names a port"
    elif _HOST.fullmatch(name) is None or name.endswith("."):
        problem = "has a host name that cannot be one"
    elif not any(_lies_in(name, domain) for domain in domains):
        problem = "is not on a domain of Gong's"
    if problem:
        raise ValueError(problem)
    return f"https://{name}"


def _disguise(value: str, parts: SplitResult) -> str:
    """Return which part of a URL other than scheme and host must not be there."""
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        return "holds characters that no such URL has"
    if "@" in parts.netloc or "%" in parts.netloc:
        return "hides its host"
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        return "holds a query or a fragment"
    return "has a path" if parts.path.rstrip("/") not in {"", "/v2"} else ""


def _lies_in(name: str, domain: str) -> bool:
    own = domain.split(".")
    return name.split(".")[-len(own) :] == own


def _split(value: str) -> tuple[SplitResult, str | None, int | None] | None:
    try:
        parts = urlsplit(value)
        return parts, parts.hostname, parts.port
    except ValueError:  # its message quotes the port, which may be part of a password
        return None


def origin(checked: str) -> str:
    """Return scheme, host and port of a URL that `base_url` has checked."""
    parts = urlsplit(checked)
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ascii_host(host: str) -> str:
    if ":" in host:
        return f"[{host}]"
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if _HOST.fullmatch(name) is None:
        msg = "base_url has an invalid host name; copy it again"
        raise ConfigurationError(msg)
    return name.removesuffix(".")  # legal in a URL, but in no certificate
