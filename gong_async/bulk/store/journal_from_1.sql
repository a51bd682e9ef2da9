-- Version 1 to 2: the states and columns got their present names.

DROP TRIGGER item_moved;
ALTER TABLE item RENAME COLUMN place TO item_index;
ALTER TABLE content RENAME COLUMN place TO item_index;
ALTER TABLE attempt RENAME COLUMN place TO item_index;
ALTER TABLE organizer RENAME COLUMN stopped TO problem;
ALTER TABLE run RENAME COLUMN finished TO items;

UPDATE item SET state = 'pending' WHERE state = 'planned';
UPDATE item SET state = 'in_flight' WHERE state = 'sent';
UPDATE item SET state = 'succeeded' WHERE state = 'done';
UPDATE tally SET state = 'pending' WHERE state = 'planned';
UPDATE tally SET state = 'in_flight' WHERE state = 'sent';
UPDATE tally SET state = 'succeeded' WHERE state = 'done';
UPDATE job SET value = 'waiting' WHERE name = 'state' AND value = 'parked';
UPDATE job SET value = 'completed' WHERE name = 'state' AND value = 'finished';

UPDATE job SET name = 'reason' WHERE name = 'why';
UPDATE job SET name = 'request' WHERE name = 'asked';
UPDATE job SET name = 'requested_at' WHERE name = 'asked_at';
UPDATE job SET name = 'check_requests' WHERE name = 'checks';
UPDATE job SET name = 'planned_by' WHERE name = 'library';
UPDATE job SET name = 'input_digest' WHERE name = 'input';

CREATE TRIGGER item_state AFTER UPDATE OF state ON item WHEN old.state <> new.state BEGIN
    UPDATE tally SET items = items - 1 WHERE state = coalesce(old.reason, old.state);
    UPDATE tally SET items = items + 1 WHERE state = coalesce(new.reason, new.state);
END;
