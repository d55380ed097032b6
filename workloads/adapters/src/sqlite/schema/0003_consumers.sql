-- Events that messages and chats do not show by themselves: edits, deletions of messages, and of chats. A row goes when
-- every consumer has handled it. `event` is the event in JSON.
CREATE TABLE outbox (
    event_id BLOB NOT NULL PRIMARY KEY,
    event    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each consumer of events is: it has handled all up to `position`, and of those up to `scan_to` all of the chats
-- before `scan_chat` and of this one the messages up to `scan_message`. `target` is what it writes to.
CREATE TABLE consumers (
    name         TEXT NOT NULL PRIMARY KEY,
    target       BLOB NOT NULL,
    position     BLOB NOT NULL,
    scan_to      BLOB,
    scan_chat    BLOB,
    scan_message BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX consumers_by_position ON consumers (position);

-- Events that a consumer gave up.
CREATE TABLE dead_letters (
    consumer TEXT    NOT NULL,
    event_id BLOB    NOT NULL,
    event    TEXT    NOT NULL,
    why      TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE notifications (
    user_id    BLOB    NOT NULL,
    message_id BLOB    NOT NULL,
    chat_id    BLOB    NOT NULL,
    sender_id  BLOB    NOT NULL,
    read       INTEGER NOT NULL,
    PRIMARY KEY (user_id, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX notifications_unread ON notifications (user_id, chat_id, message_id) WHERE read = 0;

CREATE TABLE notification_preferences (
    user_id     BLOB NOT NULL PRIMARY KEY,
    preferences TEXT NOT NULL
) STRICT, WITHOUT ROWID;
