"""`gong-async doctor`: checks Python and packages."""

from __future__ import annotations

import os
import platform
import re
import ssl
import sys
from collections.abc import Iterator
from importlib import metadata
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gong_async._distribution import __version__
from gong_async.cli.findings import Diagnosis, note, ok, problem

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
        from gong_async._transport.http1 import facts  # noqa: PLC0415

        loaded = facts()
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
    yield f"gong-async {__version__}"
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
