-- One row: the last rebuild of the search index. Nobody else takes it before `free_at`; `ended_at` is NULL until it ends.
CREATE TABLE reindex (
    only       INTEGER NOT NULL PRIMARY KEY CHECK (only = 0),
    id         BLOB    NOT NULL,
    started_at INTEGER NOT NULL,
    started_by BLOB,
    attempts   INTEGER NOT NULL,
    done       INTEGER NOT NULL,
    total      INTEGER,
    ended_at   INTEGER,
    failure    TEXT,
    free_at    INTEGER NOT NULL
) STRICT;
