//! What the events of sockets carry, for their description: `AsyncAPI` from the very types that handlers read and write.

use std::collections::BTreeMap;

use sentinel_domain::{ids::MessageId, message::ClientMessageId, time::Timestamp};
use sentinel_http::{
    problem::Code,
    views::{MessageView, NotificationView},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

use crate::{
    requests::{
        EditMessage, Heartbeat, OneMessage, Reauthenticate, ReceivedAll, SendMessage, StartChat, SyncSince, Typing,
        WatchedUsers,
    },
    socket::Namespace,
    sync::SyncPage,
    views::{
        ChatDeleted, ChatStarted, DeletedMessage, NewMessageView, NotificationReadView, PresenceView, PresencesView,
        ReadyView, ReceiptView, ReceivedView, StartedChat, TokenExpiring, TypingView,
    },
};

/// Where every event of chats is.
const CHAT: &[Namespace] = &[Namespace::Chat];
/// Where what users are told of is.
const NOTIFICATIONS: &[Namespace] = &[Namespace::Notifications];
/// Where tokens are renewed: each namespace has one of its own.
const EVERYWHERE: &[Namespace] = &Namespace::ALL;

type Schemas = BTreeMap<String, Value>;

/// An event that clients send, and what its acknowledgement says besides `status`.
pub(crate) struct Sends {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// The namespaces that take it.
    namespaces: &'static [Namespace],
    payload: Value,
    acknowledgement: Value,
    /// Codes with which it may be refused, besides those of any event.
    refusals: &'static [Code],
}

/// An event that clients get.
pub(crate) struct Gets {
    /// Its name.
    pub name: &'static str,
    /// When it comes.
    pub summary: &'static str,
    /// The namespaces that it comes in.
    namespaces: &'static [Namespace],
    payload: Value,
}

/// The acknowledgement of `send_message`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sent<'a> {
    /// Always `ok`.
    pub status: &'static str,
    /// The message's id.
    #[schema(value_type = uuid::Uuid)]
    pub message_id: MessageId,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// The sender's own id of it.
    #[schema(value_type = Option<String>)]
    pub client_message_id: Option<&'a ClientMessageId>,
    /// Whether it had been sent before.
    pub duplicate: bool,
}

/// The acknowledgement of an event that was refused.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refused<'a> {
    /// Always `error`.
    pub status: &'static str,
    /// What happened, for programs; stable. Besides the codes of its own that its acknowledgement names, any event may get
    /// `malformed` (it is not one JSON object), `invalid_request` (a field is missing or wrong), `forbidden` (its `user_id` or
    /// `sender_id` is not the caller), `unknown_event`, `rate_limited`, `too_many_events`, `unavailable` or `internal`.
    #[schema(example = "not_found")]
    pub code: &'static str,
    /// What happened and what to do, for people.
    pub detail: &'a str,
    /// Seconds after which to try again, where that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Of what there was too much; there with `rate_limited`. The guide lists them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "message")]
    pub limit: Option<&'static str>,
}

/// The acknowledgement of `reauthenticate`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reauthenticated {
    /// When the new token expires.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// The description of all namespaces, without `info`.
pub(crate) struct Description {
    schemas: Schemas,
    sends: Vec<Sends>,
    gets: Vec<Gets>,
}

impl Description {
    /// Describes every event there is.
    pub fn new() -> Self {
        let mut all = Self { schemas: Schemas::new(), sends: Vec::new(), gets: Vec::new() };
        all.clients_send();
        all.clients_get();
        all.clients_are_told();
        all.tokens_are_renewed();
        all.refer::<Refused<'_>>();
        all
    }

