-- Times are milliseconds since 1970. Names and addresses compare by their bytes (COLLATE "C"): their order is the same
-- everywhere, and the unique index of names also serves searches by prefix.

CREATE TABLE accounts (
    id            uuid   PRIMARY KEY,
    username      text   COLLATE "C" NOT NULL,
    email         text   COLLATE "C" NOT NULL,
    display_name  text   NOT NULL,
    avatar_url    text,
    password_hash text   NOT NULL,
    created_at    bigint NOT NULL
);
-- In this order, so that a name is reported before an address when both are taken.
CREATE UNIQUE INDEX accounts_by_username ON accounts (username);
CREATE UNIQUE INDEX accounts_by_email ON accounts (email);

CREATE TABLE blocks (
    blocker    uuid   NOT NULL REFERENCES accounts,
    blocked    uuid   NOT NULL REFERENCES accounts,
    created_at bigint NOT NULL,
    PRIMARY KEY (blocker, blocked)
);
CREATE INDEX blocks_by_time ON blocks (blocker, created_at);
CREATE INDEX blocks_by_blocked ON blocks (blocked);

CREATE TABLE sessions (
    id           uuid   PRIMARY KEY,
    user_id      uuid   NOT NULL REFERENCES accounts,
    device       text   NOT NULL,
    created_at   bigint NOT NULL,
    refreshed_at bigint NOT NULL,
    generation   bigint NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_refresh ON sessions (refreshed_at);

CREATE TABLE ended_sessions (
    ended_at bigint NOT NULL,
    id       uuid   NOT NULL,
    PRIMARY KEY (ended_at, id)
);

-- What the chat store has still to do: erase the chats of deleted accounts, and copy blocks as they are now. `change`
-- is a new number at each change, so that finishing an older one leaves the newer to be done.
CREATE TABLE pending_deletions (
    user_id uuid   PRIMARY KEY,
    at      bigint NOT NULL
);
CREATE INDEX pending_deletions_by_time ON pending_deletions (at);

CREATE SEQUENCE block_changes;
CREATE TABLE pending_blocks (
    blocker uuid   NOT NULL,
    blocked uuid   NOT NULL,
    change  bigint NOT NULL DEFAULT nextval('block_changes'),
    PRIMARY KEY (blocker, blocked)
);
CREATE INDEX pending_blocks_by_change ON pending_blocks (change);
CREATE INDEX pending_blocks_by_blocked ON pending_blocks (blocked);
