-- When a user was last active, to about a minute.
CREATE TABLE last_active (
    user_id BLOB    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