    fn clients_send(&mut self) {
        let nothing = || json!({ "type": "object" });
        let started = self.refer::<StartedChat>();
        let refusals = &[Code::Forbidden, Code::NotFound, Code::Blocked];
        self.sends::<StartChat>("start_private_chat", "Start the chat with somebody, or find it.", started, refusals);
        let sent = self.refer::<Sent<'_>>();
        self.sends::<SendMessage>(
            "send_message",
            "Send a message. The acknowledgement comes after the durable write; without one, send again with the same \
             `client_message_id`.",
            sent,
            &[
                Code::Forbidden,
                Code::NotFound,
                Code::Blocked,
                Code::EmptyMessage,
                Code::MessageTooLarge,
                Code::InvalidClientMessageId,
                Code::ClientMessageIdTaken,
                Code::TooManyAttachments,
                Code::UnknownAttachment,
                Code::WrongType,
                Code::UnknownReply,
            ],
        );
        let refusals = &[
            Code::Forbidden,
            Code::NotFound,
            Code::Blocked,
            Code::MessageDeleted,
            Code::EmptyMessage,
            Code::MessageTooLarge,
        ];
        self.sends::<EditMessage>("edit_message", "Change what a message of the caller says.", nothing(), refusals);
        let summary = "Delete a message of the caller; a tombstone stays.";
        self.sends::<OneMessage>("delete_message", summary, nothing(), &[Code::Forbidden, Code::NotFound]);
        let summary = "This message and all before it have arrived.";
        self.sends::<OneMessage>("message_delivered", summary, nothing(), &[Code::NotFound]);
        let summary = "This message and all before it were read.";
        self.sends::<OneMessage>("message_read", summary, nothing(), &[Code::NotFound]);
        let summary = "All messages of this chat have arrived; for clients of the seed.";
        self.sends::<ReceivedAll>("receive_message", summary, nothing(), &[Code::Forbidden, Code::NotFound]);
        let summary = "The caller types, or does not any more.";
        self.sends::<Typing>("typing", summary, nothing(), &[Code::Forbidden, Code::NotFound]);
        let page = self.refer::<SyncPage>();
        let summary = "What happened since a token; the same as `GET /sync`.";
        self.sends::<SyncSince>("sync", summary, page, &[Code::InvalidCursor, Code::OutOfRange]);
        self.sends::<Heartbeat>("heartbeat", "Whether somebody is at the device.", nothing(), &[]);
        let presences = self.refer::<PresencesView>();
        self.sends::<WatchedUsers>(
            "presence_subscribe",
            "Hear of changes of these users' presence.",
            presences.clone(),
            &[Code::TooManySubscriptions, Code::NotAvailable],
        );
        let summary = "Hear no more of these users' presence.";
        self.sends::<WatchedUsers>("presence_unsubscribe", summary, presences, &[Code::NotAvailable]);
    }

    fn clients_get(&mut self) {
        self.gets::<ReadyView>("ready", "The socket has joined; `sync` now. Other events may come before it.");
        self.gets::<MessageView<'_>>("receive_message", "A message, on every device of both but the one that sent it.");
        self.gets::<MessageView<'_>>("message_edited", "A message as it is now.");
        self.gets::<DeletedMessage>("message_deleted", "A message was deleted.");
        let furthest =
            "How far a member has got, on the devices of both. Marks never go back: of two, the further counts.";
        self.gets::<ReceiptView>("receipt", furthest);
        self.gets::<ReceivedView>("message_received", "A peer's receipt, for clients of the seed.");
        self.gets::<TypingView>("typing", "The peer types, or does not any more.");
        self.gets::<ChatStarted>(
            "chat_started",
            "A chat was started, on every device of both, that which started it too: the peer is the other of `members`.",
        );
        self.gets::<ChatDeleted>("chat_deleted", "A chat is gone: a member deleted the account.");
        self.gets::<PresenceView>("presence", "The presence of somebody who is watched has changed.");
        self.gets.push(Gets {
            name: "private_chat_room_created",
            namespaces: CHAT,
            summary: "The bare id of the chat that `start_private_chat` gave; for clients of the seed.",
            payload: json!({ "type": "string", "format": "uuid" }),
        });
    }

    fn clients_are_told(&mut self) {
        let payload = self.refer::<NotificationView>();
        let summary = "The user is told of something; best effort, `GET /notifications` lists all.";
        self.gets.push(Gets { name: "notification", summary, namespaces: NOTIFICATIONS, payload });
        let payload = self.refer::<NotificationReadView>();
        let summary = "A notification was read by itself, on whichever device; best effort as well.";
        self.gets.push(Gets { name: "notification_read", summary, namespaces: NOTIFICATIONS, payload });
        let payload = self.refer::<NewMessageView<'_>>();
        let summary = "The same of a message or a notice, for clients of the seed.";
        self.gets.push(Gets { name: "new_message", summary, namespaces: NOTIFICATIONS, payload });
    }

    fn tokens_are_renewed(&mut self) {
        let payload = self.refer::<TokenExpiring>();
        let summary =
            "The token ends in a minute, or in a third of its lifetime if that is less: send `reauthenticate`.";
        self.gets.push(Gets { name: "token_expiring", summary, namespaces: EVERYWHERE, payload });
        let payload = self.refer::<Reauthenticate>();
        let summary = "Go on with a new access token of the same user.";
        let acknowledgement = self.refer::<Reauthenticated>();
        let refusals = &[Code::InvalidToken, Code::TokenExpired, Code::SessionEnded, Code::Forbidden];
        let (name, namespaces) = ("reauthenticate", EVERYWHERE);
        self.sends.push(Sends { name, summary, namespaces, payload, acknowledgement, refusals });
    }

