-- The journal of one bulk job: its changes, and the intent and outcome of every request.
-- Times are seconds since the epoch.

CREATE TABLE job (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE organizer (
    number INTEGER PRIMARY KEY,
    email TEXT UNIQUE,              -- NULL after a purge
    checked INTEGER NOT NULL DEFAULT 0,
    problem TEXT,                   -- why its meetings cannot be updated, in Gong's words
    fix_url TEXT
);

CREATE TABLE item (
    item_index INTEGER PRIMARY KEY, -- in the source, from 0
    line INTEGER,                   -- in the input file
    meeting_id TEXT NOT NULL,
    organizer INTEGER NOT NULL REFERENCES organizer,
    digest BLOB NOT NULL,           -- SHA-256 of the body
    state TEXT NOT NULL,
    reason TEXT,                    -- why it was skipped
    run INTEGER,                    -- the last run that worked on it
    attempts INTEGER NOT NULL DEFAULT 0,
    status INTEGER,
    request_id TEXT,
    error TEXT,
    message TEXT,
    errors TEXT,                    -- Gong's messages, as a JSON list
    waited REAL,                    -- seconds
    on_wire REAL,                   -- seconds
    sent_at REAL,
    ended_at REAL
);

CREATE TABLE content (item_index INTEGER PRIMARY KEY, body BLOB NOT NULL);

CREATE TABLE before (               -- what Gong had acknowledged before this job
    meeting_id TEXT PRIMARY KEY,
    body BLOB
) WITHOUT ROWID;

CREATE TABLE attempt (              -- one row for each request, written before it is sent
    item_index INTEGER NOT NULL,
    number INTEGER NOT NULL,
    run INTEGER NOT NULL,
    sent_at REAL NOT NULL,
    ended_at REAL,
    status INTEGER,
    request_id TEXT,
    error TEXT,
    PRIMARY KEY (item_index, number)
) WITHOUT ROWID;

CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    began_at REAL NOT NULL,
    ended_at REAL,
    items INTEGER NOT NULL DEFAULT 0 -- that ended in this run
);

CREATE TABLE tally (                -- items by state, skipped items by reason
    state TEXT PRIMARY KEY,
    items INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO tally VALUES
    ('pending', 0), ('in_flight', 0), ('succeeded', 0), ('failed', 0), ('in_doubt', 0),
    ('superseded', 0), ('unchanged', 0), ('organizer', 0), ('cancelled', 0);

CREATE TRIGGER item_state AFTER UPDATE OF state ON item WHEN old.state <> new.state BEGIN
    UPDATE tally SET items = items - 1 WHERE state = coalesce(old.reason, old.state);
    UPDATE tally SET items = items + 1 WHERE state = coalesce(new.reason, new.state);
END;
