//! A lean WebSocket client (RFC 6455) for text frames on a plain connection.

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::target::Target;

const READ_BYTES: usize = 16 * 1024;
const LARGEST_ANSWER: usize = 8 * 1024;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Length that says that two, and eight, bytes of length follow.
const MEDIUM: u8 = 0x7e;
/// See [`MEDIUM`].
const LONG: u8 = 0x7f;
/// Clients must mask; with a key of zeroes a frame that was written once can be sent as it is.
const MASK: [u8; 4] = [0; 4];

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Text,
    Close,
    Ping,
    Other,
}

/// An open WebSocket with what was read but not yet looked at, and what is to be written.
pub struct Socket {
    stream: TcpStream,
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
}

impl Socket {
    /// Connects and upgrades.
    pub async fn open(target: Target, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(target.0).await.with_context(|| format!("connecting to {}", target.0))?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2VudGluZWwtbG9hZC1nZW4=\r\n\r\n",
            target.0
        );
        stream.write_all(request.as_bytes()).await?;
        let mut input = Vec::new();
        let end = loop {
            if let Some(at) = memchr::memmem::find(&input, b"\r\n\r\n") {
                break at + 4;
            }
            if input.len() > LARGEST_ANSWER || stream.read_buf(&mut input).await? == 0 {
                bail!("the server did not answer the upgrade: {}", String::from_utf8_lossy(&input));
            }
        };
        if !input.starts_with(b"HTTP/1.1 101") {
            bail!("the upgrade was refused: {}", String::from_utf8_lossy(&input));
        }
        Ok(Self { stream, input, taken: end, output: Vec::new() })
    }

    /// Queues a text frame, whose payload is these parts one after the other.
    pub fn queue(&mut self, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum();
        push_header(&mut self.output, 0x1, length);
        for part in parts {
            self.output.extend_from_slice(part);
        }
    }

    /// Writes what was queued.
    pub async fn flush(&mut self) -> Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }

    /// Waits until more was read. Nothing is lost when the wait is given up.
    pub async fn fill(&mut self) -> Result<()> {
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        } else if self.taken >= READ_BYTES {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        self.input.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.input).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    /// The next whole text frame's payload among what was read, as a range of [`Socket::bytes`].
    pub fn next_text(&mut self) -> Result<Option<std::ops::Range<usize>>> {
        while let Some((opcode, payload)) = parse(&self.input, self.taken)? {
            self.taken = payload.end;
            match opcode {
                Opcode::Text => return Ok(Some(payload)),
                Opcode::Close => bail!("the server closed the WebSocket"),
                Opcode::Ping => {
                    push_header(&mut self.output, 0xA, payload.len());
                    self.output.extend_from_slice(&self.input[payload]);
                }
                Opcode::Other => {}
            }
        }
        Ok(None)
    }

    /// The bytes of a range that [`Socket::next_text`] gave; good until the next [`Socket::fill`].
    pub fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.input[range]
    }

    /// Waits for the next text frame.
    pub async fn receive(&mut self) -> Result<String> {
        loop {
            if let Some(range) = self.next_text()? {
                return Ok(String::from_utf8_lossy(self.bytes(range)).into_owned());
            }
            self.flush().await?;
            self.fill().await?;
        }
    }
}

fn push_header(output: &mut Vec<u8>, opcode: u8, length: usize) {
    output.push(FINAL | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => output.push(MASKED | short),
        (_, Ok(medium)) => {
            output.push(MASKED | MEDIUM);
            output.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            output.push(MASKED | LONG);
            output.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    output.extend_from_slice(&MASK);
}

/// The frame at `at`, if it is there whole.
fn parse(input: &[u8], at: usize) -> Result<Option<(Opcode, std::ops::Range<usize>)>> {
    let Some(&[first, second]) = input.get(at..at + 2) else { return Ok(None) };
    if first & FINAL == 0 || second & MASKED != 0 {
        bail!("the server sent a fragmented or masked frame, which this client does not read");
    }
    let (start, length) = match second {
        MEDIUM => match input.get(at + 2..at + 4) {
            Some(bytes) => (at + 4, bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))),
            None => return Ok(None),
        },
        LONG => match input.get(at + 2..at + 10) {
            Some(bytes) => (at + 10, bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))),
            None => return Ok(None),
        },
        short => (at + 2, usize::from(short)),
    };
    if input.len() < start + length {
        return Ok(None);
    }
    let opcode = match first & 0x0f {
        0x1 => Opcode::Text,
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        _ => Opcode::Other,
    };
    Ok(Some((opcode, start..start + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_whole_or_not_at_all() {
        let long = vec![b'x'; 300];
        let mut input = vec![0x81, 2, b'h', b'i', 0x81, 126];
        input.extend_from_slice(&300_u16.to_be_bytes());
        input.extend_from_slice(&long);
        assert_eq!(parse(&input, 0).unwrap(), Some((Opcode::Text, 2..4)));
        assert_eq!(parse(&input, 4).unwrap(), Some((Opcode::Text, 8..308)));
        for end in 4..input.len() {
            assert_eq!(parse(&input[..end], 4).unwrap(), None, "{end}");
        }
        parse(&[0x01, 1, b'a'], 0).unwrap_err();
        parse(&[0x81, 0x81, 0, 0, 0, 0, b'a'], 0).unwrap_err();
    }

    #[test]
    fn headers_have_the_three_sizes() {
        for (length, header) in [(125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let mut output = Vec::new();
            push_header(&mut output, 1, length);
            assert_eq!(output.len(), header);
        }
    }
}
