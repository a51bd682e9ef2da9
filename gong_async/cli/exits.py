"""The exit codes of `gong-async`."""

from __future__ import annotations

from enum import IntEnum

EPILOG = """\b
Exit codes:
  0   all done
  1   something failed, is in doubt, or was set aside
  2   wrong usage, invalid input or configuration; nothing was sent
  75  stopped before the end; resume it, or run it again

Credentials are read from the environment only: GONG_ACCESS_KEY and
GONG_ACCESS_KEY_SECRET, or GONG_BEARER_TOKEN; and GONG_BASE_URL. Without
them, the login of `gong-async login` is used; it needs
GONG_OAUTH_CLIENT_ID and GONG_OAUTH_CLIENT_SECRET."""


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    RESUMABLE = 75
    """EX_TEMPFAIL of sysexits.h: not now, but later."""
