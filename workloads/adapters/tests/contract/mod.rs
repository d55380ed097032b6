//! What every set of stores must do: one suite for all adapters. An adapter's test file gives a factory of [`Stores`]
//! to [`contract_tests!`]. Accounts are random, so a suite can run on a database that others use.

pub mod accounts;
pub mod administration;
pub mod chats;
pub mod deletion;
pub mod erasure;
pub mod history;
pub mod inbox;
pub mod mail;
pub mod media;
pub mod messages;
pub mod notifications;
pub mod push;
pub mod receipts;
pub mod reindex;
pub mod retention;
pub mod sessions;

use std::sync::{Arc, Mutex};

use sentinel_domain::{
    account::{Account, Email, Username},
    event::{Fanout, InboxBody, InboxEvent, LiveEvent},
    ids::{ChatId, MediaId, MessageId, UserId},
    message::{Chat, ClientMessageId, Draft, Message, MessageKind},
    place::InboxPlace,
    ports::{
        AccountStore, AdministrationStore, ChatStore, MailStore, MediaStore, NewAccount, NotificationStore,
        PushDevices, ReindexStore, ReportStore, SessionStore, StoreError,
    },
    time::Timestamp,
};
pub use sentinel_testing::draft;
use uuid::Uuid;

/// Keeps what was published.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<LiveEvent>>);

impl Fanout for Recorder {
    fn publish(&self, events: Vec<LiveEvent>) {
        self.0.lock().unwrap().extend(events);
    }
}

impl Recorder {
    /// What was published since the last call.
    pub fn take(&self) -> Vec<LiveEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The stores of one adapter over one database. `keep` holds what must outlive them, such as a folder.
#[derive(Clone)]
pub struct Stores {
    pub accounts: Arc<dyn AccountStore>,
    pub sessions: Arc<dyn SessionStore>,
    pub chats: Arc<dyn ChatStore>,
    pub media: Arc<dyn MediaStore>,
    pub devices: Arc<dyn PushDevices>,
    pub administration: Arc<dyn AdministrationStore>,
    pub reports: Arc<dyn ReportStore>,
    pub mail: Arc<dyn MailStore>,
    pub reindex: Arc<dyn ReindexStore>,
    pub notifications: Arc<dyn NotificationStore>,
    pub fanout: Arc<Recorder>,
    /// Whether an event is visible before any with a higher id is.
    pub in_order: bool,
    /// Whether a write may be carried out and not answered. Then what is repeated is published again.
    pub in_doubt: bool,
    #[allow(dead_code)] // only dropped
    pub keep: Arc<dyn std::any::Any + Send + Sync>,
}

/// A moment that all tests begin at.
pub const NOW: Timestamp = Timestamp(1_750_000_000_000);

impl Stores {
    pub async fn account(&self) -> Account {
        let id = Uuid::new_v4().simple().to_string();
        self.accounts
            .create_account(new_account(&format!("u{}", &id[..20]), &format!("{id}@example.com")))
            .await
            .unwrap()
    }

    pub async fn user(&self) -> UserId {
        self.account().await.id
    }

    /// Two accounts and their chat.
    pub async fn pair(&self) -> (UserId, UserId, Chat) {
        let (ann, bob) = (self.user().await, self.user().await);
        let (chat, created) = self.chats.start_chat(ann, bob, NOW).await.unwrap();
        assert!(created);
        (ann, bob, chat)
    }

    pub async fn send(&self, chat: ChatId, sender: UserId, text: &str) -> Message {
        self.chats.append(draft(chat, sender, text), None, NOW).await.unwrap().message
    }

    pub async fn send_many(&self, chat: ChatId, sender: UserId, count: usize) -> Vec<MessageId> {
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(self.send(chat, sender, &number.to_string()).await.id);
        }
        ids
    }

    /// The whole inbox after `since`, read in pages.
    pub async fn sync(&self, user: UserId, since: Option<InboxPlace>, page: usize) -> Vec<InboxEvent> {
        let (mut since, mut events) = (since, Vec::new());
        loop {
            let inbox = self.chats.inbox(user, since.clone(), page).await.unwrap();
            assert!(!inbox.reset);
            events.extend(inbox.events);
            if !inbox.more {
                return events;
            }
            since = Some(inbox.next);
        }
    }
}

