-- Ids are 16-byte blobs that compare in the order of the ids. Tables are clustered by their key (WITHOUT ROWID), so
-- a row is one b-tree entry. There are no foreign keys: the one writer checks what a row refers to.

CREATE TABLE accounts (
    id            BLOB    NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    display_name  TEXT    NOT NULL,
    avatar_url    TEXT,
    password_hash TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    -- Newest event that was pruned from this account's inbox: syncing from before it needs a reset.
    inbox_pruned  BLOB
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX accounts_by_username ON accounts (username);
CREATE UNIQUE INDEX accounts_by_email ON accounts (email);

CREATE TABLE blocks (
    blocker    BLOB    NOT NULL,
    blocked    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (blocker, blocked)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_by_time ON blocks (blocker, created_at);
CREATE INDEX blocks_by_blocked ON blocks (blocked);

CREATE TABLE sessions (
    id           BLOB    NOT NULL PRIMARY KEY,
    user_id      BLOB    NOT NULL,
    device       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    refreshed_at INTEGER NOT NULL,
    generation   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_refresh ON sessions (refreshed_at);

CREATE TABLE ended_sessions (
    ended_at INTEGER NOT NULL,
    id       BLOB    NOT NULL,
    PRIMARY KEY (ended_at, id)
) STRICT, WITHOUT ROWID;

-- `low` and `high` are the members in the order of their ids, the same for a chat with oneself (whose progress is in
-- the columns of `low`). `*_receipt` is the event of the member's newest progress; `*_shown*` is what the peer may know
-- of it, which stays behind while either blocks the other.
CREATE TABLE chats (
    id                   BLOB    NOT NULL PRIMARY KEY,
    low                  BLOB    NOT NULL,
    high                 BLOB    NOT NULL,
    created_at           INTEGER NOT NULL,
    kek                  TEXT    NOT NULL,
    key                  BLOB    NOT NULL,
    low_delivered        BLOB,
    low_read             BLOB,
    low_receipt          BLOB,
    low_shown_delivered  BLOB,
    low_shown_read       BLOB,
    low_shown            BLOB,
    high_delivered       BLOB,
    high_read            BLOB,
    high_receipt         BLOB,
    high_shown_delivered BLOB,
    high_shown_read      BLOB,
    high_shown           BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX chats_by_kek ON chats (kek);

-- The chats of a user. Their order is found when it is asked for, by one look at each chat's newest message: keeping
-- it here would cost two more pages of the log for every message.
CREATE TABLE members (
    user_id BLOB NOT NULL,
    chat_id BLOB NOT NULL,
    started BLOB NOT NULL,
    PRIMARY KEY (user_id, chat_id)
) STRICT, WITHOUT ROWID;

-- `sender` is 0 for the chat's `low` and 1 for its `high`; `version` counts changes; `sealed` is NULL in a tombstone.
CREATE TABLE messages (
    chat_id           BLOB    NOT NULL,
    message_id        BLOB    NOT NULL,
    sender            INTEGER NOT NULL,
    kind              INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    reply_to          BLOB,
    client_message_id TEXT,
    edited_at         INTEGER,
    sealed            BLOB,
    PRIMARY KEY (chat_id, message_id)
) STRICT, WITHOUT ROWID;

-- The rare events of users. New messages and receipts are not copied here: an inbox is these rows merged with what the
-- user's chats have, by id. `subject` is the message of an edit or deletion, `high` whether the chat's `high` started it.
CREATE TABLE inbox (
    user_id  BLOB    NOT NULL,
    event_id BLOB    NOT NULL,
    kind     INTEGER NOT NULL,
    chat_id  BLOB    NOT NULL,
    subject  BLOB,
    high     INTEGER,
    PRIMARY KEY (user_id, event_id)
) STRICT, WITHOUT ROWID;

-- Which message a sender's client id made: one row for each batch of the writer, which keeps the newest in memory.
-- `entries` are fingerprint (8 bytes), chat and message (16 bytes each).
CREATE TABLE sent (
    batch   BLOB NOT NULL PRIMARY KEY,
    entries BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The same for those that are too many to be kept in memory.
CREATE TABLE sent_earlier (
    fingerprint INTEGER NOT NULL PRIMARY KEY,
    chat_id     BLOB    NOT NULL,
    message_id  BLOB    NOT NULL
) STRICT;

-- One row: the newest id that was ever given, which the clock observes at start.
CREATE TABLE clock (
    only   INTEGER NOT NULL PRIMARY KEY CHECK (only = 0),
    newest BLOB    NOT NULL
) STRICT;
