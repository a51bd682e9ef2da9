-- The views that the rows of a run are written to. They last as long as the connection. A trigger
-- spreads each row over the tables of the journal and of the ledger (`meeting`). The names in
-- braces are those of the run, the company and the job, which all rows share.

CREATE TEMP VIEW intent AS
SELECT NULL AS item_index, NULL AS at, NULL AS meeting_id, NULL AS number;

CREATE TEMP TRIGGER intent_written INSTEAD OF INSERT ON intent BEGIN
    INSERT INTO attempt (item_index, number, run, sent_at)
        VALUES (new.item_index, new.number, {run}, new.at);
    UPDATE item SET state = 'in_flight', run = {run}, attempts = new.number, sent_at = new.at
        WHERE item_index = new.item_index;
    INSERT OR IGNORE INTO before SELECT meeting_id, body FROM meeting
        WHERE new.number = 1 AND company = {company} AND meeting_id = new.meeting_id
        AND digest IS NOT NULL AND job IS NOT {job};
    INSERT INTO meeting (company, meeting_id, unsettled, sent_at)
        VALUES ({company}, new.meeting_id, {job} || ':' || new.item_index, new.at)
        ON CONFLICT DO UPDATE SET sent_at = excluded.sent_at,
        unsettled = coalesce(unsettled, excluded.unsettled);
END;

CREATE TEMP VIEW ending AS
SELECT NULL AS item_index, NULL AS at, NULL AS meeting_id, NULL AS state, NULL AS status,
    NULL AS request_id, NULL AS error, NULL AS message, NULL AS errors, NULL AS waited,
    NULL AS on_wire;

CREATE TEMP TRIGGER ending_written INSTEAD OF INSERT ON ending BEGIN
    UPDATE item SET state = new.state, run = {run}, status = new.status,
        request_id = new.request_id, error = new.error, message = new.message,
        errors = new.errors, waited = new.waited, on_wire = new.on_wire, ended_at = new.at,
        reason = NULL
        WHERE item_index = new.item_index;
    UPDATE meeting SET (digest, body) =
        (SELECT digest, body FROM item JOIN content USING (item_index)
        WHERE item_index = new.item_index),
        job = {job}, unsettled = NULL
        WHERE new.state = 'succeeded' AND company = {company} AND meeting_id = new.meeting_id;
    UPDATE meeting SET unsettled = NULL
        WHERE new.state NOT IN ('succeeded', 'in_doubt') AND company = {company}
        AND meeting_id = new.meeting_id AND unsettled = {job} || ':' || new.item_index;
END;
