PRAGMA application_id = 1196379719;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE company (
    key TEXT PRIMARY KEY,
    boot TEXT NOT NULL,
    steady REAL NOT NULL,
    next_slot REAL NOT NULL,
    next_bulk_slot REAL NOT NULL,
    held_until REAL,
    held_until_wall REAL,
    probe_until REAL,
    used INTEGER NOT NULL,
    pace TEXT
) WITHOUT ROWID;
INSERT INTO "company" VALUES('https://api.gong.io 0123456789ab','first',1006.0,1.00502040816326530152e+03,-9e999,1036.0,1700000036.0,NULL,3,'{"ceiling": 1, "slack": 0.04081632653061229, "refused_slack": 0.020408163265306145, "quiet_slack": null, "usual_slack": null, "searching": true, "return_slack": null, "return_calls": 0, "probed_at": null, "probe_gap": 16.0, "failed_probes": 0, "changed_at": 1006.0, "calls": 0, "calls_since_refusal": 0}');
CREATE TABLE crowd (
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
INSERT INTO "crowd" VALUES('https://api.gong.io 0123456789ab','af0040954a4c4b22',31487,'pid:[4026531836]',0,3,0,1006.0);
CREATE TABLE minute (
    key TEXT NOT NULL,
    began REAL NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (key, began)
) WITHOUT ROWID;
INSERT INTO "minute" VALUES('https://api.gong.io 0123456789ab',1700000000.0,3);
CREATE TABLE prober (
    key TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    namespace TEXT NOT NULL
) WITHOUT ROWID;
COMMIT;
