-- The limits file: a row for each company, and for what it counts and knows of its processes.

CREATE TABLE IF NOT EXISTS company (
    key TEXT PRIMARY KEY,          -- API origin and fingerprint of the key id
    boot TEXT NOT NULL,            -- the run of the machine that steady times belong to
    steady REAL NOT NULL,          -- the steady time at which the row was written
    next_slot REAL NOT NULL,
    next_bulk_slot REAL NOT NULL,
    held_until REAL,
    held_until_wall REAL,          -- the same on the wall clock, for after a restart
    probe_until REAL,
    used INTEGER NOT NULL,         -- the sum of the minutes below
    pace TEXT                      -- what was learned, as JSON
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minute (
    key TEXT NOT NULL,
    began REAL NOT NULL,           -- seconds since the epoch
    calls INTEGER NOT NULL,
    PRIMARY KEY (key, began)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prober (
    key TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    namespace TEXT NOT NULL        -- in which the pid means something
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS crowd (
    key TEXT NOT NULL,
    name TEXT NOT NULL,            -- of a queue: a process has one for each event loop
    pid INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    interactive INTEGER NOT NULL,  -- calls that wait
    bulk INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    written REAL NOT NULL,         -- steady time
    PRIMARY KEY (key, name)
) WITHOUT ROWID;
