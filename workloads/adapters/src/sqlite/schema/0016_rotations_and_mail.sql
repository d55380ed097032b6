-- When the generations of a session before the last one were replaced (a JSON array of ms, the latest first).
ALTER TABLE sessions ADD COLUMN earlier_rotations TEXT NOT NULL DEFAULT '[]';

-- What the link in a mail is for; unknown of mail that was queued before.
ALTER TABLE mail_queue ADD COLUMN purpose TEXT;
