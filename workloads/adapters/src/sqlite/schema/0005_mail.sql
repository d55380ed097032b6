-- Mailed links by the hash of their token, and the queue of mail, which is sealed.
ALTER TABLE accounts ADD COLUMN email_verified_at INTEGER;

CREATE TABLE links (
    user_id    BLOB    NOT NULL,
    purpose    TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, purpose)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX links_by_hash ON links (hash);

CREATE TABLE mail_queue (
    id         BLOB    NOT NULL PRIMARY KEY,
    user_id    BLOB    NOT NULL,
    kek        TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_queue_by_due ON mail_queue (due_at);
CREATE INDEX mail_queue_by_user ON mail_queue (user_id);
