//! What the events of sockets carry, for their description: `AsyncAPI` from the very types that handlers read and write.

use std::collections::BTreeMap;

use sentinel_domain::{ids::MessageId, message::ClientMessageId, time::Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

use crate::{
    requests::{
        EditMessage, Heartbeat, OneMessage, Reauthenticate, ReceivedAll, SendMessage, StartChat, SyncSince, Typing,
        WatchedUsers,
    },
    sync::SyncPage,
    views::{
        ChatDeleted, ChatStarted, DeletedMessage, MessageView, NewMessageView, NotificationView, PresenceView,
        PresencesView, ReadyView, ReceiptView, ReceivedView, StartedChat, TokenExpiring, TypingView,
    },
};

/// Channels, which are namespaces.
const CHAT: &str = "chat";
const NOTIFICATIONS: &str = "notifications";

type Schemas = BTreeMap<String, Value>;

/// An event that clients send, and what its acknowledgement says besides `status`.
pub(crate) struct Sends {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub summary: &'static str,
    payload: Value,
    acknowledgement: Value,
}

/// An event that clients get.
pub(crate) struct Gets {
    /// Its name.
    pub name: &'static str,
    /// When it comes.
    pub summary: &'static str,
    /// The channel that it comes in.
    channel: &'static str,
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
    /// What happened, for programs; stable.
    #[schema(example = "not_found")]
    pub code: &'static str,
    /// What happened, for people.
    pub detail: &'a str,
    /// Seconds after which to try again, where that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// The acknowledgement of `reauthenticate`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reauthenticated {
    /// When the new token expires.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// The description of namespaces `/chat` and `/notifications`, without `info`.
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
        all.refer::<Refused<'_>>();
        all
    }

    fn clients_send(&mut self) {
        let nothing = || json!({ "type": "object" });
        let started = self.refer::<StartedChat>();
        self.sends::<StartChat>("start_private_chat", "Start the chat with somebody, or find it.", started);
        let sent = self.refer::<Sent<'_>>();
        self.sends::<SendMessage>(
            "send_message",
            "Send a message. The acknowledgement comes after the durable write; without one, send again with the same \
             `client_message_id`.",
            sent,
        );
        self.sends::<EditMessage>("edit_message", "Change what a message of the caller says.", nothing());
        self.sends::<OneMessage>("delete_message", "Delete a message of the caller; a tombstone stays.", nothing());
        self.sends::<OneMessage>("message_delivered", "This message and all before it have arrived.", nothing());
        self.sends::<OneMessage>("message_read", "This message and all before it were read.", nothing());
        self.sends::<ReceivedAll>(
            "receive_message",
            "All messages of this chat have arrived; for clients of the seed.",
            nothing(),
        );
        self.sends::<Typing>("typing", "The caller types, or does not any more.", nothing());
        let page = self.refer::<SyncPage>();
        self.sends::<SyncSince>("sync", "What happened since a token; the same as `GET /sync`.", page);
        let reauthenticated = self.refer::<Reauthenticated>();
        self.sends::<Reauthenticate>(
            "reauthenticate",
            "Go on with a new access token of the same user.",
            reauthenticated,
        );
        self.sends::<Heartbeat>("heartbeat", "Whether somebody is at the device.", nothing());
        let presences = self.refer::<PresencesView>();
        self.sends::<WatchedUsers>(
            "presence_subscribe",
            "Hear of changes of these users' presence.",
            presences.clone(),
        );
        self.sends::<WatchedUsers>("presence_unsubscribe", "Hear no more of these users' presence.", presences);
    }

    fn clients_get(&mut self) {
        self.gets::<ReadyView>("ready", "The socket has joined; sync from `sync_token`.");
        self.gets::<MessageView<'_>>("receive_message", "A message, on every device of both but the one that sent it.");
        self.gets::<MessageView<'_>>("message_edited", "A message as it is now.");
        self.gets::<DeletedMessage>("message_deleted", "A message was deleted.");
        self.gets::<ReceiptView>("receipt", "How far a member has got, on the devices of both.");
        self.gets::<ReceivedView>("message_received", "A peer's receipt, for clients of the seed.");
        self.gets::<TypingView>("typing", "The peer types, or does not any more.");
        self.gets::<ChatStarted>("chat_started", "A chat was started.");
        self.gets::<ChatDeleted>("chat_deleted", "A chat is gone: a member deleted the account.");
        self.gets::<PresenceView>("presence", "The presence of somebody who is watched has changed.");
        self.gets::<TokenExpiring>(
            "token_expiring",
            "The token ends in a minute, or in a third of its lifetime if that is less: send `reauthenticate`.",
        );
        self.gets.push(Gets {
            name: "private_chat_room_created",
            channel: CHAT,
            summary: "The bare id of the chat that `start_private_chat` gave; for clients of the seed.",
            payload: json!({ "type": "string", "format": "uuid" }),
        });
    }

    fn clients_are_told(&mut self) {
        let payload = self.refer::<NotificationView<'_>>();
        let summary = "The user is told of something; best effort, `GET /notifications` lists all.";
        self.gets.push(Gets { name: "notification", summary, channel: NOTIFICATIONS, payload });
        let payload = self.refer::<NewMessageView<'_>>();
        let summary = "The same of a message or a notice, for clients of the seed.";
        self.gets.push(Gets { name: "new_message", summary, channel: NOTIFICATIONS, payload });
    }

    fn sends<T: ToSchema>(&mut self, name: &'static str, summary: &'static str, acknowledgement: Value) {
        let payload = self.refer::<T>();
        self.sends.push(Sends { name, summary, payload, acknowledgement });
    }

    fn gets<T: ToSchema>(&mut self, name: &'static str, summary: &'static str) {
        let payload = self.refer::<T>();
        self.gets.push(Gets { name, summary, channel: CHAT, payload });
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

    /// Every name that clients may send.
    #[cfg(test)]
    pub fn sent_names(&self) -> Vec<&'static str> {
        self.sends.iter().map(|event| event.name).collect()
    }

    /// Every name that clients may get.
    #[cfg(test)]
    pub fn got_names(&self) -> Vec<&'static str> {
        self.gets.iter().map(|event| event.name).collect()
    }

    /// Writes it as `AsyncAPI` 3.0, as seen from the server.
    pub fn to_json(&self, info: &Value) -> Value {
        let (mut messages, mut told, mut operations) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let refused = json!({ "$ref": "#/components/schemas/Refused" });
        for event in &self.sends {
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
                    "payload": { "oneOf": [okay, refused] },
                }),
            );
            operations.insert(
                sent.clone(),
                json!({
                    "action": "receive", "summary": event.summary, "channel": channel(CHAT),
                    "messages": [message(CHAT, &sent)],
                    "reply": { "channel": channel(CHAT), "messages": [message(CHAT, &answer)] },
                }),
            );
        }
        for event in &self.gets {
            let got = format!("server.{}", event.name);
            let of_channel = if event.channel == NOTIFICATIONS { &mut told } else { &mut messages };
            of_channel
                .insert(got.clone(), json!({ "name": event.name, "summary": event.summary, "payload": event.payload }));
            operations.insert(
                got.clone(),
                json!({
                    "action": "send", "summary": event.summary, "channel": channel(event.channel),
                    "messages": [message(event.channel, &got)],
                }),
            );
        }
        json!({
            "asyncapi": "3.0.0",
            "info": info,
            "defaultContentType": "application/json",
            "channels": {
                "chat": {
                    "address": "/chat",
                    "title": "Namespace /chat of Socket.IO",
                    "description": "Connect with `auth: {token}`. Each event carries one JSON object, may ask for an \
                        acknowledgement, and is handled in the order sent.",
                    "messages": messages,
                },
                "notifications": {
                    "address": "/notifications",
                    "title": "Namespace /notifications of Socket.IO",
                    "description": "Connect as to `/chat`. `token_expiring` comes and `reauthenticate` is taken as there; \
                        clients send nothing else.",
                    "messages": told,
                },
            },
            "operations": operations,
            "components": { "schemas": self.schemas },
        })
    }
}

fn ok() -> Value {
    json!({ "type": "object", "required": ["status"], "properties": { "status": { "const": "ok" } } })
}

fn channel(name: &str) -> Value {
    json!({ "$ref": format!("#/channels/{name}") })
}

fn message(channel: &str, key: &str) -> Value {
    json!({ "$ref": format!("#/channels/{channel}/messages/{key}") })
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

    /// Names that the sources of this crate give to `emit` and its like.
    fn emitted(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                emitted(&path, names);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("mod tests {").next().unwrap_or_default();
                for call in [".emit(", ".emit_in(", ".tell(", ".tell_members("] {
                    // Until the end of the statement: the name is the first string in it.
                    let calls = text.split(call).skip(1).filter_map(|rest| rest.split([';', '}']).next());
                    names.extend(calls.filter_map(|call| call.split('"').nth(1)).map(str::to_owned));
                }
            }
        }
    }

    #[test]
    fn every_event_that_the_code_emits_is_described_and_no_other() {
        let mut names = BTreeSet::new();
        emitted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        let described: BTreeSet<String> = Description::new().got_names().into_iter().map(str::to_owned).collect();
        assert!(names.len() > 10, "{names:?}");
        assert_eq!(names, described);
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
