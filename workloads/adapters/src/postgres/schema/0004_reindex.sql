-- One row: the last rebuild of the search index. Nobody else takes it before `free_at`; `ended_at` is NULL until it ends.
CREATE TABLE reindex (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id         uuid    NOT NULL,
    started_at bigint  NOT NULL,
    started_by uuid,
    attempts   integer NOT NULL,
    done       bigint  NOT NULL,
    total      bigint,
    ended_at   bigint,
    failure    text,
    free_at    bigint  NOT NULL
);
