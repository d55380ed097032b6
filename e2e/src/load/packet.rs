//! The few Socket.IO packets that the generator reads, found without parsing what it does not need.

use memchr::memmem;

/// What a text frame says.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Engine.IO ping: must be answered with a pong.
    Ping,
    /// Acknowledgement of the event with this number; the error's code when it was refused.
    Ack(u64, Result<(), &'a str>),
    /// `receive_message`.
    Message {
        /// Orders messages; the same text order as the id's.
        message_id: &'a [u8],
        /// What the sender wrote into it.
        client_message_id: &'a str,
    },
    /// Anything else.
    Other,
}

/// Reads one frame of namespace `/chat`.
pub fn read(frame: &[u8]) -> Packet<'_> {
    if frame == b"2" {
        return Packet::Ping;
    }
    if let Some(rest) = frame.strip_prefix(b"43/chat,") {
        return ack(rest).unwrap_or(Packet::Other);
    }
    if frame.starts_with(b"42/chat,[\"receive_message\"") {
        return message(frame).unwrap_or(Packet::Other);
    }
    Packet::Other
}

fn ack(rest: &[u8]) -> Option<Packet<'_>> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let outcome = if memmem::find(rest, br#""status":"ok""#).is_some() {
        Ok(())
    } else {
        Err(string(rest, br#""code":""#).and_then(|code| std::str::from_utf8(code).ok()).unwrap_or("unknown"))
    };
    Some(Packet::Ack(number, outcome))
}

fn message(frame: &[u8]) -> Option<Packet<'_>> {
    let client_message_id = std::str::from_utf8(string(frame, br#""client_message_id":""#)?).ok()?;
    Some(Packet::Message { message_id: string(frame, br#""message_id":""#)?, client_message_id })
}

/// The text after `key`, up to the closing quote; none of the texts read here has escapes.
fn string<'a>(frame: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let start = memmem::find(frame, key)? + key.len();
    let length = memchr::memchr(b'"', &frame[start..])?;
    Some(&frame[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_and_messages_are_read() {
        assert_eq!(read(b"2"), Packet::Ping);
        assert_eq!(read(br#"43/chat,17[{"status":"ok","message_id":"x"}]"#), Packet::Ack(17, Ok(())));
        let refused = br#"43/chat,3[{"status":"error","code":"rate_limited","detail":"slow down"}]"#;
        assert_eq!(read(refused), Packet::Ack(3, Err("rate_limited")));
        let frame = br#"42/chat,["receive_message",{"client_message_id":"r.1.2","message_id":"0192"}]"#;
        assert_eq!(read(frame), Packet::Message { message_id: b"0192", client_message_id: "r.1.2" });
        assert_eq!(read(br#"42/chat,["ready",{}]"#), Packet::Other);
        assert_eq!(read(b"40/chat,{}"), Packet::Other);
    }
}
