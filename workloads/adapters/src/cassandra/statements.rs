//! Every statement, prepared once. Writes name the time of what they write, so writing the same again changes nothing.

use std::{sync::Arc, time::Duration};

use scylla::{
    client::{execution_profile::ExecutionProfileHandle, session::Session},
    errors::PrepareError,
    policies::speculative_execution::SimpleSpeculativeExecutionPolicy,
    statement::prepared::PreparedStatement,
};

/// How long a read waits before another replica is asked too.
const SECOND_TRY: Duration = Duration::from_millis(250);

/// What may be done with a statement that has not been answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Asked again, also before the first answer.
    Read,
    /// Written again after a failure.
    Write,
    /// A light-weight transaction: not repeated, because its first try may have been it.
    Decide,
}

macro_rules! statements {
    ($($name:ident: $kind:ident = $cql:literal;)+) => {
        pub(super) struct Statements {
            $(pub(super) $name: PreparedStatement,)+
        }

        impl Statements {
            /// Prepares all of them.
            pub(super) async fn prepare(session: &Session) -> Result<Box<Self>, PrepareError> {
                let reads = reads(session);
                Ok(Box::new(Self { $($name: prepare(session, &reads, $cql, Kind::$kind).await?,)+ }))
            }
        }
    };
}

fn reads(session: &Session) -> ExecutionProfileHandle {
    let again = SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: SECOND_TRY };
    let profile = session.get_default_execution_profile_handle().pointee_to_builder();
    profile.speculative_execution_policy(Some(Arc::new(again))).build().into_handle()
}

async fn prepare(
    session: &Session,
    reads: &ExecutionProfileHandle,
    cql: &str,
    kind: Kind,
) -> Result<PreparedStatement, PrepareError> {
    let mut prepared = session.prepare(cql).await?;
    prepared.set_is_idempotent(kind != Kind::Decide);
    if kind == Kind::Read {
        prepared.set_execution_profile_handle(Some(reads.clone()));
    }
    Ok(prepared)
}

