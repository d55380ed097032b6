-- When the generations of a session before the last one were replaced, the latest first.
ALTER TABLE sessions ADD COLUMN earlier_rotations bigint[] NOT NULL DEFAULT '{}';

-- What the link in a mail is for; unknown of mail that was queued before.
ALTER TABLE mail_queue ADD COLUMN purpose text;
