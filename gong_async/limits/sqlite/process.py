"""Whether the process that wrote a row is still alive."""

from __future__ import annotations

import os
from pathlib import Path

_NAMESPACE = Path("/proc/self/ns/pid")


def namespace() -> str:
    """Return our pid namespace: a pid of another container's namespace means nothing here."""
    try:
        return str(_NAMESPACE.readlink())
    except OSError:
        return ""


def is_gone(pid: int, space: str) -> bool:
    """Return whether a process has certainly died."""
    if os.name != "posix" or space != namespace():
        return False
    try:
        os.kill(pid, 0)  # sends no signal, only checks
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
