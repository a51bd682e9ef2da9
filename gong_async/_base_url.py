"""Where Gong is: the base URL, checked before anything is sent to it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, unquote, urlsplit

from gong_async.errors import ConfigurationError

DEFAULT_BASE_URL = "https://api.gong.io"
_PORTS = range(1, 65_536)
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)


def base_url(value: str) -> str:
    """Return `value` as a prefix for routes: no slash at the end, no pasted `/v2`.

    A path is kept, for gateways. Only `https` is taken; `http` for this machine alone.

    Raises:
        ConfigurationError: this cannot be, or must not be, a base URL.
    """
    if not value.isprintable() or " " in value:
        msg = "base_url holds a blank or a control character; copy it again"
        raise ConfigurationError(msg)
    split = _split(value)
    if split is None:
        msg = "base_url is not a URL; expected something like 'https://api.gong.io'"
        raise ConfigurationError(msg)
    parts, host, port = split
    if parts.username is not None or parts.password is not None:
        msg = "base_url holds a user name or password; give the credential as `auth`"
        raise ConfigurationError(msg)
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        msg = "base_url holds a query or a fragment; give the part before it"
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
        msg = f"base_url {value!r} has an unclear path"
        raise ConfigurationError(msg)
    return f"{parts.scheme}://{_ascii_host(host)}{f':{port}' if port else ''}{path}"


def _split(value: str) -> tuple[SplitResult, str | None, int | None] | None:
    try:
        parts = urlsplit(value)
        return parts, parts.hostname, parts.port
    except ValueError:  # it quotes what stands in the place of the port, which may be a password
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
        msg = "base_url has a host name that cannot be one; copy it again"
        raise ConfigurationError(msg)
    return name.removesuffix(".")  # legal in a URL, but in no certificate
