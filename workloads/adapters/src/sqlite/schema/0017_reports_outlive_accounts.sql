-- Reports stay when either account is deleted: `reporter` becomes NULL then, and of the reported account there are the names
-- that it had when it was reported.
CREATE TABLE lasting_reports (
    id           BLOB    NOT NULL PRIMARY KEY,
    reporter     BLOB,
    reported     BLOB    NOT NULL,
    username     TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    chat_id      BLOB,
    message_id   BLOB,
    reason       TEXT    NOT NULL,
    comment      TEXT,
    kek          TEXT,
    evidence     BLOB,
    created_at   INTEGER NOT NULL,
    resolved_by  BLOB,
    resolved_at  INTEGER,
    resolution   TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO lasting_reports
    SELECT r.id, r.reporter, r.reported, coalesce(a.username, ''), coalesce(a.display_name, ''), r.chat_id, r.message_id,
        r.reason, r.comment, r.kek, r.evidence, r.created_at, r.resolved_by, r.resolved_at, r.resolution
    FROM reports r LEFT JOIN accounts a ON a.id = r.reported;
DROP TABLE reports;
ALTER TABLE lasting_reports RENAME TO reports;
CREATE INDEX reports_by_state ON reports (resolved_at IS NULL, id);
CREATE INDEX reports_by_reporter ON reports (reporter, id);
