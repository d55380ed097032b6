-- When a file was last sent to a chat (ms): it leaves the chat when messages of that time are too old. Of what was sent before
-- this was noted, the time of this change.
ALTER TABLE media_chats ADD COLUMN attached_at INTEGER NOT NULL DEFAULT 0;
UPDATE media_chats SET attached_at = unixepoch() * 1000;