statements! {
    // Chats
    chat: Read = "SELECT member, low, high, created_at, started, starter, kek, chat_key, newest, delivered_up_to,
        read_up_to, shown_delivered, shown_read, blocks FROM chats WHERE chat_id = ?";
    start_chat: Decide = "UPDATE chats SET low = ?, high = ?, created_at = ?, started = ?, starter = ?, kek = ?, chat_key = ?
        WHERE chat_id = ? IF created_at = null";
    destroy_chat: Decide = "DELETE low, high, created_at, started, starter, kek, chat_key FROM chats
        WHERE chat_id = ? IF created_at = ?";
    all_keys: Read = "SELECT DISTINCT chat_id, kek, chat_key FROM chats";
    set_key: Decide = "UPDATE chats SET kek = ?, chat_key = ? WHERE chat_id = ? IF kek = ? AND chat_key = ?";
    keks: Read = "SELECT kek, sample FROM keks";
    insert_kek: Write = "INSERT INTO keks (kek, sample) VALUES (?, ?)";
    delete_kek: Write = "DELETE FROM keks WHERE kek = ?";
    delete_member: Write = "DELETE FROM chats USING TIMESTAMP ? WHERE chat_id = ? AND member = ?";
    set_newest: Write = "UPDATE chats USING TIMESTAMP ? SET newest = ? WHERE chat_id = ?";
    set_delivered: Write = "UPDATE chats USING TIMESTAMP ? SET delivered_up_to = ? WHERE chat_id = ? AND member = ?";
    set_read: Write = "UPDATE chats USING TIMESTAMP ? SET read_up_to = ? WHERE chat_id = ? AND member = ?";
    set_shown_delivered: Write = "UPDATE chats USING TIMESTAMP ? SET shown_delivered = ? WHERE chat_id = ? AND member = ?";
    set_shown_read: Write = "UPDATE chats USING TIMESTAMP ? SET shown_read = ? WHERE chat_id = ? AND member = ?";
    block_written: Read = "SELECT WRITETIME(blocks) FROM chats WHERE chat_id = ? AND member = ?";
    set_blocks: Write = "UPDATE chats USING TIMESTAMP ? SET blocks = ? WHERE chat_id = ? AND member = ?";

    // Lists
    user_chats: Read = "SELECT chat_id, peer, activity, receipt, peer_receipt, delivered, read, peer_delivered, peer_read
        FROM user_chats WHERE user_id = ?";
    user_chat: Read = "SELECT activity FROM user_chats WHERE user_id = ? AND chat_id = ?";
    insert_user_chat: Write = "INSERT INTO user_chats (user_id, chat_id, peer, activity) VALUES (?, ?, ?, ?)
        USING TIMESTAMP ?";
    set_activity: Write = "UPDATE user_chats USING TIMESTAMP ? SET activity = ? WHERE user_id = ? AND chat_id = ?";
    receipt: Read = "SELECT receipt FROM user_chats WHERE user_id = ? AND chat_id = ?";
    set_receipt: Write = "UPDATE user_chats USING TIMESTAMP ? SET receipt = ? WHERE user_id = ? AND chat_id = ?";
    set_peer_receipt: Write = "UPDATE user_chats USING TIMESTAMP ? SET peer_receipt = ? WHERE user_id = ? AND chat_id = ?";
    set_own_delivered: Write = "UPDATE user_chats USING TIMESTAMP ? SET delivered = ? WHERE user_id = ? AND chat_id = ?";
    set_own_read: Write = "UPDATE user_chats USING TIMESTAMP ? SET read = ? WHERE user_id = ? AND chat_id = ?";
    set_peer_delivered: Write = "UPDATE user_chats USING TIMESTAMP ? SET peer_delivered = ?
        WHERE user_id = ? AND chat_id = ?";
    set_peer_read: Write = "UPDATE user_chats USING TIMESTAMP ? SET peer_read = ? WHERE user_id = ? AND chat_id = ?";
    delete_user_chat: Write = "DELETE FROM user_chats USING TIMESTAMP ? WHERE user_id = ? AND chat_id = ?";

    // Messages
    chat_buckets: Read = "SELECT bucket FROM chat_buckets WHERE chat_id = ?";
    first_chats: Read = "SELECT DISTINCT chat_id FROM chat_buckets LIMIT ?";
    chats_after: Read = "SELECT DISTINCT chat_id FROM chat_buckets WHERE token(chat_id) > token(?) LIMIT ?";
    all_chat_buckets: Read = "SELECT chat_id, bucket FROM chat_buckets";
    delete_chat_bucket: Write = "DELETE FROM chat_buckets USING TIMESTAMP ? WHERE chat_id = ? AND bucket = ?";
    insert_chat_bucket: Write = "INSERT INTO chat_buckets (chat_id, bucket) VALUES (?, ?) USING TIMESTAMP ?";
    delete_chat_buckets: Write = "DELETE FROM chat_buckets USING TIMESTAMP ? WHERE chat_id = ?";
    insert_message: Write = "INSERT INTO messages
        (chat_id, bucket, message_id, sender, kind, reply_to, client_message_id, body)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    messages: Read = "SELECT message_id, sender, kind, reply_to, client_message_id, edited_at, body, deleted,
        WRITETIME(body) FROM messages WHERE chat_id = ? AND bucket = ? AND message_id IN ?";
    messages_until: Read = "SELECT message_id, sender, kind, reply_to, client_message_id, edited_at, body, deleted,
        WRITETIME(body) FROM messages WHERE chat_id = ? AND bucket = ? AND message_id <= ? LIMIT ?";
    messages_before: Read = "SELECT message_id, sender, kind, reply_to, client_message_id, edited_at, body, deleted,
        WRITETIME(body) FROM messages WHERE chat_id = ? AND bucket = ? AND message_id < ? LIMIT ?";
    messages_after: Read = "SELECT message_id, sender, kind, reply_to, client_message_id, edited_at, body, deleted,
        WRITETIME(body) FROM messages WHERE chat_id = ? AND bucket = ? AND message_id > ? ORDER BY message_id LIMIT ?";
    newest_from: Read = "SELECT message_id FROM messages WHERE chat_id = ? AND bucket = ? AND message_id >= ?
        ORDER BY message_id DESC LIMIT ?";
    newest_until: Read = "SELECT message_id FROM messages WHERE chat_id = ? AND bucket = ? AND message_id <= ?
        ORDER BY message_id DESC LIMIT ?";
    sender: Read = "SELECT sender FROM messages WHERE chat_id = ? AND bucket = ? AND message_id = ?";
    unread: Read = "SELECT message_id, sender, deleted FROM messages WHERE chat_id = ? AND bucket = ? AND message_id > ?
        ORDER BY message_id LIMIT ?";
    edit_message: Write = "UPDATE messages USING TIMESTAMP ? SET edited_at = ?, body = ?
        WHERE chat_id = ? AND bucket = ? AND message_id = ?";
    delete_body: Write = "DELETE body FROM messages USING TIMESTAMP ? WHERE chat_id = ? AND bucket = ? AND message_id = ?";
    set_deleted: Write = "UPDATE messages USING TIMESTAMP ? SET deleted = true
        WHERE chat_id = ? AND bucket = ? AND message_id = ?";
    deletion_written: Read = "SELECT WRITETIME(deleted) FROM messages WHERE chat_id = ? AND bucket = ? AND message_id = ?";
    bury_message: Write = "DELETE FROM messages USING TIMESTAMP ? WHERE chat_id = ? AND bucket = ? AND message_id = ?";
    delete_messages: Write = "DELETE FROM messages USING TIMESTAMP ? WHERE chat_id = ? AND bucket = ?";

    // Client message ids
    attempts: Read = "SELECT message_id, chat_id, mark, TTL(chat_id) FROM sent
        WHERE sender_id = ? AND client_message_id = ?";
    insert_attempt: Write = "INSERT INTO sent (sender_id, client_message_id, message_id, chat_id)
        VALUES (?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?";
    mark_attempt: Write = "UPDATE sent USING TIMESTAMP ? AND TTL ? SET mark = ?
        WHERE sender_id = ? AND client_message_id = ? AND message_id = ?";
    bury_attempt: Write = "DELETE FROM sent USING TIMESTAMP ?
        WHERE sender_id = ? AND client_message_id = ? AND message_id = ?";

    // How long messages are kept
    horizon: Read = "SELECT at FROM horizon WHERE only = 0";
    set_horizon: Write = "INSERT INTO horizon (only, at) VALUES (0, ?) USING TIMESTAMP ?";
    now: Read = "SELECT toTimestamp(now()) FROM system.local";

    // Inboxes
    inbox_buckets: Read = "SELECT bucket, first_written FROM inbox_buckets WHERE user_id = ?";
    insert_inbox_bucket: Write = "INSERT INTO inbox_buckets (user_id, bucket, first_written) VALUES (?, ?, ?)
        USING TIMESTAMP ?";
    delete_inbox_buckets: Write = "DELETE FROM inbox_buckets USING TIMESTAMP ? WHERE user_id = ?";
    insert_event: Write = "INSERT INTO inbox (user_id, bucket, event_id, kind, chat_id, subject)
        VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?";
    events_after: Read = "SELECT event_id, kind, chat_id, subject FROM inbox
        WHERE user_id = ? AND bucket = ? AND event_id > ? LIMIT ?";
    newest_events: Read = "SELECT event_id FROM inbox WHERE user_id = ? AND bucket = ? AND event_id > ?
        ORDER BY event_id DESC LIMIT ?";
    bury_event: Write = "DELETE FROM inbox USING TIMESTAMP ? WHERE user_id = ? AND bucket = ? AND event_id = ?";
    delete_events: Write = "DELETE FROM inbox USING TIMESTAMP ? WHERE user_id = ? AND bucket = ?";

    // Files
    insert_media: Decide = "INSERT INTO media (media_id, owner, filename, content_type, size, sha256, state)
        VALUES (?, ?, ?, ?, ?, ?, 0) IF NOT EXISTS";
    media: Read = "SELECT media_id, owner, filename, content_type, size, sha256, state, shown_size, width, height
        FROM media WHERE media_id = ?";
    require_media_hash: Decide = "UPDATE media SET sha256 = ? WHERE media_id = ? IF state = 0 AND sha256 = null";
    complete_media: Decide = "UPDATE media SET state = 1, content_type = ?, shown_size = ?, width = ?, height = ? WHERE media_id = ?
        IF state = 0";
    give_up_media: Decide = "UPDATE media SET state = 2 WHERE media_id = ? IF state = 0";
    begin_leaving: Decide = "INSERT INTO media_leaving (media_id, outcome) VALUES (?, 0) IF NOT EXISTS USING TTL ?";
    end_leaving: Decide = "UPDATE media_leaving USING TTL ? SET outcome = ? WHERE media_id = ? IF outcome = 0";
    leaving: Read = "SELECT outcome FROM media_leaving WHERE media_id = ?";
    condemn_media: Decide = "UPDATE media SET state = 2 WHERE media_id = ? IF EXISTS";
    delete_media: Decide = "DELETE FROM media WHERE media_id = ? IF EXISTS";
    insert_owned: Write = "INSERT INTO media_of_owner (owner, media_id, size) VALUES (?, ?, ?) USING TIMESTAMP ?";
    owned_media: Read = "SELECT media_id FROM media_of_owner WHERE owner = ?";
    owned_media_after: Read = "SELECT media_id FROM media_of_owner WHERE owner = ? AND media_id > ? LIMIT ?";
    media_usage: Read = "SELECT count(*), sum(size) FROM media_of_owner WHERE owner = ?";
    delete_owned: Write = "DELETE FROM media_of_owner USING TIMESTAMP ? WHERE owner = ? AND media_id = ?";
    attach_media: Write = "INSERT INTO media_chats (media_id, chat_id) VALUES (?, ?) USING TIMESTAMP ?";
    chats_of_media: Read = "SELECT chat_id FROM media_chats WHERE media_id = ?";
    chats_of_media_after: Read = "SELECT chat_id FROM media_chats WHERE media_id = ? AND chat_id > ? LIMIT ?";
    chat_of_media: Read = "SELECT chat_id FROM media_chats WHERE media_id = ? AND chat_id = ?";
    insert_sending: Write = "INSERT INTO media_sending (media_id, chat_id, sent_at) VALUES (?, ?, ?)
        USING TIMESTAMP ? AND TTL ?";
    sending_after: Read = "SELECT chat_id, sent_at FROM media_sending WHERE media_id = ? AND chat_id > ? LIMIT ?";
    sending_to: Read = "SELECT sent_at FROM media_sending WHERE media_id = ? AND chat_id = ?";
    delete_sending: Write = "DELETE FROM media_sending USING TIMESTAMP ? WHERE media_id = ? AND chat_id = ?";
    delete_sending_of_media: Write = "DELETE FROM media_sending USING TIMESTAMP ? WHERE media_id = ?";
    detach_media: Write = "DELETE FROM media_chats USING TIMESTAMP ? WHERE media_id = ? AND chat_id = ?";
    delete_media_chats: Write = "DELETE FROM media_chats USING TIMESTAMP ? WHERE media_id = ?";
    insert_chat_media: Write = "INSERT INTO chat_media (chat_id, media_id) VALUES (?, ?) USING TIMESTAMP ?";
    media_of_chat: Read = "SELECT media_id FROM chat_media WHERE chat_id = ?";
    delete_chat_media: Write = "DELETE FROM chat_media USING TIMESTAMP ? WHERE chat_id = ? AND media_id = ?";
    delete_media_of_chat: Write = "DELETE FROM chat_media USING TIMESTAMP ? WHERE chat_id = ?";
    insert_attached: Write = "INSERT INTO media_attached (chat_id, media_id, attached_at) VALUES (?, ?, ?)
        USING TIMESTAMP ?";
    attached: Read = "SELECT attached_at, WRITETIME(attached_at) FROM media_attached
        WHERE chat_id = ? AND media_id = ?";
    all_chat_media: Read = "SELECT chat_id, media_id FROM chat_media";
    delete_attached: Write = "DELETE FROM media_attached USING TIMESTAMP ? WHERE chat_id = ? AND media_id = ?";
    delete_attached_of_chat: Write = "DELETE FROM media_attached USING TIMESTAMP ? WHERE chat_id = ?";
    insert_due: Write = "INSERT INTO media_due (hour, at, media_id) VALUES (?, ?, ?) USING TIMESTAMP ?";
    media_due: Read = "SELECT at, media_id FROM media_due
        WHERE hour = ? AND (at, media_id) > (?, ?) AND (at) <= (?) LIMIT ?";
    delete_due: Write = "DELETE FROM media_due USING TIMESTAMP ? WHERE hour = ? AND at = ? AND media_id = ?";

    // Outbox
    insert_outbox: Write = "INSERT INTO outbox (shard, minute, event_id, chat_id, low, high, kind, subject, actor, before)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?";
    outbox_after: Read = "SELECT event_id, chat_id, low, high, kind, subject, actor, before FROM outbox
        WHERE shard = ? AND minute = ? AND event_id > ? LIMIT ?";
    bury_outbox: Write = "DELETE FROM outbox USING TIMESTAMP ? WHERE shard = ? AND minute = ? AND event_id = ?";
    drop_minute: Write = "DELETE FROM outbox USING TIMESTAMP ? WHERE shard = ? AND minute = ?";
    progress: Read = "SELECT next_minute FROM outbox_progress WHERE shard = ?";
    set_progress: Write = "UPDATE outbox_progress USING TIMESTAMP ? SET next_minute = ? WHERE shard = ?";
    lease_holder: Read = "SELECT holder FROM leases WHERE shard = ?";
    renew_lease: Decide = "UPDATE leases USING TTL ? SET holder = ? WHERE shard = ? IF holder = ?";
    take_lease: Decide = "UPDATE leases USING TTL ? SET holder = ? WHERE shard = ? IF holder = null";
    release_lease: Decide = "DELETE holder FROM leases WHERE shard = ? IF holder = ?";

    // Notifications
    insert_notification: Write = "INSERT INTO notifications (user_id, message_id, chat_id, sender) VALUES (?, ?, ?, ?)
        USING TIMESTAMP ? AND TTL ?";
    notification: Read = "SELECT message_id, chat_id, sender, read FROM notifications WHERE user_id = ? AND message_id = ?";
    notifications: Read = "SELECT message_id, chat_id, sender, read FROM notifications
        WHERE user_id = ? AND message_id < ? LIMIT ?";
    notifications_between: Read = "SELECT message_id, chat_id, sender, read FROM notifications
        WHERE user_id = ? AND message_id > ? AND message_id <= ? LIMIT ?";
    set_notification_read: Write = "UPDATE notifications USING TIMESTAMP ? AND TTL ? SET read = true
        WHERE user_id = ? AND message_id = ?";
    withdraw_notification: Write = "UPDATE notifications USING TIMESTAMP ? AND TTL ? SET chat_id = ?, sender = ?
        WHERE user_id = ? AND message_id = ?";
    insert_notice: Write = "INSERT INTO notices (user_id, message_id, header, body) VALUES (?, ?, ?, ?)
        USING TIMESTAMP ? AND TTL ?";
    notices: Read = "SELECT message_id, header, body FROM notices
        WHERE user_id = ? AND message_id >= ? AND message_id <= ?";
    delete_notices: Write = "DELETE FROM notices USING TIMESTAMP ? WHERE user_id = ?";
    delete_notifications: Write = "DELETE FROM notifications USING TIMESTAMP ? WHERE user_id = ?";
    preferences: Read = "SELECT preferences FROM notification_preferences WHERE user_id = ?";
    preferences_written: Read = "SELECT WRITETIME(preferences) FROM notification_preferences WHERE user_id = ?";
    set_preferences: Write = "UPDATE notification_preferences USING TIMESTAMP ? SET preferences = ? WHERE user_id = ?";
    replace_preferences: Decide = "UPDATE notification_preferences SET preferences = ? WHERE user_id = ?
        IF preferences = ?";
    first_preferences: Decide = "UPDATE notification_preferences SET preferences = ? WHERE user_id = ?
        IF preferences = null";
    delete_preferences: Write = "DELETE FROM notification_preferences USING TIMESTAMP ? WHERE user_id = ?";

    // Pushes
    push_devices: Read = "SELECT device_id, session_id, registered_at, address, WRITETIME(address) AS written
        FROM push_devices WHERE user_id = ? LIMIT ?";
    insert_push_device: Write = "INSERT INTO push_devices (user_id, device_id, session_id, registered_at, address)
        VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?";
    delete_push_devices: Write = "DELETE FROM push_devices USING TIMESTAMP ? WHERE user_id = ?";
    push_address: Read = "SELECT user_id, device_id, WRITETIME(device_id) AS written
        FROM push_addresses WHERE fingerprint = ?";
    insert_push_address: Write = "INSERT INTO push_addresses (fingerprint, user_id, device_id)
        VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL ?";
    pushed: Read = "SELECT message_id FROM pushed WHERE user_id = ? AND chat_id = ?";
    set_pushed: Write = "UPDATE pushed USING TIMESTAMP ? AND TTL ? SET message_id = ? WHERE user_id = ? AND chat_id = ?";
    clear_pushed: Write = "DELETE FROM pushed USING TIMESTAMP ? WHERE user_id = ? AND chat_id = ?";
    delete_pushed: Write = "DELETE FROM pushed USING TIMESTAMP ? WHERE user_id = ?";

    check: Read = "SELECT key FROM system.local";
}
