-- The marks of what wrote the terms that a rebuild is about to replace: `written_with` has those of all others.
ALTER TABLE about ADD COLUMN replaced BLOB;

-- Plain terms, of mode Plaintext; blind ones are in `terms`.
CREATE TABLE words (
    chat       INTEGER NOT NULL,
    word       TEXT    NOT NULL,
    message_id BLOB    NOT NULL,
    label      INTEGER NOT NULL,
    PRIMARY KEY (chat, word, message_id)
) STRICT, WITHOUT ROWID;

-- The plain terms of a message, one a line; NULL when it has none.
ALTER TABLE messages ADD COLUMN words TEXT;
