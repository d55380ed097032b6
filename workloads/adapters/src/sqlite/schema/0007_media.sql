-- Uploaded files. `state` is 0 while it is not complete, 1 when it can be shown, 2 when it is about to be destroyed;
-- `shown_size`, `width` and `height` are of what is shown.
CREATE TABLE media (
    id           BLOB    NOT NULL PRIMARY KEY,
    owner        BLOB    NOT NULL,
    filename     TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    size         INTEGER NOT NULL,
    sha256       BLOB,
    state        INTEGER NOT NULL,
    shown_size   INTEGER,
    width        INTEGER,
    height       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX media_by_owner ON media (owner, state, size);

-- The chats whose members may see a file.
CREATE TABLE media_chats (
    media_id BLOB NOT NULL,
    chat_id  BLOB NOT NULL,
    PRIMARY KEY (media_id, chat_id)
) STRICT, WITHOUT ROWID;

-- When to look whether a file is in use.
CREATE TABLE media_due (
    at       INTEGER NOT NULL,
    media_id BLOB    NOT NULL,
    PRIMARY KEY (at, media_id)
) STRICT, WITHOUT ROWID;
