//! A mail relay on loopback that takes mail as RFC 5321 says, and refuses as it is told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// What one mail was.
#[derive(Clone, Debug)]
pub struct Taken {
    pub to: String,
    pub text: String,
}

#[derive(Default)]
struct Shared {
    taken: Mutex<Vec<Taken>>,
    news: Notify,
    refuses: AtomicBool,
    holds: AtomicBool,
    released: Notify,
}

#[derive(Clone)]
pub struct SmtpServer {
    pub port: u16,
    shared: Arc<Shared>,
}

impl SmtpServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let shared = server.shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                // A client that breaks off is its own affair.
                tokio::spawn(async move { drop(converse(stream, &shared).await) });
            }
        });
        server
    }

    /// Whether receivers are refused for now, with 451.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Whether mail is taken without saying so for now.
    pub fn hold(&self, holds: bool) {
        self.shared.holds.store(holds, Ordering::SeqCst);
        self.shared.released.notify_waiters();
    }

    /// The first `count` mails, once they are there.
    pub async fn mails(&self, count: usize) -> Vec<Taken> {
        let there = async {
            loop {
                let news = self.shared.news.notified();
                let taken = self.shared.taken.lock().unwrap().clone();
                if taken.len() >= count {
                    return taken;
                }
                news.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_mins(1), there).await.expect("mail comes within a minute")
    }
}

async fn converse(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 relay.test ESMTP\r\n").await?;
    let (mut to, mut text, mut in_data) = (String::new(), String::new(), false);
    while let Some(line) = lines.next_line().await? {
        if in_data {
            if line == "." {
                in_data = false;
                // As a reader shows it: quoted-printable (RFC 2045) undone.
                let shown = std::mem::take(&mut text).replace("=\n", "").replace("=3D", "=");
                shared.taken.lock().unwrap().push(Taken { to: to.clone(), text: shown });
                shared.news.notify_waiters();
                loop {
                    let released = shared.released.notified();
                    if !shared.holds.load(Ordering::SeqCst) {
                        break;
                    }
                    released.await;
                }
                write.write_all(b"250 taken\r\n").await?;
            } else {
                text.push_str(line.strip_prefix('.').unwrap_or(&line));
                text.push('\n');
            }
            continue;
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" | "HELO" => "250 relay.test",
            "RCPT" if shared.refuses.load(Ordering::SeqCst) => "451 try again later",
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                "250 fine"
            }
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        write.write_all(answer.as_bytes()).await?;
        write.write_all(b"\r\n").await?;
        if verb == "QUIT" {
            return Ok(());
        }
    }
    Ok(())
}
