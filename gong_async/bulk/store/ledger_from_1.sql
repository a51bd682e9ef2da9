-- Version 1 to 2: the table got its present name.

ALTER TABLE acknowledged RENAME TO meeting;
