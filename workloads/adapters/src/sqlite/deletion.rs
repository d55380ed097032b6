//! Deletion of an account: one transaction, each statement along an index.

use rusqlite::params;
use sentinel_domain::{
    event::LiveEvent,
    ids::{ChatId, UserId},
    outbox::{Change, PlatformEvent},
    time::Timestamp,
};

use super::{
    batch::{Batch, Event, EventKind},
    failure::Failure,
    media::{condemn_all, leave_chat},
    rows::{self, execute},
    scan,
    sessions::{end, sessions_of},
    statements::{
        CHATS_OF, DELETE_ACCOUNT, DELETE_BLOCKS_BY, DELETE_BLOCKS_OF, DELETE_CHAT, DELETE_INBOX, DELETE_LAST_ACTIVE,
        DELETE_LINKS_OF, DELETE_MAIL_OF, DELETE_MEMBER, DELETE_MESSAGES_OF, DELETE_NOTIFICATIONS,
        DELETE_NOTIFICATIONS_OF_CHAT, DELETE_PREFERENCES, DELETE_PUSH_DEVICES, DELETE_PUSHED, DELETE_PUSHED_OF_CHAT,
        FORGET_REPORTER,
    },
};

/// Deletes an account, which is there, with everything that is about it but reports.
pub(super) fn delete_account(batch: &mut Batch<'_>, id: UserId, now: Timestamp) -> Result<(), Failure> {
    let chats: Vec<ChatId> = {
        let mut select = batch.db.prepare_cached(CHATS_OF)?;
        select.query_map([id.as_bytes()], |row| row.get(0).map(ChatId::from_bytes))?.collect::<Result<_, _>>()?
    };
    for chat in chats {
        delete_chat(batch, id, chat, now)?;
    }
    condemn_all(batch.db, id, now)?;
    for session in sessions_of(batch.db, id)? {
        end(batch, session.id)?;
    }
    let own = [
        DELETE_INBOX,
        DELETE_BLOCKS_BY,
        DELETE_BLOCKS_OF,
        DELETE_LAST_ACTIVE,
        DELETE_NOTIFICATIONS,
        DELETE_PREFERENCES,
        DELETE_PUSH_DEVICES,
        DELETE_PUSHED,
        // What is said in reports stays: it is for others to judge.
        FORGET_REPORTER,
        DELETE_LINKS_OF,
        DELETE_MAIL_OF,
        DELETE_ACCOUNT,
    ];
    for sql in own {
        execute(batch.db, sql, [id.as_bytes()])?;
    }
    Ok(())
}

fn delete_chat(batch: &mut Batch<'_>, leaver: UserId, id: ChatId, now: Timestamp) -> Result<(), Failure> {
    let Some(row) = rows::chat(batch.db, id)? else { return Ok(()) };
    let event = batch.event_id(now);
    // The key goes first: without it the rest is noise, wherever copies of it are.
    execute(batch.db, DELETE_CHAT, [id.as_bytes()])?;
    batch.chats.forget(id);
    batch.destroyed.push(id);
    for member in row.chat.distinct_members() {
        execute(batch.db, DELETE_MEMBER, params![member.as_bytes(), id.as_bytes()])?;
        if *member != leaver {
            for sql in [DELETE_NOTIFICATIONS_OF_CHAT, DELETE_PUSHED_OF_CHAT] {
                execute(batch.db, sql, params![member.as_bytes(), id.as_bytes()])?;
            }
            // Older events of the chat in the peer's inbox say nothing without it: readers leave them out.
            Event::new(event, EventKind::ChatDeleted, id).insert(batch.db, *member)?;
        }
    }
    execute(batch.db, DELETE_MESSAGES_OF, [id.as_bytes()])?;
    // The other's files too: no message shows them any more.
    leave_chat(batch.db, id, now)?;
    let members = row.chat.members;
    batch.events.push(LiveEvent::ChatDeleted { chat: row.chat });
    scan::record(batch, PlatformEvent { event_id: event, chat_id: id, members, change: Change::ChatDeleted })
}
