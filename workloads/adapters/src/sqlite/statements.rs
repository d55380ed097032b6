//! Every SQL statement, in one place so that a test can ask the query planner about each.

macro_rules! statements {
    ($($name:ident = $sql:literal;)*) => {
        $(pub(super) const $name: &str = $sql;)*
        #[cfg(test)]
        const ALL: &[&str] = &[$($name),*];
    };
}

statements! {
    // Accounts
    INSERT_ACCOUNT = "INSERT INTO accounts (id, username, email, display_name, password_hash, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    USERNAME_EXISTS = "SELECT 1 FROM accounts WHERE username = ?1";
    EMAIL_EXISTS = "SELECT 1 FROM accounts WHERE email = ?1";
    ACCOUNT_EXISTS = "SELECT 1 FROM accounts WHERE id = ?1";
    ACCOUNT = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash
        FROM accounts WHERE id = ?1";
    ACCOUNT_BY_USERNAME = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash
        FROM accounts WHERE username = ?1";
    ACCOUNT_BY_EMAIL = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash
        FROM accounts WHERE email = ?1";
    PROFILES_FROM = "SELECT id, username, display_name, avatar_url
        FROM accounts WHERE username >= ?1 AND username < ?2 ORDER BY username LIMIT ?3";
    PROFILES_AFTER = "SELECT id, username, display_name, avatar_url
        FROM accounts WHERE username > ?1 ORDER BY username LIMIT ?2";
    PROFILE = "SELECT id, username, display_name, avatar_url FROM accounts WHERE id = ?1";
    PROFILE_BY_USERNAME = "SELECT id, username, display_name, avatar_url FROM accounts WHERE username = ?1";
    SET_PROFILE = "UPDATE accounts SET display_name = ?2, avatar_url = ?3 WHERE id = ?1";
    SET_PASSWORD_HASH = "UPDATE accounts SET password_hash = ?2 WHERE id = ?1";
    DELETE_ACCOUNT = "DELETE FROM accounts WHERE id = ?1";

    // Blocks
    INSERT_BLOCK = "INSERT OR IGNORE INTO blocks (blocker, blocked, created_at) VALUES (?1, ?2, ?3)";
    DELETE_BLOCK = "DELETE FROM blocks WHERE blocker = ?1 AND blocked = ?2";
    BLOCK_EXISTS = "SELECT 1 FROM blocks WHERE blocker = ?1 AND blocked = ?2";
    BLOCKS_OF = "SELECT a.id, a.username, a.display_name, a.avatar_url, b.created_at
        FROM blocks b CROSS JOIN accounts a ON a.id = b.blocked
        WHERE b.blocker = ?1 ORDER BY b.created_at DESC";
    DELETE_BLOCKS_BY = "DELETE FROM blocks WHERE blocker = ?1";
    DELETE_BLOCKS_OF = "DELETE FROM blocks WHERE blocked = ?1";

    // Presence
    LAST_ACTIVE = "SELECT at FROM last_active WHERE user_id = ?1";
    SET_LAST_ACTIVE = "INSERT INTO last_active (user_id, at) SELECT id, ?2 FROM accounts WHERE id = ?1
        ON CONFLICT (user_id) DO UPDATE SET at = max(at, excluded.at)";
    DELETE_LAST_ACTIVE = "DELETE FROM last_active WHERE user_id = ?1";

    // Sessions
    INSERT_SESSION = "INSERT INTO sessions (id, user_id, device, created_at, refreshed_at, generation)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    SESSION = "SELECT id, user_id, device, created_at, refreshed_at, generation FROM sessions WHERE id = ?1";
    SESSIONS_OF = "SELECT id, user_id, device, created_at, refreshed_at, generation
        FROM sessions WHERE user_id = ?1 ORDER BY created_at DESC";
    MOVE_SESSION = "UPDATE sessions SET generation = ?2, refreshed_at = ?3 WHERE id = ?1";
    DELETE_SESSION = "DELETE FROM sessions WHERE id = ?1";
    INSERT_ENDED = "INSERT OR IGNORE INTO ended_sessions (ended_at, id) VALUES (?1, ?2)";
    ENDED_SINCE = "SELECT id FROM ended_sessions WHERE ended_at >= ?1";
    STALE_SESSIONS = "SELECT id FROM sessions WHERE refreshed_at < ?1 LIMIT ?2";
    PRUNE_ENDED = "DELETE FROM ended_sessions WHERE ended_at < ?1";

    // Chats
    INSERT_CHAT = "INSERT INTO chats (id, low, high, created_at, kek, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    CHAT = "SELECT low, high, created_at, kek, key,
        low_delivered, low_read, low_receipt, low_shown_delivered, low_shown_read, low_shown,
        high_delivered, high_read, high_receipt, high_shown_delivered, high_shown_read, high_shown
        FROM chats WHERE id = ?1";
    SET_LOW_PROGRESS = "UPDATE chats SET low_delivered = ?2, low_read = ?3, low_receipt = ?4,
        low_shown_delivered = ?5, low_shown_read = ?6, low_shown = ?7 WHERE id = ?1";
    SET_HIGH_PROGRESS = "UPDATE chats SET high_delivered = ?2, high_read = ?3, high_receipt = ?4,
        high_shown_delivered = ?5, high_shown_read = ?6, high_shown = ?7 WHERE id = ?1";
    DELETE_CHAT = "DELETE FROM chats WHERE id = ?1";
    KEYS_BEFORE = "SELECT id, kek, key FROM chats WHERE kek < ?1 LIMIT ?2";
    KEY_AFTER = "SELECT id, kek, key FROM chats WHERE kek > ?1 ORDER BY kek LIMIT 1";
    SET_KEY = "UPDATE chats SET kek = ?2, key = ?3 WHERE id = ?1";
    INSERT_MEMBER = "INSERT INTO members (user_id, chat_id, started) VALUES (?1, ?2, ?3)";
    DELETE_MEMBER = "DELETE FROM members WHERE user_id = ?1 AND chat_id = ?2";
    CHATS_OF = "SELECT chat_id FROM members WHERE user_id = ?1";
    ACTIVITIES_OF = "SELECT chat_id,
        coalesce((SELECT max(message_id) FROM messages WHERE chat_id = members.chat_id), started)
        FROM members WHERE user_id = ?1";
    CHATS_TOUCHED = "SELECT chat_id, (SELECT min(message_id) FROM messages
            WHERE chat_id = members.chat_id AND message_id > ?2) AS message,
            max(coalesce(low_receipt, x''), coalesce(high_receipt, x'')) AS receipt
        FROM members CROSS JOIN chats ON id = chat_id
        WHERE user_id = ?1 AND (message IS NOT NULL OR receipt > ?2)";

    // Messages
    INSERT_MESSAGE = "INSERT INTO messages
        (chat_id, message_id, sender, kind, version, reply_to, client_message_id, sealed)
        VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)";
    MESSAGE_EXISTS = "SELECT 1 FROM messages WHERE chat_id = ?1 AND message_id = ?2";
    NEXT_MESSAGE_ID = "SELECT min(message_id) FROM messages WHERE chat_id = ?1 AND message_id > ?2";
    MESSAGE = "SELECT message_id, sender, kind, version, reply_to, client_message_id, edited_at, sealed
        FROM messages WHERE chat_id = ?1 AND message_id = ?2";
    MESSAGES_UNTIL = "SELECT message_id, sender, kind, version, reply_to, client_message_id, edited_at, sealed
        FROM messages WHERE chat_id = ?1 AND message_id <= ?2 ORDER BY message_id DESC LIMIT ?3";
    MESSAGES_BEFORE = "SELECT message_id, sender, kind, version, reply_to, client_message_id, edited_at, sealed
        FROM messages WHERE chat_id = ?1 AND message_id < ?2 ORDER BY message_id DESC LIMIT ?3";
    MESSAGES_AFTER = "SELECT message_id, sender, kind, version, reply_to, client_message_id, edited_at, sealed
        FROM messages WHERE chat_id = ?1 AND message_id > ?2 ORDER BY message_id LIMIT ?3";
    MESSAGE_FROM = "SELECT 1 FROM messages WHERE chat_id = ?1 AND message_id >= ?2 LIMIT 1";
    MESSAGE_UNTIL = "SELECT 1 FROM messages WHERE chat_id = ?1 AND message_id <= ?2 LIMIT 1";
    UNREAD = "SELECT count(*) FROM (
            SELECT sender, sealed IS NULL AS gone FROM messages WHERE chat_id = ?1 AND message_id > ?2
            ORDER BY message_id LIMIT ?4)
        WHERE sender = ?3 AND NOT gone";
    EDIT_MESSAGE = "UPDATE messages SET version = ?3, edited_at = ?4, sealed = ?5
        WHERE chat_id = ?1 AND message_id = ?2";
    DELETE_MESSAGE = "UPDATE messages SET version = ?3, sealed = NULL WHERE chat_id = ?1 AND message_id = ?2";
    DELETE_MESSAGES_OF = "DELETE FROM messages WHERE chat_id = ?1";
    INSERT_SENT = "INSERT INTO sent (batch, entries) VALUES (?1, ?2)";
    SENT_AFTER = "SELECT batch, entries FROM sent WHERE batch > ?1 ORDER BY batch";
    DELETE_SENT = "DELETE FROM sent WHERE batch = ?1";
    PRUNE_SENT = "DELETE FROM sent WHERE batch < ?1";
    INSERT_EARLIER = "INSERT OR REPLACE INTO sent_earlier (fingerprint, chat_id, message_id) VALUES (?1, ?2, ?3)";
    EARLIER = "SELECT chat_id, message_id FROM sent_earlier WHERE fingerprint = ?1";
    EARLIER_AFTER = "SELECT fingerprint, message_id FROM sent_earlier
        WHERE fingerprint > ?1 ORDER BY fingerprint LIMIT ?2";
    DELETE_EARLIER = "DELETE FROM sent_earlier WHERE fingerprint = ?1";

    // Inboxes
    INSERT_EVENT = "INSERT INTO inbox (user_id, event_id, kind, chat_id, subject, high)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    EVENTS_AFTER = "SELECT event_id, kind, chat_id, subject, high
        FROM inbox WHERE user_id = ?1 AND event_id > ?2 ORDER BY event_id LIMIT ?3";
    INBOX_PRUNED = "SELECT inbox_pruned FROM accounts WHERE id = ?1";
    DELETE_INBOX = "DELETE FROM inbox WHERE user_id = ?1";
    ACCOUNT_IDS_AFTER = "SELECT id FROM accounts WHERE id > ?1 ORDER BY id LIMIT ?2";
    PRUNABLE_UP_TO = "SELECT max(event_id) FROM (SELECT event_id FROM inbox
        WHERE user_id = ?1 AND event_id < ?2 ORDER BY event_id LIMIT ?3)";
    PRUNE_INBOX = "DELETE FROM inbox WHERE user_id = ?1 AND event_id <= ?2";
    SET_INBOX_PRUNED = "UPDATE accounts SET inbox_pruned = ?2 WHERE id = ?1";

    // Files
    INSERT_MEDIA = "INSERT INTO media (id, owner, filename, content_type, size, sha256, state)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    MEDIA = "SELECT id, owner, filename, content_type, size, sha256, state, shown_size, width, height
        FROM media WHERE id = ?1";
    COMPLETE_MEDIA = "UPDATE media SET state = ?3, shown_size = ?4, width = ?5, height = ?6
        WHERE id = ?1 AND state = ?2";
    CONDEMN_MEDIA = "UPDATE media SET state = ?2 WHERE id = ?1";
    CONDEMN_MEDIA_OF = "UPDATE media SET state = ?2 WHERE owner = ?1";
    MEDIA_USAGE = "SELECT count(*), coalesce(sum(size), 0) FROM media WHERE owner = ?1 AND state < ?2";
    DELETE_MEDIA = "DELETE FROM media WHERE id = ?1";
    ATTACH_MEDIA = "INSERT OR IGNORE INTO media_chats (media_id, chat_id) VALUES (?1, ?2)";
    DETACH_MEDIA = "DELETE FROM media_chats WHERE media_id = ?1 AND chat_id = ?2";
    DELETE_MEDIA_CHATS = "DELETE FROM media_chats WHERE media_id = ?1";
    CHATS_OF_MEDIA = "SELECT chat_id FROM media_chats WHERE media_id = ?1";
    INSERT_DUE = "INSERT OR IGNORE INTO media_due (at, media_id) VALUES (?1, ?2)";
    INSERT_DUE_OF = "INSERT OR IGNORE INTO media_due (at, media_id) SELECT ?2, id FROM media WHERE owner = ?1";
    MEDIA_DUE = "SELECT at, media_id FROM media_due WHERE at <= ?1 ORDER BY at, media_id LIMIT ?2";
    SETTLE_MEDIA = "DELETE FROM media_due WHERE at = ?1 AND media_id = ?2";

    // Clock
    CLOCK = "SELECT newest FROM clock WHERE only = 0";
    SET_CLOCK = "INSERT INTO clock (only, newest) VALUES (0, ?1)
        ON CONFLICT (only) DO UPDATE SET newest = max(newest, excluded.newest)";
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::sqlite::schema;

    #[test]
    fn every_statement_finds_its_rows_by_an_index() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        for sql in ALL {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let arguments = vec![rusqlite::types::Null; plan.parameter_count()];
            let steps: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(arguments), |row| row.get("detail"))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            for step in steps {
                let scan = step.starts_with("SCAN") && !step.starts_with("SCAN (subquery");
                assert!(!scan && !step.contains("USE TEMP B-TREE"), "{step}\n{sql}");
            }
        }
    }
}