    fn sends<T: ToSchema>(
        &mut self,
        name: &'static str,
        summary: &'static str,
        acknowledgement: Value,
        refusals: &'static [Code],
    ) {
        let payload = self.refer::<T>();
        self.sends.push(Sends { name, summary, namespaces: CHAT, payload, acknowledgement, refusals });
    }

    fn gets<T: ToSchema>(&mut self, name: &'static str, summary: &'static str) {
        let payload = self.refer::<T>();
        self.gets.push(Gets { name, summary, namespaces: CHAT, payload });
    }

    /// Keeps a type's schema with those it uses, and gives a reference to it.
    fn refer<T: ToSchema>(&mut self) -> Value {
        let mut used = Vec::new();
        T::schemas(&mut used);
        used.push((T::name().into_owned(), <T as PartialSchema>::schema()));
        for (name, schema) in used {
            self.schemas.entry(name).or_insert_with(|| written(&schema));
        }
        json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
    }

    /// What clients may send in a namespace.
    pub fn sends_in(&self, namespace: Namespace) -> impl Iterator<Item = &Sends> {
        self.sends.iter().filter(move |event| event.namespaces.contains(&namespace))
    }

    /// What clients may get in a namespace.
    pub fn gets_in(&self, namespace: Namespace) -> impl Iterator<Item = &Gets> {
        self.gets.iter().filter(move |event| event.namespaces.contains(&namespace))
    }

    /// Writes it as `AsyncAPI` 3.0, as seen from the server.
    pub fn to_json(&self, info: &Value) -> Value {
        let (mut channels, mut operations) = (BTreeMap::new(), BTreeMap::new());
        let refused = json!({ "$ref": "#/components/schemas/Refused" });
        for namespace in Namespace::ALL {
            let mut messages = BTreeMap::new();
            for event in self.sends_in(namespace) {
                let sent = format!("client.{}", event.name);
                let answer = format!("client.{}.ack", event.name);
                messages.insert(
                    sent.clone(),
                    json!({ "name": event.name, "summary": event.summary, "payload": event.payload }),
                );
                let okay = json!({ "allOf": [ok(), event.acknowledgement] });
                messages.insert(
                    answer.clone(),
                    json!({
                        "name": event.name,
                        "summary": format!("The acknowledgement of `{}`.", event.name),
                        "description": refused_with(event.refusals),
                        "payload": { "oneOf": [okay, refused] },
                    }),
                );
                operations.insert(
                    operation(event.namespaces, namespace, &sent),
                    json!({
                        "action": "receive", "summary": event.summary, "channel": channel(namespace),
                        "messages": [message(namespace, &sent)],
                        "reply": { "channel": channel(namespace), "messages": [message(namespace, &answer)] },
                    }),
                );
            }
            for event in self.gets_in(namespace) {
                let got = format!("server.{}", event.name);
                messages.insert(
                    got.clone(),
                    json!({ "name": event.name, "summary": event.summary, "payload": event.payload }),
                );
                operations.insert(
                    operation(event.namespaces, namespace, &got),
                    json!({
                        "action": "send", "summary": event.summary, "channel": channel(namespace),
                        "messages": [message(namespace, &got)],
                    }),
                );
            }
            channels.insert(
                channel_name(namespace),
                json!({
                    "address": namespace.path(),
                    "title": format!("Namespace {} of Socket.IO", namespace.path()),
                    "description": about(namespace),
                    "messages": messages,
                }),
            );
        }
        json!({
            "asyncapi": "3.0.0",
            "info": info,
            "defaultContentType": "application/json",
            "channels": channels,
            "operations": operations,
            "components": { "schemas": self.schemas },
        })
    }
}

/// The codes of its own with which an event may be refused, in a sentence.
fn refused_with(codes: &[Code]) -> String {
    let named: Vec<String> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
    let own = if named.is_empty() { String::new() } else { format!("{}, or ", named.join(", ")) };
    format!("Refused with {own}a code that any event may get.")
}

fn ok() -> Value {
    json!({ "type": "object", "required": ["status"], "properties": { "status": { "const": "ok" } } })
}

fn channel_name(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::Chat => "chat",
        Namespace::Notifications => "notifications",
        // What Socket.IO calls it.
        Namespace::Root => "main",
    }
}

