"""The exit codes of `gong-async`."""

from __future__ import annotations

from enum import IntEnum

EPILOG = """\b
Exit codes:
  0   everything succeeded
  1   something failed, is in doubt, or was skipped for its organizer
  2   usage error, invalid input or configuration; nothing was sent
  75  stopped before the end; resume the job, or run the command again

Credentials are read from the environment only: GONG_ACCESS_KEY and
GONG_ACCESS_KEY_SECRET, or GONG_BEARER_TOKEN. Without them, commands use
the login that `gong-async login` stores, with GONG_OAUTH_CLIENT_ID and
GONG_OAUTH_CLIENT_SECRET. GONG_BASE_URL sets the base URL."""


class Exit(IntEnum):
    """Exit code of a command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    RESUMABLE = 75
    """EX_TEMPFAIL of sysexits.h: a temporary failure."""
