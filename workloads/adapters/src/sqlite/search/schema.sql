-- One row: which index this is, and the mark of the key that all of its terms were written with.
CREATE TABLE about (
    only         INTEGER NOT NULL PRIMARY KEY CHECK (only = 0),
    id           BLOB    NOT NULL,
    written_with BLOB
) STRICT;

-- Chats by a short number, which is in each row of a term. `removed` is the version of the chat's removal: what is older
-- never comes back.
CREATE TABLE chats (
    number  INTEGER NOT NULL PRIMARY KEY,
    chat_id BLOB    NOT NULL,
    low     BLOB,
    high    BLOB,
    removed INTEGER
) STRICT;
CREATE UNIQUE INDEX chats_by_id ON chats (chat_id);

CREATE TABLE members (
    user_id BLOB    NOT NULL,
    chat    INTEGER NOT NULL,
    PRIMARY KEY (user_id, chat)
) STRICT, WITHOUT ROWID;

-- `terms` are 8 bytes each, in order; NULL in what was removed. `label` is the kind and who of the members wrote it.
CREATE TABLE messages (
    chat       INTEGER NOT NULL,
    message_id BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    label      INTEGER NOT NULL,
    terms      BLOB,
    PRIMARY KEY (chat, message_id)
) STRICT, WITHOUT ROWID;

-- By chat first: the terms of a new message then share pages, and a chat is removed in one piece.
CREATE TABLE terms (
    chat       INTEGER NOT NULL,
    term       INTEGER NOT NULL,
    message_id BLOB    NOT NULL,
    label      INTEGER NOT NULL,
    PRIMARY KEY (chat, term, message_id)
) STRICT, WITHOUT ROWID;
