-- Version 2 to 3: columns and a table got their present names. Version 1 lacks the table.

ALTER TABLE company RENAME COLUMN held_until TO paused_until;
ALTER TABLE company RENAME COLUMN held_until_wall TO paused_until_wall;
ALTER TABLE company RENAME COLUMN pace TO rate;
DROP TABLE IF EXISTS crowd;
CREATE TABLE load (
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    pid INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    interactive INTEGER NOT NULL,
    bulk INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,
    written REAL NOT NULL,
    PRIMARY KEY (key, name)
) WITHOUT ROWID;