fn about(namespace: Namespace) -> &'static str {
    match namespace {
        Namespace::Chat => {
            "Connect with `auth: {token}`; refused with `missing_token`, `invalid_token`, `token_expired`, `session_ended`, \
             `too_many_sockets` or `rate_limited` in `data.code` of `connect_error`. Each event carries one JSON object, may ask for an \
             acknowledgement, and is handled in the order sent."
        }
        Namespace::Notifications => {
            "Connect as to `/chat`, with a token of its own: clients send nothing but a new one."
        }
        Namespace::Root => "Nothing happens here; clients that join it along with others do so as they join `/chat`.",
    }
}

/// An operation's key: its message's, with the channel in front where it is not the event's first.
fn operation(namespaces: &[Namespace], namespace: Namespace, message: &str) -> String {
    if namespaces.first() == Some(&namespace) {
        message.to_owned()
    } else {
        format!("{}.{message}", channel_name(namespace))
    }
}

fn channel(namespace: Namespace) -> Value {
    json!({ "$ref": format!("#/channels/{}", channel_name(namespace)) })
}

fn message(namespace: Namespace, key: &str) -> Value {
    json!({ "$ref": format!("#/channels/{}/messages/{key}", channel_name(namespace)) })
}

/// A schema as JSON. Writing one can't fail: it is a tree of strings and numbers.
fn written(schema: &RefOr<utoipa::openapi::Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

/// The description of the events of sockets (`AsyncAPI` 3.0).
pub fn asyncapi(info: &Value) -> Value {
    Description::new().to_json(info)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    /// Names that the sources of this crate give to `emit` and its like, with the namespaces that they come in.
    fn emitted(folder: &Path, names: &mut BTreeSet<(&'static str, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                emitted(&path, names);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("mod tests {").next().unwrap_or_default();
                for call in [".emit(", ".emit_in(", ".tell(", ".tell_members("] {
                    // Until the end of the statement: the name is the first string in it.
                    for statement in text.split(call).skip(1).filter_map(|rest| rest.split([';', '}']).next()) {
                        let Some(name) = statement.split('"').nth(1) else { continue };
                        let namespaces = namespaces_of(call, statement).into_iter().map(Namespace::path);
                        names.extend(namespaces.map(|namespace| (namespace, name.to_owned())));
                    }
                }
            }
        }
    }

    /// `emit_in` names one, or is given that of any socket; the others are of `/chat`.
    fn namespaces_of(call: &str, statement: &str) -> Vec<Namespace> {
        if call != ".emit_in(" {
            return vec![Namespace::Chat];
        }
        let named = statement.trim_start().strip_prefix("Namespace::");
        let named = named.map(|rest| rest.split(|next: char| !next.is_alphanumeric()).next().unwrap_or_default());
        Namespace::ALL.into_iter().filter(|it| named.is_none_or(|name| name == format!("{it:?}"))).collect()
    }

    #[test]
    fn every_event_that_the_code_emits_is_described_where_it_comes_and_no_other() {
        let mut names = BTreeSet::new();
        emitted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        assert!(names.len() > 10, "{names:?}");
        let description = Description::new();
        let described: BTreeSet<_> = Namespace::ALL
            .into_iter()
            .flat_map(|it| description.gets_in(it).map(move |event| (it.path(), event.name.to_owned())))
            .collect();
        assert_eq!(names, described);
    }

    #[test]
    fn what_every_namespace_has_is_in_each_channel_with_operations_of_its_own() {
        let document = asyncapi(&json!({}));
        for (prefix, channel, address) in
            [("", "chat", "/chat"), ("notifications.", "notifications", "/notifications"), ("main.", "main", "/")]
        {
            assert_eq!(document["channels"][channel]["address"], address);
            for (key, action) in [("client.reauthenticate", "receive"), ("server.token_expiring", "send")] {
                let operation = &document["operations"][format!("{prefix}{key}")];
                assert_eq!(operation["action"], action, "{prefix}{key}");
                assert_eq!(operation["messages"][0]["$ref"], format!("#/channels/{channel}/messages/{key}"));
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = asyncapi(&json!({ "title": "t", "version": "1" }));
        let text = document.to_string();
        let references: BTreeSet<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.contains("/components/schemas/Message"), "{references:?}");
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn a_message_to_be_sent_is_described_as_it_is_read() {
        let document = asyncapi(&json!({}));
        let schema = &document["components"]["schemas"]["SendMessage"];
        assert_eq!(schema["required"], json!(["chat_id"]));
        assert_eq!(
            schema["properties"]["chat_id"],
            json!({ "type": "string", "format": "uuid", "description": "The chat." })
        );
        let reply = &document["operations"]["client.send_message"]["reply"]["messages"][0]["$ref"];
        assert_eq!(reply, "#/channels/chat/messages/client.send_message.ack");
    }
}
