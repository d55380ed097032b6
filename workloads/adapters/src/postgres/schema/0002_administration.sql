-- What admins make of accounts, reports of abuse, and the audit log. Ids are UUIDv7, which sort by time.
ALTER TABLE accounts ADD COLUMN admin boolean NOT NULL DEFAULT false;
ALTER TABLE accounts ADD COLUMN disabled_at bigint;

-- Without foreign keys: entries outlive the accounts they are about.
CREATE TABLE audit_log (
    id      uuid   PRIMARY KEY,
    at      bigint NOT NULL,
    actor   uuid,
    action  text   NOT NULL,
    subject uuid,
    address text,
    note    text
);
CREATE INDEX audit_log_by_subject ON audit_log (subject, id);

-- `kek` and `evidence` are the sealed text of the message, where the reporter gave it.
CREATE TABLE reports (
    id          uuid   PRIMARY KEY,
    reporter    uuid   NOT NULL REFERENCES accounts ON DELETE CASCADE,
    reported    uuid   NOT NULL REFERENCES accounts ON DELETE CASCADE,
    chat_id     uuid,
    message_id  uuid,
    reason      text   NOT NULL,
    comment     text,
    kek         text,
    evidence    bytea,
    created_at  bigint NOT NULL,
    resolved_by uuid,
    resolved_at bigint,
    resolution  text
);
CREATE INDEX reports_by_state ON reports ((resolved_at IS NULL), id);
CREATE INDEX reports_by_reporter ON reports (reporter);
CREATE INDEX reports_by_reported ON reports (reported);
