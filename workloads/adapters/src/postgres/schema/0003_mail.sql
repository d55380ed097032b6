-- Mailed links by the hash of their token, and the queue of mail, which is sealed.
ALTER TABLE accounts ADD COLUMN email_verified_at bigint;

CREATE TABLE links (
    user_id    uuid   NOT NULL REFERENCES accounts ON DELETE CASCADE,
    purpose    text   NOT NULL,
    hash       bytea  NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
CREATE UNIQUE INDEX links_by_hash ON links (hash);

CREATE TABLE mail_queue (
    id         uuid    PRIMARY KEY,
    user_id    uuid    NOT NULL REFERENCES accounts ON DELETE CASCADE,
    kek        text    NOT NULL,
    sealed     bytea   NOT NULL,
    expires_at bigint  NOT NULL,
    due_at     bigint  NOT NULL,
    attempts   integer NOT NULL
);
CREATE INDEX mail_queue_by_due ON mail_queue (due_at);
CREATE INDEX mail_queue_by_user ON mail_queue (user_id);
