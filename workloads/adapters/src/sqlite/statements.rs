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
    ACCOUNT = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash, admin, disabled_at,
        email_verified_at FROM accounts WHERE id = ?1";
    ACCOUNT_BY_USERNAME = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash, admin, disabled_at,
        email_verified_at FROM accounts WHERE username = ?1";
    ACCOUNT_BY_EMAIL = "SELECT id, username, email, display_name, avatar_url, created_at, password_hash, admin, disabled_at,
        email_verified_at FROM accounts WHERE email = ?1";
    PROFILES_FROM = "SELECT id, username, display_name, avatar_url
        FROM accounts WHERE username >= ?1 AND username < ?2 ORDER BY username LIMIT ?3";
    PROFILES_AFTER = "SELECT id, username, display_name, avatar_url
        FROM accounts WHERE username > ?1 ORDER BY username LIMIT ?2";
    PROFILE = "SELECT id, username, display_name, avatar_url FROM accounts WHERE id = ?1";
    PROFILE_BY_USERNAME = "SELECT id, username, display_name, avatar_url FROM accounts WHERE username = ?1";
    SET_PROFILE = "UPDATE accounts SET display_name = ?2, avatar_url = ?3 WHERE id = ?1";
    SET_PASSWORD_HASH = "UPDATE accounts SET password_hash = ?2 WHERE id = ?1";
    RENEW_PASSWORD_HASH = "UPDATE accounts SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
    PASSWORD_HASH = "SELECT password_hash FROM accounts WHERE id = ?1";
    IS_ADMIN = "SELECT admin FROM accounts WHERE id = ?1";
    DELETE_ACCOUNT = "DELETE FROM accounts WHERE id = ?1";

    // Administration
    SET_ADMIN = "UPDATE accounts SET admin = ?2 WHERE id = ?1";
    SET_DISABLED = "UPDATE accounts SET disabled_at = ?2 WHERE id = ?1";
    ACCOUNT_RECORD = "SELECT id, username, email, display_name, avatar_url, created_at, '', admin, disabled_at,
        email_verified_at, (SELECT count(*) FROM sessions WHERE user_id = accounts.id) FROM accounts WHERE id = ?1";
    ACCOUNT_RECORDS = "SELECT id, username, email, display_name, avatar_url, created_at, '', admin, disabled_at,
        email_verified_at, (SELECT count(*) FROM sessions WHERE user_id = accounts.id) FROM accounts
        WHERE username >= ?1 AND username < ?2 AND username > ?3
        AND (NOT ?4 OR admin) AND (NOT ?5 OR disabled_at IS NOT NULL) ORDER BY username LIMIT ?6";
    INSERT_AUDIT = "INSERT INTO audit_log (id, at, actor, action, subject, address, note)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    AUDIT_LOG = "SELECT id, at, actor, action, subject, address, note FROM audit_log
        WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    AUDIT_LOG_ABOUT = "SELECT id, at, actor, action, subject, address, note FROM audit_log
        WHERE subject = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2";
    PRUNE_AUDIT = "DELETE FROM audit_log WHERE id < ?1";
    INSERT_REPORT = "INSERT INTO reports
        (id, reporter, reported, username, display_name, chat_id, message_id, reason, comment, kek, evidence, created_at)
        SELECT ?1, ?2, id, username, display_name, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM accounts WHERE id = ?3";
    REPORTS = "SELECT r.id, reporter, reported, r.username, r.display_name, a.id IS NULL, chat_id, message_id, reason,
        comment, kek, evidence, r.created_at, resolved_by, resolved_at, resolution
        FROM reports r LEFT JOIN accounts a ON a.id = reported
        WHERE (resolved_at IS NULL) = ?1 AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3";
    REPORTS_BY = "SELECT r.id, reporter, reported, r.username, r.display_name, a.id IS NULL, chat_id, message_id, reason,
        comment, kek, evidence, r.created_at, resolved_by, resolved_at, resolution
        FROM reports r LEFT JOIN accounts a ON a.id = reported
        WHERE reporter = ?1 AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3";
    // As `Report::says`.
    SAME_REPORT = "SELECT id FROM reports WHERE reporter = ?1 AND reported = ?2 AND chat_id IS ?3 AND message_id IS ?4
        AND reason = ?5 AND comment IS ?6 AND (evidence IS NOT NULL OR NOT ?7) AND resolved_at IS NULL
        AND created_at > ?8 ORDER BY id LIMIT 1";
    REPORT_OPEN = "SELECT resolved_at IS NULL FROM reports WHERE id = ?1";
    RESOLVE_REPORT = "UPDATE reports SET resolved_by = ?2, resolved_at = ?3, resolution = ?4 WHERE id = ?1";
    FORGET_REPORTER = "UPDATE reports SET reporter = NULL WHERE reporter = ?1";
    PRUNE_REPORTS = "DELETE FROM reports WHERE id < ?1";

    // Mail
    INSERT_LINK = "INSERT OR REPLACE INTO links (user_id, purpose, hash, expires_at) VALUES (?1, ?2, ?3, ?4)";
    LINK_OWNER = "SELECT user_id FROM links WHERE hash = ?1 AND purpose = ?2 AND expires_at > ?3";
    DELETE_LINK = "DELETE FROM links WHERE hash = ?1";
    WITHDRAW_LINK = "DELETE FROM links WHERE user_id = ?1 AND purpose = ?2";
    WITHDRAW_MAIL = "DELETE FROM mail_queue WHERE user_id = ?1 AND purpose = ?2";
    DELETE_LINKS_OF = "DELETE FROM links WHERE user_id = ?1";
    SET_EMAIL_VERIFIED = "UPDATE accounts SET email_verified_at = coalesce(email_verified_at, ?2) WHERE id = ?1";
    EVIDENCE_BEFORE = "SELECT id, kek, evidence FROM reports WHERE kek < ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    SET_EVIDENCE = "UPDATE reports SET kek = ?2, evidence = ?3 WHERE id = ?1";
    MAIL_BEFORE = "SELECT id, kek, sealed FROM mail_queue WHERE kek < ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    SET_MAIL = "UPDATE mail_queue SET kek = ?2, sealed = ?3 WHERE id = ?1";
    INSERT_MAIL = "INSERT INTO mail_queue (id, user_id, kek, sealed, expires_at, due_at, attempts, purpose)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    DUE_MAIL = "SELECT id, kek, sealed, expires_at, attempts FROM mail_queue
        WHERE due_at <= ?1 ORDER BY due_at";
    TAKE_MAIL = "UPDATE mail_queue SET due_at = ?2, attempts = ?3 WHERE id = ?1";
    POSTPONE_MAIL = "UPDATE mail_queue SET due_at = ?2 WHERE id = ?1";
    REMOVE_MAIL = "DELETE FROM mail_queue WHERE id = ?1";
    DELETE_MAIL_OF = "DELETE FROM mail_queue WHERE user_id = ?1";

    // Blocks
    INSERT_BLOCK = "INSERT OR IGNORE INTO blocks (blocker, blocked, created_at) VALUES (?1, ?2, ?3)";
    DELETE_BLOCK = "DELETE FROM blocks WHERE blocker = ?1 AND blocked = ?2";
    BLOCK_EXISTS = "SELECT 1 FROM blocks WHERE blocker = ?1 AND blocked = ?2";
    BLOCKS_OF = "SELECT a.id, a.username, a.display_name, a.avatar_url, b.created_at
        FROM blocks b CROSS JOIN accounts a ON a.id = b.blocked
        WHERE b.blocker = ?1 AND (b.created_at, b.blocked) < (?2, ?3)
        ORDER BY b.created_at DESC, b.blocked DESC LIMIT ?4";
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
    SESSION = "SELECT id, user_id, device, created_at, refreshed_at, generation, earlier_rotations
        FROM sessions WHERE id = ?1";
    SESSIONS_OF = "SELECT id, user_id, device, created_at, refreshed_at, generation, earlier_rotations
        FROM sessions WHERE user_id = ?1 ORDER BY created_at DESC";
    MOVE_SESSION = "UPDATE sessions SET generation = ?2, refreshed_at = ?3, earlier_rotations = ?4 WHERE id = ?1";
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
    CHAT_IDS_AFTER = "SELECT id FROM chats WHERE id > ?1 ORDER BY id LIMIT ?2";
    KEYS_BEFORE = "SELECT id, kek, key FROM chats WHERE kek < ?1 LIMIT ?2";
    KEK_AFTER = "SELECT kek FROM chats WHERE kek > ?1 ORDER BY kek LIMIT 1";
    KEYS_UNDER = "SELECT id, kek, key FROM chats WHERE kek = ?1";
    SET_KEY = "UPDATE chats SET kek = ?2, key = ?3 WHERE id = ?1";
    SET_KEK = "UPDATE chats SET kek = ?2 WHERE id = ?1";
    INSERT_MEMBER = "INSERT INTO members (user_id, chat_id, started) VALUES (?1, ?2, ?3)";
    DELETE_MEMBER = "DELETE FROM members WHERE user_id = ?1 AND chat_id = ?2";
    CHATS_OF = "SELECT chat_id FROM members WHERE user_id = ?1";
    ACTIVITIES_OF = "SELECT chat_id,
        coalesce((SELECT max(message_id) FROM messages WHERE chat_id = members.chat_id),
            (SELECT newest_removed FROM chats WHERE id = members.chat_id), started)
        FROM members WHERE user_id = ?1";
    CHATS_TOUCHED = "SELECT chat_id, (SELECT min(message_id) FROM messages
            WHERE chat_id = members.chat_id AND message_id > ?3) AS message,
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
        FROM messages WHERE chat_id = ?1 AND message_id <= ?2 AND message_id > ?4 ORDER BY message_id DESC LIMIT ?3";
    MESSAGES_BEFORE = "SELECT message_id, sender, kind, version, reply_to, client_message_id, edited_at, sealed
        FROM messages WHERE chat_id = ?1 AND message_id < ?2 AND message_id > ?4 ORDER BY message_id DESC LIMIT ?3";
    MESSAGES_AFTER = "SELECT message_id, sender, kind, version, reply_to, client_message_id, edited_at, sealed
        FROM messages WHERE chat_id = ?1 AND message_id > ?2 ORDER BY message_id LIMIT ?3";
    MESSAGE_FROM = "SELECT 1 FROM messages WHERE chat_id = ?1 AND message_id >= ?2 LIMIT 1";
    MESSAGE_UNTIL = "SELECT 1 FROM messages WHERE chat_id = ?1 AND message_id <= ?2 AND message_id > ?3 LIMIT 1";
    UNREAD = "SELECT count(*) FROM (
            SELECT sender, sealed IS NULL AS gone FROM messages WHERE chat_id = ?1 AND message_id > ?2
            ORDER BY message_id LIMIT ?4)
        WHERE sender = ?3 AND NOT gone";
    EDIT_MESSAGE = "UPDATE messages SET version = ?3, edited_at = ?4, sealed = ?5
        WHERE chat_id = ?1 AND message_id = ?2";
    DELETE_MESSAGE = "UPDATE messages SET version = ?3, sealed = NULL WHERE chat_id = ?1 AND message_id = ?2";
    EXPIRED_UP_TO = "SELECT max(message_id) FROM (SELECT message_id FROM messages
        WHERE chat_id = ?1 AND message_id <= ?2 ORDER BY message_id LIMIT ?3)";
    SET_NEWEST_REMOVED = "UPDATE chats SET newest_removed = ?2 WHERE id = ?1";
    PRUNE_MESSAGES = "DELETE FROM messages WHERE chat_id = ?1 AND message_id <= ?2";
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
        FROM inbox WHERE user_id = ?1 AND event_id > ?2 ORDER BY event_id";
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
    REQUIRE_MEDIA_HASH = "UPDATE media SET sha256 = coalesce(sha256, ?3) WHERE id = ?1 AND state = ?2 RETURNING sha256";
    COMPLETE_MEDIA = "UPDATE media SET state = ?3, shown_size = ?4, width = ?5, height = ?6, content_type = ?7
        WHERE id = ?1 AND state = ?2";
    GIVE_UP_MEDIA = "UPDATE media SET state = ?3 WHERE id = ?1 AND (state <> ?2 OR NOT EXISTS (
        SELECT 1 FROM media_chats WHERE media_id = ?1 AND attached_at > ?4))";
    MEDIA_IS_CONDEMNED = "SELECT 1 FROM media WHERE id = ?1 AND state = ?2";
    CONDEMN_MEDIA = "UPDATE media SET state = ?2 WHERE id = ?1";
    CONDEMN_MEDIA_OF = "UPDATE media SET state = ?2 WHERE owner = ?1";
    MEDIA_USAGE = "SELECT count(*), coalesce(sum(size), 0) FROM media WHERE owner = ?1 AND state < ?2";
    MEDIA_OF_OWNER = "SELECT id, owner, filename, content_type, size, sha256, state, shown_size, width, height
        FROM media WHERE owner = ?1 AND id > ?2 AND +state < ?3 ORDER BY id LIMIT ?4";
    DELETE_MEDIA = "DELETE FROM media WHERE id = ?1";
    ATTACH_MEDIA = "INSERT INTO media_chats (media_id, chat_id, attached_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (media_id, chat_id) DO UPDATE SET attached_at = max(attached_at, excluded.attached_at)";
    DETACH_MEDIA = "DELETE FROM media_chats WHERE media_id = ?1 AND chat_id = ?2";
    DELETE_MEDIA_CHATS = "DELETE FROM media_chats WHERE media_id = ?1";
    MEDIA_IS_IN_ANY_CHAT = "SELECT 1 FROM media_chats WHERE media_id = ?1 AND attached_at > ?2";
    MEDIA_IS_IN_CHAT = "SELECT 1 FROM media_chats WHERE media_id = ?1 AND chat_id = ?3 AND attached_at > ?2";
    INSERT_DUE = "INSERT OR IGNORE INTO media_due (at, media_id) VALUES (?1, ?2)";
    INSERT_DUE_OF = "INSERT OR IGNORE INTO media_due (at, media_id) SELECT ?2, id FROM media WHERE owner = ?1";
    INSERT_DUE_OF_CHAT = "INSERT OR IGNORE INTO media_due (at, media_id)
        SELECT ?2, media_id FROM media_chats WHERE chat_id = ?1";
    INSERT_DUE_OF_EXPIRED = "INSERT OR IGNORE INTO media_due (at, media_id)
        SELECT ?2, media_id FROM media_chats WHERE chat_id = ?1 AND attached_at <= ?3";
    PRUNE_MEDIA_OF_CHAT = "DELETE FROM media_chats WHERE chat_id = ?1 AND attached_at <= ?2";
    DELETE_MEDIA_OF_CHAT = "DELETE FROM media_chats WHERE chat_id = ?1";
    MEDIA_DUE = "SELECT at, media_id FROM media_due WHERE at <= ?1 AND (at, media_id) > (?3, ?4)
        ORDER BY at, media_id LIMIT ?2";
    SETTLE_MEDIA = "DELETE FROM media_due WHERE at = ?1 AND media_id = ?2";

    // Pushes
    PUSH_DEVICES = "SELECT device_id, session_id, registered_at, address FROM push_devices WHERE user_id = ?1";
    INSERT_PUSH_DEVICE = "INSERT OR REPLACE INTO push_devices
        (user_id, device_id, session_id, registered_at, fingerprint, address) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    DELETE_PUSH_DEVICE = "DELETE FROM push_devices WHERE user_id = ?1 AND device_id = ?2";
    FORGET_PUSH_DEVICE = "DELETE FROM push_devices WHERE user_id = ?1 AND device_id = ?2 AND fingerprint = ?3";
    DELETE_PUSH_ADDRESS = "DELETE FROM push_devices WHERE fingerprint = ?1";
    DELETE_PUSH_DEVICES = "DELETE FROM push_devices WHERE user_id = ?1";
    PUSHED = "SELECT message_id FROM pushed WHERE user_id = ?1 AND chat_id = ?2";
    SET_PUSHED = "INSERT INTO pushed (user_id, chat_id, message_id) VALUES (?1, ?2, ?3)
        ON CONFLICT (user_id, chat_id) DO UPDATE SET message_id = max(message_id, excluded.message_id)";
    CLEAR_PUSHED = "DELETE FROM pushed WHERE user_id = ?1 AND chat_id = ?2 AND message_id <= ?3";
    DELETE_PUSHED = "DELETE FROM pushed WHERE user_id = ?1";
    DELETE_PUSHED_OF_CHAT = "DELETE FROM pushed WHERE user_id = ?1 AND chat_id = ?2";

    // Events and their consumers
    INSERT_OUTBOX = "INSERT INTO outbox (event_id, event) VALUES (?1, ?2)";
    OUTBOX_BETWEEN = "SELECT event_id, event FROM outbox
        WHERE event_id > ?1 AND event_id <= ?2 ORDER BY event_id LIMIT ?3";
    PRUNE_OUTBOX = "DELETE FROM outbox WHERE event_id <= (SELECT min(position) FROM consumers)";
    CHATS_FROM = "SELECT id, low, high, low_receipt, low_read, high_receipt, high_read
        FROM chats WHERE id >= ?1 ORDER BY id LIMIT ?2";
    MESSAGES_BETWEEN = "SELECT message_id, sender FROM messages
        WHERE chat_id = ?1 AND message_id > ?2 AND message_id <= ?3 ORDER BY message_id LIMIT ?4";
    CONSUMER = "SELECT target, position, scan_to, scan_chat, scan_message FROM consumers WHERE name = ?1";
    SET_CONSUMER = "INSERT OR REPLACE INTO consumers (name, target, position, scan_to, scan_chat, scan_message)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    INSERT_DEAD_LETTER = "INSERT OR REPLACE INTO dead_letters (consumer, event_id, event, why, at)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    PRUNE_DEAD_LETTERS = "DELETE FROM dead_letters WHERE at < ?1";

    // Notifications
    INSERT_NOTIFICATION = "INSERT OR IGNORE INTO notifications
        (user_id, message_id, chat_id, sender_id, read, header, body)
        SELECT id, ?2, ?3, ?4, ?5, ?6, ?7 FROM accounts WHERE id = ?1";
    NOTIFICATIONS_BEFORE = "SELECT message_id, chat_id, sender_id, read, header, body FROM notifications
        WHERE user_id = ?1 AND message_id < ?2 AND (message_id > ?3 OR sender_id = ?1)
        ORDER BY message_id DESC";
    NOTIFICATION_EXISTS = "SELECT 1 FROM notifications WHERE user_id = ?1 AND message_id = ?2";
    READ_NOTIFICATION = "UPDATE notifications SET read = 1 WHERE user_id = ?1 AND message_id = ?2";
    READ_NOTIFICATIONS_OF_CHAT = "UPDATE notifications SET read = 1
        WHERE user_id = ?1 AND chat_id = ?2 AND message_id <= ?3 AND read = 0";
    DELETE_NOTIFICATION = "DELETE FROM notifications WHERE user_id = ?1 AND message_id = ?2";
    DELETE_NOTIFICATIONS_OF_CHAT = "DELETE FROM notifications WHERE user_id = ?1 AND chat_id = ?2";
    DELETE_NOTIFICATIONS = "DELETE FROM notifications WHERE user_id = ?1";
    PRUNE_NOTIFICATIONS = "DELETE FROM notifications WHERE user_id = ?1 AND message_id < ?2";
    PRUNE_NOTIFICATIONS_OF_MESSAGES = "DELETE FROM notifications
        WHERE user_id = ?1 AND message_id <= ?2 AND sender_id != ?1";
    PREFERENCES = "SELECT preferences FROM notification_preferences WHERE user_id = ?1";
    SET_PREFERENCES = "INSERT OR REPLACE INTO notification_preferences (user_id, preferences)
        SELECT id, ?2 FROM accounts WHERE id = ?1";
    DELETE_PREFERENCES = "DELETE FROM notification_preferences WHERE user_id = ?1";

    // Rebuilds of the search index
    REINDEX = "SELECT id, started_at, started_by, attempts, done, total, ended_at, failure, free_at,
        skipped, first_skipped FROM reindex WHERE only = 0";
    SET_REINDEX = "INSERT OR REPLACE INTO reindex
        (only, id, started_at, started_by, attempts, done, total, ended_at, failure, free_at, skipped, first_skipped)
        VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

    // How long messages are kept
    HORIZON = "SELECT at FROM horizon WHERE only = 0";
    RAISE_HORIZON = "INSERT INTO horizon (only, at) VALUES (0, ?1)
        ON CONFLICT (only) DO UPDATE SET at = max(at, excluded.at)";

    // Clock
    CLOCK = "SELECT newest FROM clock WHERE only = 0";
    SET_CLOCK = "INSERT INTO clock (only, newest) VALUES (0, ?1)
        ON CONFLICT (only) DO UPDATE SET newest = max(newest, excluded.newest)";
}

/// Counts whole tables, so it has no index to go by. Asked for by admins only.
pub(super) const STATISTICS: &str = "SELECT (SELECT count(*) FROM accounts),
    (SELECT count(*) FROM accounts WHERE disabled_at IS NOT NULL), (SELECT count(*) FROM accounts WHERE admin),
    (SELECT count(*) FROM sessions), (SELECT count(*) FROM reports WHERE resolved_at IS NULL)";

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
