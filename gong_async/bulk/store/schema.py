"""The schemas of a job's journal and of the ledger of all of a user's jobs, and the statements."""

from __future__ import annotations

from functools import partial

from gong_async._storage.database import Schema
from gong_async._storage.package_data import package_queries, package_text
from gong_async._storage.private_file import Purpose
from gong_async.errors import JournalError

_FOREIGN = partial(JournalError, reason="format")
_ELSEWHERE = "give another path, or set GONG_STATE_DIR to a directory of yours on a local disk"

JOURNAL = Schema(
    Purpose("the journal", JournalError, _ELSEWHERE, foreign=_FOREIGN),
    application=0x474F4E4A,
    version=2,
    tables=package_text(__package__, "journal.sql"),
    migrations={1: package_text(__package__, "journal_from_1.sql")},
    remedy="restore it from a backup; whatever was sent since then may be sent again",
    synchronous="FULL",
)

SQL = package_queries(__package__, "queries.sql")
"""The statements of `queries.sql`, by name."""

LEDGER = Schema(
    Purpose("the ledger of bulk jobs", JournalError, _ELSEWHERE, foreign=_FOREIGN),
    application=0x474F4E4C,
    version=2,
    tables=package_text(__package__, "ledger.sql"),
    migrations={1: package_text(__package__, "ledger_from_1.sql")},
    remedy="move it away; the next jobs then know nothing of what was sent before",
    synchronous="FULL",
)
