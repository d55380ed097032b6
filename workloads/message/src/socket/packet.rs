//! Reading what an event carries: its name and one JSON object.

use std::{borrow::Cow, collections::VecDeque, fmt};

use axum::http::StatusCode;
use sentinel_domain::ids::UserId;
use sentinel_http::{
    extract::{json_is_of, parse_json},
    problem::{Code, Problem},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use socketioxide::handler::Value;

/// An event's name and payload.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub name: Cow<'a, str>,
    payload: Payload<'a>,
}

#[derive(Debug)]
enum Payload<'a> {
    None,
    One(&'a RawValue),
    More,
    Binary,
}

impl<'a> Packet<'a> {
    /// Reads `["name", payload…]`; `None` when it is not that.
    pub fn read(value: &'a Value) -> Option<Self> {
        let Value::Str(text, attachments) = value else { return None };
        let mut packet: Self = serde_json::from_str(text).ok()?;
        if attachments.is_some() {
            packet.payload = Payload::Binary;
        }
        Some(packet)
    }

    /// The payload as what the event needs.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        parse_json(self.object()?).map_err(|problem| malformed(problem.detail()))
    }

    /// Refuses a payload that names another than the one who sent it.
    pub fn is_of(&self, caller: UserId) -> Result<(), Problem> {
        json_is_of(caller, self.object()?).map_err(|problem| match problem.status() {
            StatusCode::FORBIDDEN => problem,
            _ => malformed(problem.detail()),
        })
    }

    /// The payload, which looks like an object.
    fn object(&self) -> Result<&[u8], Problem> {
        let text = match &self.payload {
            Payload::None => "{}",
            Payload::One(payload) => payload.get(),
            Payload::More => return Err(malformed("an event carries one JSON object, not several arguments")),
            Payload::Binary => return Err(malformed("an event carries no binary data")),
        };
        if !text.starts_with('{') {
            return Err(malformed("an event carries one JSON object"));
        }
        Ok(text.as_bytes())
    }
}

/// An event as it waits for its turn. Binary data is refused then, so it need not take memory until then.
pub(super) fn waiting(value: Value) -> Value {
    match value {
        Value::Str(text, Some(_)) => Value::Str(text, Some(VecDeque::new())),
        other => other,
    }
}

/// Whether an event has this name, written as clients write it; one written in an unusual way is told by reading it.
pub(super) fn is_plainly(name: &str, value: &Value) -> bool {
    let Value::Str(text, _) = value else { return false };
    text.strip_prefix("[\"").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('"'))
}

/// Whether a message shows files, and so has to do more than to be written.
pub(super) fn shows_files(value: &Value) -> bool {
    #[derive(Deserialize)]
    struct Files {
        attachments: Option<Vec<IgnoredAny>>,
    }
    // One that can't be read is refused before anything is done.
    let files = Packet::read(value).and_then(|packet| packet.payload::<Files>().ok()?.attachments);
    files.is_some_and(|files| !files.is_empty())
}

/// An event that is not one JSON object of the right form.
pub(super) fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::Malformed, detail)
}

impl<'de> Deserialize<'de> for Packet<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements)
    }
}

/// Reads the elements of a packet's array.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Packet<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of a name and a payload")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Packet<'de>, A::Error> {
        let name = elements.next_element::<Name<'de>>()?;
        let Name(name) = name.ok_or_else(|| serde::de::Error::custom("no name"))?;
        let mut payload = match elements.next_element::<&'de RawValue>()? {
            Some(one) => Payload::One(one),
            None => Payload::None,
        };
        while elements.next_element::<IgnoredAny>()?.is_some() {
            payload = Payload::More;
        }
        Ok(Packet { name, payload })
    }
}

/// A name, borrowed unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn text(json: &Json) -> Value {
        Value::Str(json.to_string().into(), None)
    }

    #[test]
    fn one_object_is_read_and_a_missing_one_is_empty() {
        let value = text(&json!(["send_message", {"a": 1}]));
        let packet = Packet::read(&value).unwrap();
        assert_eq!(packet.name, "send_message");
        assert_eq!(packet.payload::<Json>().unwrap(), json!({"a": 1}));
        let value = text(&json!(["heartbeat"]));
        assert_eq!(Packet::read(&value).unwrap().payload::<Json>().unwrap(), json!({}));
    }

    #[test]
    fn binary_data_waits_for_nothing_and_is_refused_all_the_same() {
        let data = Some(VecDeque::from([vec![0; 100_000].into()]));
        let value =
            waiting(Value::Str(json!(["send_message", {"_placeholder": true, "num": 0}]).to_string().into(), data));
        assert!(matches!(&value, Value::Str(_, Some(data)) if data.is_empty() && data.capacity() == 0));
        let refused = Packet::read(&value).unwrap().payload::<Json>().unwrap_err();
        assert_eq!(refused.detail(), "an event carries no binary data");
    }

    #[test]
    fn a_plain_name_is_the_whole_name() {
        assert!(is_plainly("send_message", &text(&json!(["send_message", {}]))));
        for other in [json!(["send_message_now", {}]), json!(["send", {}]), json!(["typing", {}]), json!([])] {
            assert!(!is_plainly("send_message", &text(&other)), "{other}");
        }
    }

    #[test]
    fn a_message_with_files_is_known_however_its_field_is_written() {
        for with in [r#"["send_message",{"attachments":[1]}]"#, r#"["send_message",{"\u0061ttachments" : ["a"]}]"#] {
            assert!(shows_files(&Value::Str(with.into(), None)), "{with}");
        }
        let without = [
            json!(["send_message", {"message": "\"attachments\":[1]"}]),
            json!(["send_message", {"attachments": []}]),
            json!(["send_message", {"attachments": null}]),
            json!(["send_message", 1]),
        ];
        for without in without {
            assert!(!shows_files(&text(&without)), "{without}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        let several = json!(["e", {}, {}]);
        for bad in [json!(["e", 1]), json!(["e", []]), json!(["e", "{}"]), json!(["e", null]), several] {
            let value = text(&bad);
            let problem = Packet::read(&value).unwrap().payload::<Json>().unwrap_err();
            assert_eq!(problem.code(), "malformed", "{bad}");
        }
        let value = Value::Str(r#"["e",{"_placeholder":true,"num":0}]"#.into(), Some([vec![1].into()].into()));
        assert_eq!(Packet::read(&value).unwrap().payload::<Json>().unwrap_err().code(), "malformed");
        for bad in ["", "{}", "[]", "[1]", "[\"e\""] {
            assert!(Packet::read(&Value::Str(bad.into(), None)).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_field_is_named_and_not_repeated() {
        let value = text(&json!(["typing", {"chat_id": "secret words", "typing": true}]));
        let problem = Packet::read(&value).unwrap().payload::<crate::requests::Typing>().err().unwrap();
        assert_eq!(problem.code(), "malformed");
        assert!(problem.detail().contains("chat_id") && !problem.detail().contains("secret"), "{}", problem.detail());
    }
}
