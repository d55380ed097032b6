//! As much of Cassandra's native protocol (version 4) as it takes to log in and run a statement.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(5);
/// An answer to what we ask is small; a longer one is not Cassandra's.
const LONGEST: usize = 1 << 20;

const REQUEST: u8 = 0x04;
const RESPONSE: u8 = 0x84;
const ERROR: u8 = 0x00;
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const AUTHENTICATE: u8 = 0x03;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;
const AUTH_RESPONSE: u8 = 0x0f;
const AUTH_SUCCESS: u8 = 0x10;
/// Consistency level ONE, no flags.
const AT_ONE: [u8; 3] = [0, 1, 0];

/// A session of one user.
#[derive(Debug)]
pub struct Session(TcpStream);

impl Session {
    /// Connects and logs in.
    pub fn login(address: &str, user: &str, password: &str) -> Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self(connection);
        let mut startup = 1_u16.to_be_bytes().to_vec();
        for text in ["CQL_VERSION", "3.0.0"] {
            startup.extend(u16::try_from(text.len())?.to_be_bytes());
            startup.extend(text.as_bytes());
        }
        match session.ask(STARTUP, &startup)? {
            READY => return Ok(session),
            AUTHENTICATE => {}
            other => bail!("unexpected answer {other:#x} to a start"),
        }
        let token = format!("\0{user}\0{password}");
        let mut response = u32::try_from(token.len())?.to_be_bytes().to_vec();
        response.extend(token.as_bytes());
        match session.ask(AUTH_RESPONSE, &response)? {
            AUTH_SUCCESS => Ok(session),
            other => bail!("unexpected answer {other:#x} to a password"),
        }
    }

    /// Runs a statement; its rows are dropped.
    pub fn run(&mut self, statement: &str) -> Result<()> {
        let mut query = u32::try_from(statement.len())?.to_be_bytes().to_vec();
        query.extend(statement.as_bytes());
        query.extend(AT_ONE);
        match self.ask(QUERY, &query)? {
            RESULT => Ok(()),
            other => bail!("unexpected answer {other:#x} to a statement"),
        }
    }

    fn ask(&mut self, opcode: u8, body: &[u8]) -> Result<u8> {
        self.0.write_all(&frame(opcode, body)?)?;
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let (opcode, length) = parse_head(head)?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        if opcode == ERROR {
            bail!("{}", error_text(&body).context("an error that cannot be read")?);
        }
        Ok(opcode)
    }
}

/// Version, flags, stream (two bytes), opcode, length, body.
fn frame(opcode: u8, body: &[u8]) -> Result<Vec<u8>> {
    let mut frame = vec![REQUEST, 0, 0, 0, opcode];
    frame.extend(u32::try_from(body.len())?.to_be_bytes());
    frame.extend(body);
    Ok(frame)
}

fn parse_head(head: [u8; 9]) -> Result<(u8, usize)> {
    let [version, _, _, _, opcode, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    if version != RESPONSE || length > LONGEST {
        bail!("the answer is not Cassandra's");
    }
    Ok((opcode, length))
}

/// Code, then the text with its length before it.
fn error_text(body: &[u8]) -> Option<String> {
    let length = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    Some(String::from_utf8_lossy(body.get(6..6 + usize::from(length))?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_begin_with_version_and_opcode_and_tell_their_length() {
        assert_eq!(frame(QUERY, b"abc").unwrap(), [4, 0, 0, 0, 7, 0, 0, 0, 3, b'a', b'b', b'c']);
    }

    #[test]
    fn answers_of_something_else_are_refused() {
        assert_eq!(parse_head([0x84, 0, 0, 0, 8, 0, 0, 0, 5]).unwrap(), (RESULT, 5));
        assert!(parse_head(*b"HTTP/1.1 ").is_err());
        assert!(parse_head([0x84, 0, 0, 0, 8, 0xff, 0, 0, 0]).is_err());
    }

    #[test]
    fn errors_are_read() {
        let mut body = vec![0, 0, 1, 0, 0, 2];
        body.extend(b"no");
        assert_eq!(error_text(&body).as_deref(), Some("no"));
        assert_eq!(error_text(&body[..7]), None);
    }
}
