-- Devices that want pushes. An address is one device's.
CREATE TABLE push_devices (
    user_id       BLOB    NOT NULL,
    device_id     TEXT    NOT NULL,
    session_id    BLOB    NOT NULL,
    registered_at INTEGER NOT NULL,
    fingerprint   BLOB    NOT NULL UNIQUE,
    address       TEXT    NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

-- The newest message of a chat of which a user's devices were told.
CREATE TABLE pushed (
    user_id    BLOB NOT NULL,
    chat_id    BLOB NOT NULL,
    message_id BLOB NOT NULL,
    PRIMARY KEY (user_id, chat_id)
) STRICT, WITHOUT ROWID;
