-- Statements on a journal, with its ledger attached as `companion`.

-- name: request
-- Request that the running process pauses or cancels the job.
INSERT OR REPLACE INTO job VALUES ('request', ?), ('requested_at', ?);

-- name: requested
SELECT request.value FROM job AS request JOIN job AS at ON at.name = 'requested_at'
WHERE request.name = 'request' AND at.value >= ?;

-- name: add_organizer
INSERT OR IGNORE INTO organizer (email) VALUES (?);

-- name: add_item
INSERT INTO item (item_index, line, meeting_id, organizer, digest, state)
VALUES (?, ?, ?, (SELECT number FROM organizer WHERE email = ?), ?, 'pending');

-- name: add_content
INSERT INTO content VALUES (?, ?);

-- name: add_to_tally
UPDATE tally SET items = items + ? WHERE state = 'pending';

-- name: skip_superseded
UPDATE item SET state = 'skipped', reason = 'superseded' WHERE item_index <
    (SELECT max(item_index) FROM item AS later WHERE later.meeting_id = item.meeting_id);

-- name: skip_unchanged
UPDATE item SET state = 'skipped', reason = 'unchanged'
WHERE state = 'pending'
AND EXISTS (
    SELECT 1 FROM companion.meeting AS known
    WHERE known.company = ? AND known.meeting_id = item.meeting_id
    AND known.digest = item.digest AND known.unsettled IS NULL
)
AND NOT EXISTS (
    SELECT 1 FROM item AS other WHERE other.meeting_id = item.meeting_id
    AND other.state = 'pending' AND other.item_index < item.item_index
);

-- name: page
-- Items in doubt are sent again, unless that would undo a later change of the meeting, by this job
-- or by another one. A request of another job may still be applied until it has settled.
SELECT item_index, line, meeting_id, organizer, digest, body, attempts, state = 'in_doubt', (
    SELECT sent_at + :settle FROM companion.meeting AS known
    WHERE known.company = :company AND known.meeting_id = item.meeting_id
    AND known.unsettled <> :job || ':' || item_index
)
FROM item JOIN content USING (item_index)
WHERE item_index > :after
AND (
    state = 'pending'
    OR state = 'in_doubt' AND run < :run AND item.sent_at >= :since
    AND NOT EXISTS (
        SELECT 1 FROM item AS later WHERE later.meeting_id = item.meeting_id
        AND later.item_index > item.item_index
        AND later.state IN ('in_flight', 'succeeded', 'in_doubt')
    )
    AND NOT EXISTS (
        SELECT 1 FROM companion.meeting AS known
        WHERE known.company = :company AND known.meeting_id = item.meeting_id AND known.sent_at >
            (SELECT max(sent_at) FROM item AS mine WHERE mine.meeting_id = item.meeting_id)
    )
)
ORDER BY item_index LIMIT :most;

-- name: missing_in_ledger
-- Outcomes that a process did not write to the ledger: it died between the commits of both files.
SELECT state, item.digest, content.body, :job, known.company, known.meeting_id
FROM item CROSS JOIN companion.meeting AS known
ON known.company = :company AND known.meeting_id = item.meeting_id
AND known.unsettled = :job || ':' || item_index
CROSS JOIN content USING (item_index)
WHERE run = (SELECT max(number) FROM run) AND state IN ('succeeded', 'failed');

-- name: acknowledge_in_ledger
UPDATE companion.meeting SET digest = ?, body = ?, job = ?, unsettled = NULL
WHERE company = ? AND meeting_id = ?;

-- name: settle_in_ledger
UPDATE companion.meeting SET unsettled = NULL WHERE company = ? AND meeting_id = ?;

-- name: begin_run
INSERT INTO run (pid, began_at) VALUES (?, ?);

-- name: add_to_run
UPDATE run SET items = items + ? WHERE number = ?;

-- name: end_run
-- Cancelling a job without a run ends the run of the process that died.
UPDATE run SET ended_at = ?
WHERE ended_at IS NULL AND number = coalesce(nullif(?, 0), (SELECT max(number) FROM run));

-- name: interrupt_items
UPDATE item SET state = 'in_doubt', error = 'Interrupted',
    message = 'the process ended while its request was in flight'
WHERE state = 'in_flight';

-- name: cancel_items
UPDATE item SET state = 'skipped', reason = 'cancelled' WHERE state = 'pending';

-- name: end_attempt
UPDATE attempt SET ended_at = ?, status = ?, request_id = ?, error = ?
WHERE item_index = ? AND number = ?;

-- name: withdraw_attempt
DELETE FROM attempt WHERE item_index = ? AND number = ?;

-- name: set_attempts
UPDATE item SET attempts = ? WHERE item_index = ?;

-- name: pending
SELECT items FROM tally WHERE state = 'pending';

-- name: count_organizers
-- Organizers of pending items, and how many of them were not checked.
SELECT count(*), coalesce(sum(NOT checked), 0) FROM organizer
WHERE EXISTS (SELECT 1 FROM item WHERE item.organizer = number AND item.state = 'pending');

-- name: unchecked_organizers
SELECT number, email FROM organizer
WHERE checked = 0 AND email IS NOT NULL AND EXISTS (
    SELECT 1 FROM item WHERE item.organizer = number AND item.state IN ('pending', 'in_doubt')
)
LIMIT ?;

-- name: check_organizer
UPDATE organizer SET checked = 1, problem = ?, fix_url = ? WHERE number = ?;

-- name: skip_organizer
UPDATE item SET state = 'skipped', reason = 'organizer' WHERE organizer = ? AND state = 'pending';

-- name: skip_item_of_organizer
UPDATE item SET state = 'skipped', reason = 'organizer'
WHERE item_index = ?
AND EXISTS (SELECT 1 FROM organizer WHERE number = item.organizer AND problem IS NOT NULL);

-- name: count_check_requests
INSERT INTO job VALUES ('check_requests', ?)
ON CONFLICT DO UPDATE SET value = value + excluded.value;

-- name: last_run
SELECT number, pid, began_at, ended_at, items FROM run ORDER BY number DESC LIMIT 1;

-- name: items
-- Of some states, given as ',failed,in_doubt,', after an index.
SELECT item_index, line, meeting_id, state, reason, attempts, status, request_id, error, message,
    errors, CASE WHEN reason = 'organizer' OR error = 'ConflictError' THEN problem END,
    CASE WHEN reason = 'organizer' OR error = 'ConflictError' THEN fix_url END, waited, on_wire
FROM item JOIN organizer ON organizer.number = item.organizer
WHERE instr(?, ',' || state || ',') AND item_index > ?
ORDER BY item_index LIMIT ?;
