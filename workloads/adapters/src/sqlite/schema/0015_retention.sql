-- One row: the latest moment (ms) up to which messages were ever removed as too old. They stay gone when messages are kept longer
-- one day.
CREATE TABLE horizon (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 0),
    at   INTEGER NOT NULL
) STRICT;

-- The newest message of a chat that was removed as too old: a chat without any other keeps its place in lists.
ALTER TABLE chats ADD COLUMN newest_removed BLOB;
