"""`gong-async doctor`: checks Python, packages, environment variables, base URL and proxies."""

from __future__ import annotations

import os
import platform
import re
import ssl
import sys
from collections.abc import Iterator
from importlib import metadata
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import frozen

from gong_async._redact import Secret
from gong_async._settings.base_url import DEFAULT_BASE_URL, base_url
from gong_async.cli.doctor.findings import Diagnosis, note, ok, problem
from gong_async.errors import ConfigurationError

_OLDEST_PYTHON = (3, 11)
_OLDEST_OPENSSL = (3, 0)
_SAFE = (3, 14, 3)
_SOUND = (3, 14, 4)
_UNKNOWN = (4,)
_ZONE = "Europe/Berlin"
_UPDATE = "run `pip install --upgrade 'aiohttp>=3.14.4,<4'`"


def check_installation() -> Iterator[Diagnosis]:
    """Check Python, OpenSSL and packages other than aiohttp."""
    python, openssl = platform.python_version(), ssl.OPENSSL_VERSION
    seen = f"{platform.python_implementation()} {python}, {openssl}"
    if sys.version_info < _OLDEST_PYTHON:
        yield problem("python", seen, "use Python 3.11 or newer")
    elif ssl.OPENSSL_VERSION_INFO < _OLDEST_OPENSSL:
        yield note(
            "python", seen, "use a Python with OpenSSL 3; older versions get no security fixes"
        )
    else:
        yield ok("python", seen)
    yield ok("packages", ", ".join(_packages()))
    try:
        ZoneInfo.no_cache(_ZONE)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        seen = f'no time zone database: ZoneInfo("{_ZONE}") fails'
        yield note("time zones", seen, "run `pip install tzdata`, or use times with an offset")


def check_aiohttp() -> Iterator[Diagnosis]:
    """Check aiohttp: its version and its parser."""
    try:
        # Not at the top: the doctor must run even if aiohttp is missing or too old to import.
        from gong_async._transport.http1 import aiohttp_info  # noqa: PLC0415

        loaded = aiohttp_info()
    except Exception as error:  # noqa: BLE001 - old versions fail in various ways
        version = _version("aiohttp") or "no version"
        yield problem("aiohttp", f"{version}, not usable: {type(error).__name__}: {error}", _UPDATE)
        return
    yield from advise_aiohttp(loaded.version, compiled=loaded.compiled)


def advise_aiohttp(version: str, *, compiled: bool) -> Iterator[Diagnosis]:
    """Diagnose a version and its parser."""
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if numbers < _SAFE:
        yield problem("aiohttp", f"{version}: a malformed response can crash the process", _UPDATE)
    elif numbers < _SOUND:
        yield note("aiohttp", f"{version} has known vulnerabilities, fixed in 3.14.4", _UPDATE)
    elif numbers >= _UNKNOWN:
        yield note("aiohttp", f"{version} is newer than the supported versions", _UPDATE)
    else:
        yield ok("aiohttp", version)
    if compiled:
        yield ok("parser", "compiled")
        return
    switched_off = "AIOHTTP_NO_EXTENSIONS" in os.environ
    yield note(
        "parser",
        "pure Python: slower, and less strict with malformed responses",
        "unset AIOHTTP_NO_EXTENSIONS"
        if switched_off
        else "install a compiled wheel of aiohttp for this platform",
    )


def _packages() -> Iterator[str]:
    yield f"gong-async {_version('gong-async') or 'not installed'}"
    try:
        required = metadata.requires("gong-async") or ()
    except metadata.PackageNotFoundError:
        return  # run from a folder without installation
    for name in dict.fromkeys(re.split(r"[^\w.-]", one)[0] for one in required):
        if version := _version(name):
            yield f"{name} {version}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


SETTINGS_PAGE = "Gong's API settings page shows yours"

_API = "api.gong.io"
_WEBSITE = "gong.io"
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD")
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@frozen(kw_only=True)
class Target:
    """The API that calls go to."""

    url: str
    host: str
    port: int
    reported_by: str | None
    """Source of the base URL; None for the default."""

    @property
    def tls(self) -> bool:
        """Whether it uses TLS."""
        return self.url.startswith("https:")

    @property
    def is_gong(self) -> bool:
        """Whether the host belongs to Gong's API."""
        return self.host == _API or self.host.endswith(f".{_API}")


def secrets() -> list[Secret]:
    """Return all credentials in the environment, used or not."""
    names = [name for name in _of_gong() if _SECRET.search(name)]
    return [Secret(os.environ[name]) for name in names]


def check_variables() -> Iterator[Diagnosis]:
    """Report the names of set variables, never their values."""
    yield ok("variables", f"set: {', '.join(_of_gong())}" if _of_gong() else "none set")


def find_target(option: str | None, *, login: str | None) -> tuple[Target | None, Diagnosis]:
    """Return the target of calls, if valid, with a diagnosis.

    Args:
        option: the base URL given on the command line.
        login: the base URL stored with the login.
    """
    sources = {
        "--base-url": option,
        "GONG_BASE_URL": os.environ.get("GONG_BASE_URL"),
        "the login": login,
    }
    reported_by = next((name for name, value in sources.items() if value), None)
    try:
        url = base_url((reported_by and sources[reported_by]) or DEFAULT_BASE_URL)
    except ConfigurationError as error:
        return None, problem("base URL", str(error), f"correct {reported_by}: {SETTINGS_PAGE}")
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = Target(url=url, host=parts.hostname or "", port=port, reported_by=reported_by)
    return target, _next_step(target, parts.path)


def check_proxies() -> Iterator[Diagnosis]:
    """Check proxy variables, and variables that change the trusted certificates."""
    found = [name for name in PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    if found:
        are = "are" if len(found) > 1 else "is"
        yield note(
            "proxy",
            f"{', '.join(found)} {are} set, but not used: calls connect to Gong directly",
            "nothing if that works; to use a proxy in a program, pass "
            "`session=aiohttp.ClientSession(proxy=...)` to GongClient; commands never use one",
        )
    else:
        yield ok("proxy", "none in the environment")
    trust = [name for name in _TRUST if os.environ.get(name)]
    if trust:
        yield note(
            "trust",
            f"{', '.join(trust)} set: certificates are checked against these",
            "nothing if intended; else unset it",
        )


def _next_step(target: Target, path: str) -> Diagnosis:
    reported = f"{target.url}, from {target.reported_by}"
    if target.reported_by is None:
        return ok("base URL", f"{target.url}, the default")
    if target.is_gong and not path:
        return ok("base URL", reported)
    if target.is_gong:
        do = f"remove the path, unless a gateway needs it: {SETTINGS_PAGE}"
        return note("base URL", f"{reported}: it has a path, but Gong's API has none", do)
    if target.host == _WEBSITE or target.host.endswith(f".{_WEBSITE}"):
        do = f"set the one of the API, such as https://api.gong.io: {SETTINGS_PAGE}"
        return problem("base URL", f"{reported}: Gong's website, not its API", do)
    where = "this machine" if target.host in _HERE else "not a host of Gong's API"
    do = f"nothing if it is a fake Gong, or a gateway trusted with the credential; {SETTINGS_PAGE}"
    return note("base URL", f"{reported}: {where}", do)


def _of_gong() -> list[str]:
    return sorted(name for name in os.environ if name.startswith("GONG_") and os.environ[name])
