-- Version 3 of the limits file. A change needs another version, and a file `from_3.sql` that
-- migrates files of this one.

-- The state of the limits.
CREATE TABLE company (
    key TEXT PRIMARY KEY,          -- API origin and fingerprint of the key id
    boot TEXT NOT NULL,            -- the run of the machine that steady times belong to
    steady REAL NOT NULL,          -- the steady time at which the row was written
    next_slot REAL NOT NULL,
    next_bulk_slot REAL NOT NULL,
    paused_until REAL,             -- steady time
    paused_until_wall REAL,        -- the same on the wall clock, for after a restart
    probe_until REAL,
    used INTEGER NOT NULL,         -- the sum of the minutes below
    rate TEXT                      -- the learned rate, as JSON
) WITHOUT ROWID;

-- The daily count.
CREATE TABLE minute (
    key TEXT NOT NULL,
    began REAL NOT NULL,           -- seconds since the epoch
    calls INTEGER NOT NULL,
    PRIMARY KEY (key, began)
) WITHOUT ROWID;

-- The process whose call probes after a pause.
CREATE TABLE prober (
    key TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    namespace TEXT NOT NULL        -- in which the pid means something
) WITHOUT ROWID;

-- Calls that wait or are in flight, a row for each queue.
CREATE TABLE load (
    key TEXT NOT NULL,
    name TEXT NOT NULL,            -- a process has a queue for each event loop
    pid INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    interactive INTEGER NOT NULL,  -- calls that wait
    bulk INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    written REAL NOT NULL,         -- steady time
    PRIMARY KEY (key, name)
) WITHOUT ROWID;
