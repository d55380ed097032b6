//! Refusals of a CONNECT as clients expect them: `{message, data: {code}}`.
//!
//! The Socket.IO server can only send `{"message": <text>}`. So the text is made to hold the rest of the object with
//! placeholders for its quotes, which are put back as the packet leaves. The length stays the same, so neither a
//! WebSocket frame's header nor a Content-Length changes. No client's text can look like it: the pattern begins
//! where a packet begins, with quotes that are not escaped as they would be inside a JSON string.

use std::fmt;

use sentinel_http::problem::Code;

/// Stands for a quote: DEL, which JSON does not escape and no text of ours has.
const QUOTE: u8 = 0x7f;
const BEGINNINGS: [&[u8]; 3] = [b"44/chat,{\"message\":\"", b"44/notifications,{\"message\":\"", b"44{\"message\":\""];
const END: &[u8] = b"\x7f\"}";

/// Why a socket is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, message) = (self.code.as_str(), &self.message);
        write!(f, "{message}\x7f,\x7fdata\x7f:{{\x7fcode\x7f:\x7f{code}\x7f}}\x7f")
    }
}

/// The same bytes with the quotes of refusals put back; `None` when there is nothing to put back.
pub(super) fn restored(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.contains(&QUOTE) {
        return None;
    }
    let mut restored: Option<Vec<u8>> = None;
    for beginning in BEGINNINGS {
        let mut from = 0;
        while let Some(at) = find(&bytes[from..], beginning) {
            let start = from + at + beginning.len();
            let Some(end) = find(&bytes[start..], END) else { break };
            let copy = restored.get_or_insert_with(|| bytes.to_vec());
            for byte in &mut copy[start..start + end] {
                if *byte == QUOTE {
                    *byte = b'"';
                }
            }
            // The server's own closing quote is one too many.
            copy[start + end] = b' ';
            copy[start + end + 1] = b' ';
            from = start + end + END.len();
        }
    }
    restored
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn packet(namespace: &str, refusal: &Refusal) -> Vec<u8> {
        // As the Socket.IO server writes it.
        format!("44{namespace}{}", json!({"message": refusal.to_string()})).into_bytes()
    }

    #[test]
    fn a_refusal_leaves_as_an_object_of_the_same_length() {
        let refusal = Refusal { code: Code::TokenExpired, message: "the access token has expired".into() };
        for namespace in ["", "/chat,", "/notifications,"] {
            let sent = packet(namespace, &refusal);
            let restored = restored(&sent).unwrap();
            assert_eq!(restored.len(), sent.len());
            let body: Value = serde_json::from_slice(&restored[2 + namespace.len()..]).unwrap();
            assert_eq!(body, json!({"message": "the access token has expired", "data": {"code": "token_expired"}}));
        }
    }

    #[test]
    fn packets_around_a_refusal_stay_as_they_are() {
        let refusal = Refusal { code: Code::Blocked, message: "no".into() };
        let sent = [b"\x81\x20".as_slice(), &packet("/chat,", &refusal), b"\x1e42[\"\x7f\"]"].concat();
        let restored = restored(&sent).unwrap();
        assert!(restored.ends_with(b"\x1e42[\"\x7f\"]"));
        assert!(restored.starts_with(b"\x81\x2044/chat,{\"message\":\"no\",\"data\":{\"code\":\"blocked\"}  }"));
    }

    #[test]
    fn text_that_imitates_a_refusal_is_not_touched() {
        let refusal = Refusal { code: Code::Blocked, message: "no".into() };
        let imitation = String::from_utf8(packet("/chat,", &refusal)).unwrap();
        let sent = format!("42/chat,{}", json!(["receive_message", {"message": imitation}]));
        assert_eq!(restored(sent.as_bytes()), None);
    }
}
