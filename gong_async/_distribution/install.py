"""The command that adds an extra to this installation, for the tool that made it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "gong-async"


def install_command(extra: str) -> str:
    """Return the command, quoted for a shell."""
    try:
        distribution: metadata.Distribution | None = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        distribution = None  # imported from a folder that was not installed
    source = _source(distribution, extra)
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        return _quoted(["pipx", "install", "--force", *source])
    if (prefix / "uv-receipt.toml").exists():
        return _quoted(["uv", "tool", "install", "--force", *source])
    if any(part.startswith("archive-v") for part in prefix.parts):  # of uv's cache
        return _quoted(["uvx", "--from", source[-1], NAME])
    if distribution is not None and _read(distribution, "INSTALLER") == "conda":
        return _quoted(["conda", "install", *_requirements(distribution, extra)])
    if importlib.util.find_spec("pip") is not None:
        return _quoted([sys.executable, "-m", "pip", "install", *_override(), *source])
    if "uv = " in _configuration(prefix):
        return _quoted(["uv", "pip", "install", "--python", sys.executable, *source])
    first = _quoted([sys.executable, "-m", "ensurepip"])
    return f"{first} && {_quoted([sys.executable, '-m', 'pip', 'install', *source])}"


def _source(distribution: metadata.Distribution | None, extra: str) -> list[str]:
    """Return where the package came from, with the extra, as arguments of pip and the like."""
    if distribution is None:
        folder = Path(__file__).parents[2]
        is_checkout = (folder / "pyproject.toml").exists()
        return ["--editable", f"{folder}[{extra}]"] if is_checkout else [f"{NAME}[{extra}]"]
    # PEP 610; without this file it came from an index.
    origin: dict[str, Any] = json.loads(_read(distribution, "direct_url.json") or "{}")
    url = origin.get("url", "")
    if not url:
        return [f"{NAME}[{extra}]"]
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return [f"{NAME}[{extra}] @ {vcs['vcs']}+{url}@{vcs['commit_id']}"]
    if not url.startswith("file:"):
        return [f"{NAME}[{extra}] @ {url}"]
    path = url2pathname(urlsplit(url).path)
    editable = origin.get("dir_info", {}).get("editable", False)
    return ["--editable"] * editable + [f"{path}[{extra}]"]


def _requirements(distribution: metadata.Distribution, extra: str) -> list[str]:
    """Return the names of the packages of an extra."""
    wanted = re.compile(rf"""([\w.-]+).*;.*\bextra == ["']{extra}["']""")
    return [found[1] for one in distribution.requires or () if (found := wanted.match(one))]


def _override() -> Sequence[str]:
    """Return the pip option for externally managed environments, as on Debian (PEP 668)."""
    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    own = sys.prefix != sys.base_prefix or not marker.exists()
    return () if own else ("--break-system-packages",)


def _configuration(prefix: Path) -> str:
    try:
        return (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ""


def _read(distribution: metadata.Distribution, name: str) -> str:
    return (distribution.read_text(name) or "").strip()


def _quoted(words: Sequence[str]) -> str:
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
