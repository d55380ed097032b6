//! The table.

use crate::{Kind, Metric, Section, Unit};

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, labels, help }
}

const fn gauge(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels, help }
}

const fn histogram(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, unit, labels, help }
}

/// What the platform's processes emit.
pub const PLATFORM: &[Section] = &[
    Section {
        title: "Requests: every service",
        metrics: &[
            counter(
                "sentinel_http_requests_total",
                &["method", "route", "status"],
                "Requests answered, by the pattern of the path and the status, and those whose client went away before, as 499.",
            ),
            histogram(
                "sentinel_http_request_duration_seconds",
                Unit::Seconds,
                &["method", "route"],
                "From a request's arrival until its answer began, or its client went away. The route of a WebSocket or of long polling is open for long, and that of a file's bytes (/media/files) for as long as a client takes to send them.",
            ),
            counter(
                "sentinel_rate_limited_total",
                &["action"],
                "Refusals because a caller did too much of one action (429).",
            ),
            counter(
                "sentinel_connections_refused_total",
                &[],
                "New connections closed at once, because the process has as many as it has room for; the log says what to do.",
            ),
        ],
    },
    Section {
        title: "Sockets and messages: message",
        metrics: &[
            gauge("sentinel_sockets_open", Unit::Count, &[], "Authenticated sockets that are open."),
            counter(
                "sentinel_sockets_refused_total",
                &["code"],
                "Sockets that were not let in, by the code they were told.",
            ),
            counter(
                "sentinel_sockets_closed_total",
                &["reason"],
                "Sockets that ended: slow_consumer (could not take what was sent), token_expired, session_ended, drained, or what the client did.",
            ),
            counter(
                "sentinel_socket_events_total",
                &["event", "outcome"],
                "Events that clients sent: ok, or the code of the problem they were told.",
            ),
            histogram(
                "sentinel_socket_event_duration_seconds",
                Unit::Seconds,
                &["event"],
                "From an event's arrival until its acknowledgement was ready, waiting for those before it included.",
            ),
            counter(
                "sentinel_socket_forwards_total",
                &["outcome"],
                "Requests for a session of another replica: answered, or why it was lost.",
            ),
            counter("sentinel_messages_appended_total", &[], "Messages written; repeats of a send are not counted."),
            histogram(
                "sentinel_delivery_seconds",
                Unit::Seconds,
                &[],
                "From a message's id, which it gets when it is sent, until it was handed to a socket of the other user. Users without a socket are not counted.",
            ),
            counter("sentinel_presence_shown_total", &[], "Changes of presence that were shown to a socket."),
            counter(
                "sentinel_messages_unreadable_total",
                &[],
                "Times that something stored of a chat could not be read, because it is damaged or its key is missing, and was left out; the log names it. From every service that reads messages.",
            ),
        ],
    },
    Section {
        title: "Between replicas: message, profile Distributed",
        metrics: &[
            counter(
                "sentinel_node_letters_sent_total",
                &[],
                "Letters with live events that were sent to other replicas.",
            ),
            counter(
                "sentinel_node_events_dropped_total",
                &[],
                "Live events that could not be sent to other replicas; their sockets get them from the inboxes.",
            ),
            counter(
                "sentinel_node_leases_lost_total",
                &[],
                "Leases of this replica that Redis did not have any more when they were renewed, be it for want of memory; what was not sent here meanwhile is looked for in inboxes.",
            ),
            counter(
                "sentinel_node_gaps_total",
                &["cause"],
                "Times that live events of other replicas may have been missed: gap, lost_by_sender, interruption.",
            ),
            counter(
                "sentinel_inbox_repairs_total",
                &[],
                "Rounds of looking for missed events in the inboxes of users here.",
            ),
            counter("sentinel_inbox_repaired_events_total", &[], "Missed events that were shown from an inbox."),
        ],
    },
    Section {
        title: "Events to search and notification",
        metrics: &[
            gauge(
                "sentinel_outbox_oldest_seconds",
                Unit::Seconds,
                &["shard"],
                "Profile Distributed: age of the oldest event that waits for Kafka, 0 when none does; from the replica that has the shard.",
            ),
            counter(
                "sentinel_outbox_relayed_total",
                &[],
                "Profile Distributed: events taken from the outbox to Kafka.",
            ),
            gauge(
                "sentinel_events_oldest_seconds",
                Unit::Seconds,
                &["group"],
                "Profile Distributed: age of the oldest event that the group has read from Kafka and not handled, 0 when there is none; from each pod that reads as the group.",
            ),
            gauge(
                "sentinel_events_waiting",
                Unit::Count,
                &["group"],
                "Profile Embedded: events in memory that the group has yet to handle.",
            ),
            counter(
                "sentinel_events_total",
                &["group", "outcome"],
                "Events of a group: handled, postponed (a try that failed because something is away), dead (can never be handled; in the dead letters).",
            ),
        ],
    },
    Section {
        title: "Accounts: users",
        metrics: &[
            counter("sentinel_logins_total", &["result"], "Log-ins: accepted, refused, disabled."),
            counter(
                "sentinel_password_queue_full_total",
                &[],
                "Requests refused (503) because too many passwords waited to be hashed.",
            ),
            counter(
                "sentinel_refresh_tokens_reused_total",
                &[],
                "Refresh tokens that came a second time, so that their session was ended: perhaps somebody stole one.",
            ),
            counter("sentinel_reports_total", &[], "Reports of people about messages or users."),
            counter("sentinel_mails_queued_total", &["purpose"], "Mails queued: verify_email, reset_password."),
            counter(
                "sentinel_mails_total",
                &["outcome"],
                "Tries to send a mail: sent, delayed, given_up, expired, given_back.",
            ),
        ],
    },
    Section {
        title: "Notifications and pushes: notification",
        metrics: &[
            counter("sentinel_notifications_total", &[], "Notifications of messages that were written."),
            counter(
                "sentinel_notifications_withheld_total",
                &["reason"],
                "Messages that nobody was notified of, and why: read, muted, blocked, deleted, own_note and so on.",
            ),
            counter("sentinel_notices_total", &[], "Users who were told a notice of an admin."),
            counter(
                "sentinel_pushes_total",
                &["platform", "outcome"],
                "Pushes to devices: accepted, address_gone, or what failed.",
            ),
            counter(
                "sentinel_pushes_withheld_total",
                &["reason"],
                "Pushes that nobody needed, and why: read, muted, quiet_hours, pushed and so on.",
            ),
            counter(
                "sentinel_push_users_unreadable_total",
                &[],
                "Times that nothing was pushed to a user because what is stored of the devices can't be read; the log names the user.",
            ),
            counter("sentinel_push_access_tokens_total", &[], "Access tokens got for FCM."),
            counter(
                "sentinel_push_services_away_total",
                &[],
                "Times that a push service only failed and was left alone for half a minute.",
            ),
        ],
    },
    Section {
        title: "Search: search",
        metrics: &[
            histogram(
                "sentinel_search_index_delay_seconds",
                Unit::Seconds,
                &[],
                "From an event until the index had it; one sample for each batch, of its last event.",
            ),
            counter("sentinel_search_indexed_total", &["result"], "Entries of the index that were put or removed."),
            gauge(
                "sentinel_search_reindex_needed",
                Unit::Flag,
                &[],
                "1 while messages may not be found until the search index is built anew.",
            ),
            histogram(
                "sentinel_search_engine_request_seconds",
                Unit::Seconds,
                &["operation"],
                "Profile Distributed: requests to Elasticsearch or OpenSearch, each try by itself.",
            ),
            counter(
                "sentinel_search_engine_errors_total",
                &["operation"],
                "Profile Distributed: tries of requests to Elasticsearch or OpenSearch that failed.",
            ),
        ],
    },
    Section {
        title: "Files: media",
        metrics: &[
            counter("sentinel_media_uploads_total", &[], "Uploads announced."),
            counter("sentinel_media_completed_total", &[], "Uploads completed."),
            counter("sentinel_media_given_up_total", &[], "Uploads that their owners gave up."),
            counter(
                "sentinel_media_refused_total",
                &[],
                "Uploads refused for what was put: size, hash, type, picture.",
            ),
            histogram(
                "sentinel_media_picture_seconds",
                Unit::Seconds,
                &[],
                "Checking a picture and making what is shown of it, without waiting for memory.",
            ),
        ],
    },
    Section {
        title: "Stores",
        metrics: &[
            histogram(
                "sentinel_sqlite_batch_commands",
                Unit::Count,
                &[],
                "Profile Embedded: commands of the writer that shared a commit.",
            ),
            histogram(
                "sentinel_sqlite_batch_seconds",
                Unit::Seconds,
                &[],
                "Profile Embedded: a batch of the writer, commit included.",
            ),
            histogram(
                "sentinel_cassandra_batch_seconds",
                Unit::Seconds,
                &["outcome"],
                "Profile Distributed: batches that Cassandra was given: ok, error.",
            ),
            counter(
                "sentinel_cassandra_writes_not_followed_total",
                &[],
                "Profile Distributed: writes of messages, receipts and chats that Cassandra did not answer and that nobody looked for to the end, as it was away for ten minutes or too many were looked for. Who is connected hears of such a write, if it was carried out, with its repeat or the next sync.",
            ),
            gauge(
                "sentinel_cassandra_clock_apart_seconds",
                Unit::Seconds,
                &[],
                "Profile Distributed: how far this machine's clock is from that of most nodes of Cassandra. Beyond 15 the process is not ready and leaves Cassandra alone.",
            ),
            gauge(
                "sentinel_postgres_connections",
                Unit::Count,
                &["state"],
                "Profile Distributed: connections to Postgres: idle, busy.",
            ),
            counter(
                "sentinel_redis_failures_total",
                &[],
                "Profile Distributed: calls of Redis, and attempts to connect, that failed.",
            ),
            counter(
                "sentinel_redis_subscription_failures_total",
                &[],
                "Profile Distributed: subscriptions at Redis that broke or could not be made.",
            ),
            gauge(
                "sentinel_redis_clock_apart_seconds",
                Unit::Seconds,
                &[],
                "Profile Distributed: how far the clock of Redis is from this machine's. Ids of messages are as far from others'.",
            ),
        ],
    },
];

/// What the operator emits.
pub const OPERATOR: &[Section] = &[Section {
    title: "The operator",
    metrics: &[
        counter("sentinel_operator_reconciles_total", &["result"], "Reconciles of a resource: ok, error."),
        histogram("sentinel_operator_reconcile_seconds", Unit::Seconds, &[], "One reconcile of a resource."),
        gauge("sentinel_operator_leader", Unit::Flag, &[], "1 while this replica has the lease and works."),
    ],
}];

/// What the operator tells of the chats that there are when it is scraped.
pub const CHATS: &[Section] = &[Section {
    title: "Chats: the operator",
    metrics: &[gauge(
        "sentinel_operator_chat_condition",
        Unit::Flag,
        &["namespace", "name", "type", "status", "reason"],
        "1 for each condition of each chat, as its status has it; gone with the chat. From the replica that works. Scrape it with honor_labels, or namespace is called exported_namespace.",
    )],
}];
