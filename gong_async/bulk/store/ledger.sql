-- The ledger: the last update of each meeting that Gong acknowledged, across all jobs of a user.

CREATE TABLE meeting (
    company TEXT NOT NULL,          -- API origin and fingerprint of the key id
    meeting_id TEXT NOT NULL,
    digest BLOB,                    -- of the last acknowledged update
    body BLOB,                      -- NULL after a purge
    job TEXT,                       -- that sent it
    unsettled TEXT,                 -- job and item index of an update in flight or in doubt
    sent_at REAL,                   -- time of the last request, in seconds since the epoch
    PRIMARY KEY (company, meeting_id)
) WITHOUT ROWID;
