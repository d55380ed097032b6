-- What admins make of accounts, reports of abuse, and the audit log. Ids are UUIDv7, which sort by time.
ALTER TABLE accounts ADD COLUMN admin INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN disabled_at INTEGER;

CREATE TABLE audit_log (
    id      BLOB    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   BLOB,
    action  TEXT    NOT NULL,
    subject BLOB,
    address TEXT,
    note    TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_log_by_subject ON audit_log (subject, id);

-- `kek` and `evidence` are the sealed text of the message, where the reporter gave it.
CREATE TABLE reports (
    id          BLOB    NOT NULL PRIMARY KEY,
    reporter    BLOB    NOT NULL,
    reported    BLOB    NOT NULL,
    chat_id     BLOB,
    message_id  BLOB,
    reason      TEXT    NOT NULL,
    comment     TEXT,
    kek         TEXT,
    evidence    BLOB,
    created_at  INTEGER NOT NULL,
    resolved_by BLOB,
    resolved_at INTEGER,
    resolution  TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX reports_by_state ON reports (resolved_at IS NULL, id);
CREATE INDEX reports_by_reporter ON reports (reporter);
CREATE INDEX reports_by_reported ON reports (reported);
