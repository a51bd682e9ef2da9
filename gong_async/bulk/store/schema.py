"""What stands in the files of bulk jobs: one journal a job, one ledger for all of a user's jobs."""

from __future__ import annotations

from functools import partial

from gong_async._storage.database import Schema
from gong_async._storage.private_file import Purpose
from gong_async.errors import JournalError

_FOREIGN = partial(JournalError, reason="format")
_ELSEWHERE = "give another path, or set GONG_STATE_DIR to a directory of yours on a local disk"

JOURNAL = Schema(
    Purpose("the journal", JournalError, _ELSEWHERE, foreign=_FOREIGN),
    application=0x474F4E4A,
    version=1,
    tables="""
CREATE TABLE job (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE organizer (
    number INTEGER PRIMARY KEY,
    email TEXT UNIQUE,              -- NULL after a purge
    checked INTEGER NOT NULL DEFAULT 0,
    stopped TEXT,                   -- Gong's words on why its meetings cannot be updated
    fix_url TEXT
);
CREATE TABLE item (
    place INTEGER PRIMARY KEY,      -- in the source, from 0
    line INTEGER,                   -- of the file that it came from
    meeting_id TEXT NOT NULL,
    organizer INTEGER NOT NULL REFERENCES organizer,
    digest BLOB NOT NULL,           -- SHA-256 of the body
    state TEXT NOT NULL,
    reason TEXT,                    -- why it was skipped
    run INTEGER,                    -- that last worked on it
    attempts INTEGER NOT NULL DEFAULT 0,
    status INTEGER,
    request_id TEXT,
    error TEXT,
    message TEXT,
    errors TEXT,                    -- Gong's words, as a JSON list
    waited REAL,
    on_wire REAL,
    sent_at REAL,                   -- seconds since the epoch
    ended_at REAL
);
CREATE TABLE content (place INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE before (               -- what Gong had acknowledged before this job
    meeting_id TEXT PRIMARY KEY,
    body BLOB
) WITHOUT ROWID;
CREATE TABLE attempt (              -- one row for each request, written before it is sent
    place INTEGER NOT NULL,
    number INTEGER NOT NULL,
    run INTEGER NOT NULL,
    sent_at REAL NOT NULL,
    ended_at REAL,
    status INTEGER,
    request_id TEXT,
    error TEXT,
    PRIMARY KEY (place, number)
) WITHOUT ROWID;
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    began_at REAL NOT NULL,
    ended_at REAL,
    finished INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE tally (                -- items by state, skipped ones by their reason
    state TEXT PRIMARY KEY,
    items INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO tally VALUES
    ('planned', 0), ('sent', 0), ('done', 0), ('failed', 0), ('in_doubt', 0),
    ('superseded', 0), ('unchanged', 0), ('organizer', 0), ('cancelled', 0);
CREATE TRIGGER item_moved AFTER UPDATE OF state ON item WHEN old.state <> new.state BEGIN
    UPDATE tally SET items = items - 1 WHERE state = coalesce(old.reason, old.state);
    UPDATE tally SET items = items + 1 WHERE state = coalesce(new.reason, new.state);
END;
""",
    move_it="restore it from a backup; whatever was sent since then may be sent again",
    synchronous="FULL",
)

ASK = "INSERT OR REPLACE INTO job VALUES ('asked', ?), ('asked_at', ?)"
"""Asks whoever runs the job for something, at a time in seconds since the epoch."""

LEDGER = Schema(
    Purpose("the ledger of bulk jobs", JournalError, _ELSEWHERE, foreign=_FOREIGN),
    application=0x474F4E4C,
    version=1,
    tables="""
CREATE TABLE acknowledged (
    company TEXT NOT NULL,          -- API origin and fingerprint of the key id
    meeting_id TEXT NOT NULL,
    digest BLOB,                    -- of the last update that Gong acknowledged
    body BLOB,                      -- NULL after a purge
    job TEXT,                       -- that sent it
    unsettled TEXT,                 -- the job and place of an update under way or in doubt
    sent_at REAL,                   -- when the last request for it left, since the epoch
    PRIMARY KEY (company, meeting_id)
) WITHOUT ROWID;
""",
    move_it="move it away; the next jobs then know nothing of what was sent before",
    synchronous="FULL",
)