pub fn new_account(username: &str, email: &str) -> NewAccount {
    NewAccount {
        id: UserId(Uuid::new_v4()),
        username: Username::parse(username).unwrap(),
        email: Email::parse(email).unwrap(),
        password_hash: "$argon2id$".into(),
        created_at: NOW,
    }
}

/// One that shows files.
pub fn draft_with_files(chat: ChatId, sender: UserId, files: &[MediaId]) -> Draft {
    Draft { kind: MessageKind::File, attachments: files.to_vec(), ..draft(chat, sender, "") }
}

pub fn draft_with_id(chat: ChatId, sender: UserId, text: &str, id: &str) -> Draft {
    Draft { client_message_id: Some(ClientMessageId::parse(id.into()).unwrap()), ..draft(chat, sender, text) }
}

/// Runs futures at the same time on all threads of the runtime.
pub async fn all<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

pub fn is_not_found<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound))
}

pub fn is_blocked<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Blocked))
}

/// Ids of the new messages among events.
pub fn message_ids(events: &[InboxEvent]) -> Vec<MessageId> {
    let messages = events.iter().filter_map(|event| match &event.body {
        InboxBody::Message(message) => Some(message.id),
        _ => None,
    });
    messages.collect()
}

/// Defines the suite's tests for a factory: an async function that gives [`Stores`]. An adapter that has only some of the
/// stores names the modules that it can run. `retention` is for stores that keep messages as [`retention::kept`] says.
#[macro_export]
macro_rules! contract_tests {
    (@module accounts $factory:path) => {
        $crate::contract_tests! { @tests $factory; accounts: names_and_addresses_are_unique_also_under_a_race,
            an_account_begins_whole_or_not_at_all, accounts_are_found, profiles_change,
            addresses_are_kept_as_they_were_stored, a_hash_is_renewed_unless_the_password_was_changed, an_account_is_removed_by_whoever_knows_its_password_now,
            the_directory_is_in_order, blocks_are_kept }
    };
    (@module sessions $factory:path) => {
        $crate::contract_tests! { @tests $factory; sessions: sessions_are_listed_and_end,
            one_session_too_many_ends_the_one_that_was_not_used_for_longest, a_session_moves_once_per_generation,
            a_late_refresh_gives_the_current_generation,
            a_reused_or_expired_session_ends, a_new_password_ends_all_others,
            a_password_is_changed_by_whoever_knows_the_one_until_now }
    };
    (@module administration $factory:path) => {
        $crate::contract_tests! { @tests $factory; administration: a_disabled_account_has_no_sessions,
            an_admin_is_made_and_unmade, accounts_are_listed_for_admins, the_audit_log_is_paged_and_outlives_accounts,
            reports_are_kept_and_resolved_once, reports_outlive_both_accounts, who_made_reports_finds_them,
            the_same_report_is_kept_once_also_under_a_race,
            the_same_report_is_another_one_an_hour_later_or_after_an_edit,
            the_same_report_is_answered_though_the_reported_account_is_gone }
    };
    (@module mail $factory:path) => {
        $crate::contract_tests! { @tests $factory; mail: a_link_is_good_once_and_for_its_purpose,
            a_newer_link_replaces_an_older_one, a_reset_changes_the_password_and_ends_sessions,
            of_a_reset_and_a_change_at_once_each_ends_and_no_link_is_left,
            mail_is_taken_by_one_at_a_time_until_it_is_removed, links_and_mail_go_with_the_account }
    };
    (@module reindex $factory:path) => {
        $crate::contract_tests! { @tests $factory; reindex: one_rebuild_runs_at_a_time,
            a_rebuild_that_was_left_is_taken_up, of_many_processes_one_takes_a_rebuild }
    };
    (@module chats $factory:path) => {
        $crate::contract_tests! { @tests $factory; chats: a_pair_has_one_chat_however_many_race, a_note_to_oneself,
            unknown_and_foreign_chats_are_the_same, a_block_cuts_new_chats_and_messages,
            a_block_is_seen_with_the_chat_at_once, the_list_is_in_the_order_of_activity, unread_is_counted,
            the_list_is_paged }
    };
    (@module messages $factory:path) => {
        $crate::contract_tests! { @tests $factory; messages: a_message_is_stored_as_sent, a_client_id_makes_one_message,
            what_was_sent_under_a_client_id_is_found, a_client_id_makes_one_message_under_a_race,
            only_the_author_changes_a_message, a_later_edit_says_so_whatever_the_clock_says,
            deleting_leaves_a_tombstone, nobody_hears_of_an_edit_after_the_deletion,
            an_answer_is_to_a_message_of_the_chat,
            the_order_of_ids_is_the_order_of_events, a_clock_that_goes_back_changes_nothing }
    };
    (@module history $factory:path) => {
        $crate::contract_tests! { @tests $factory; history: messages_of_one_millisecond_page_without_gap_or_repeat,
            pages_tell_what_is_beyond, around_a_message }
    };
    (@module receipts $factory:path) => {
        $crate::contract_tests! { @tests $factory; receipts: watermarks_only_rise, receipts_replace_each_other,
            a_blocked_peer_gets_no_receipt,
            what_was_read_behind_a_block_is_told_when_it_is_read_again, a_receipt_needs_a_message_of_the_chat }
    };
    (@module inbox $factory:path) => {
        $crate::contract_tests! { @tests $factory; inbox: every_message_is_in_both_inboxes_in_order,
            what_happened_is_told_as_it_is_now, a_client_that_is_up_to_date_misses_nothing, an_empty_inbox_has_a_head,
            inboxes_page_evenly }
    };
    (@module media $factory:path) => {
        $crate::contract_tests! { @tests $factory; media: an_upload_is_ready_once, an_upload_has_one_hash,
            an_upload_is_completed_or_given_up, what_is_given_up_while_it_is_completed_is_given_up,
            a_complete_upload_is_given_up_unless_a_message_shows_it, of_sending_and_giving_up_at_once_one_comes_about,
            a_file_is_shown_in_chats_until_it_is_taken_away, a_repeat_attaches_nothing,
            files_are_in_a_chat_as_soon_as_a_message_shows_them_and_not_when_it_was_refused,
            files_of_a_deleted_chat_are_looked_at, what_is_not_used_is_due, an_owners_files_count_and_go_together }
    };
    (@module deletion $factory:path) => {
        $crate::contract_tests! { @tests $factory; deletion: an_account_goes_with_all_that_is_its_own,
            the_peer_hears_of_it, a_name_is_free_again }
    };
    (@module push $factory:path) => {
        $crate::contract_tests! { @tests $factory; push: devices_are_kept_as_they_were_registered, who_has_a_device_is_seen_for_many_users_at_once,
            an_address_has_one_owner_who_registered_it_last, a_device_is_removed_or_forgotten_as_it_was,
            one_user_has_a_bounded_number_of_devices, what_was_pushed_is_remembered_and_never_goes_back,
            devices_go_with_their_account }
    };
    (@module notifications $factory:path) => {
        $crate::contract_tests! { @tests $factory; notifications: notifications_are_listed_newest_first_and_paged,
            what_was_read_stays_read_however_often_it_is_added, reading_a_chat_reads_its_notifications_up_to_there,
            what_is_withdrawn_is_gone, what_was_read_and_then_withdrawn_leaves_no_gap, notices_are_kept_with_their_text_among_the_others, preferences_are_kept_whole,
            preferences_are_replaced_only_by_who_knows_them,
            a_deleted_account_leaves_none }
    };
    (@module retention $factory:path) => {
        $crate::contract_tests! { @tests $factory; retention: a_history_ends_where_messages_are_too_old,
            lists_count_and_show_only_what_is_kept, what_is_too_old_can_not_be_changed,
            an_event_of_what_is_too_old_is_of_nothing,
            a_repeat_of_what_is_too_old_makes_no_second_message, sync_says_nothing_of_what_is_too_old,
            a_file_is_seen_as_long_as_the_last_message_that_shows_it,
            notifications_end_with_the_messages_that_they_are_about }
    };
    (@tests $factory:path; $module:ident: $($name:ident),+) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                $crate::contract::$module::$name(&$factory().await).await;
            })+
        }
    };
    ($factory:path) => {
        $crate::contract_tests! {
            $factory; accounts, sessions, administration, mail, reindex, chats, messages, history, receipts, inbox, media,
            deletion, notifications, push
        }
    };
    ($factory:path; $($module:ident),+) => {
        $($crate::contract_tests! { @module $module $factory })+
    };
}
