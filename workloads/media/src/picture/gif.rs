//! GIF without metadata: comments, texts and foreign extensions are left out.

const HEADER: usize = 13;
const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2c;
const END: u8 = 0x3b;
const CONTROL: u8 = 0xf9;
const APPLICATION: u8 = 0xff;
/// The application extensions that say how often to repeat.
const LOOPS: [&[u8]; 2] = [b"NETSCAPE2.0", b"ANIMEXTS1.0"];

/// Copies what a decoder needs; `None` when the structure is broken.
pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"GIF87a") && !bytes.starts_with(b"GIF89a") {
        return None;
    }
    let mut at = HEADER + table_length(*bytes.get(10)?);
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(bytes.get(..at)?);
    loop {
        let begins = at;
        match bytes.get(at).copied() {
            // Many lack the end; what there is can be shown.
            Some(END) | None => {
                out.push(END);
                return Some(out);
            }
            Some(IMAGE) => {
                // The descriptor, its table of colours, and the code size.
                at += 10 + table_length(*bytes.get(at + 9)?) + 1;
                at = after_blocks(bytes, at)?;
                out.extend_from_slice(&bytes[begins..at]);
            }
            Some(EXTENSION) => {
                let label = *bytes.get(at + 1)?;
                at = after_blocks(bytes, at + 2)?;
                let name = bytes.get(begins + 3..begins + 14).unwrap_or_default();
                if label == CONTROL || (label == APPLICATION && LOOPS.contains(&name)) {
                    out.extend_from_slice(&bytes[begins..at]);
                }
            }
            Some(_) => return None,
        }
    }
}

/// Bytes of the table of colours that these flags tell of.
fn table_length(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Where the blocks that begin at `at` are over: at one without length.
fn after_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
