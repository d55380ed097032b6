//! A Socket.IO client that shows every packet as it is, over a WebSocket.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::User;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for what must not come.
pub const SILENCE: Duration = Duration::from_millis(150);

/// A connection with its events that nobody has asked for yet.
pub struct Client {
    namespace: &'static str,
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    events: VecDeque<(String, Value)>,
    acks: VecDeque<(u64, Value)>,
    ended: bool,
    next_ack: u64,
}

impl Client {
    /// Opens the transport, for `/chat`.
    pub async fn open(address: SocketAddr, origin: Option<&str>) -> Result<Self, u16> {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((stream, _)) => {
                let (events, acks) = (VecDeque::new(), VecDeque::new());
                Ok(Self { namespace: "/chat", stream, events, acks, ended: false, next_ack: 0 })
            }
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// The same connection in another namespace; what comes in the one before is overlooked from now on.
    pub fn in_namespace(self, namespace: &'static str) -> Self {
        Self { namespace, ..self }
    }

    /// Joins the namespace; the refusal if there is one.
    pub async fn join(&mut self, auth: Value) -> Result<(), Value> {
        self.send(&format!("40{}{auth}", self.prefix())).await;
        loop {
            let packet = self.packet().await.expect("an answer to the CONNECT");
            if let Some(refusal) = self.read_as("44", &packet) {
                return Err(serde_json::from_str(refusal).unwrap());
            }
            if self.read_as("40", &packet).is_some() {
                self.ended = false;
                return Ok(());
            }
        }
    }

    /// What stands before the payloads of packets of this namespace.
    fn prefix(&self) -> String {
        if self.namespace == "/" { String::new() } else { format!("{},", self.namespace) }
    }

    /// The payload of a packet of this kind, when it is one in this namespace.
    fn read_as<'a>(&self, kind: &str, packet: &'a str) -> Option<&'a str> {
        let payload = packet.strip_prefix(kind)?.strip_prefix(&self.prefix())?;
        // Those of others are `/name,…`.
        (!payload.starts_with('/')).then_some(payload)
    }

    /// A user's socket that has been told `ready`.
    pub async fn of(address: SocketAddr, user: &User) -> Self {
        let mut client = Self::open(address, None).await.unwrap();
        client.join(json!({"token": user.token})).await.unwrap();
        client.event("ready").await;
        client
    }

    pub async fn send(&mut self, packet: &str) {
        self.stream.send(Message::Text(packet.into())).await.unwrap();
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.stream.send(Message::Binary(bytes.into())).await.unwrap();
    }

    /// Emits `arguments` (an array with the name in front) and asks for an acknowledgement with the returned id.
    pub async fn emit(&mut self, arguments: Value) -> u64 {
        self.next_ack += 1;
        let id = self.next_ack;
        self.send(&format!("42{}{id}{arguments}", self.prefix())).await;
        id
    }

    /// Emits an event and waits for its acknowledgement.
    pub async fn ask(&mut self, event: &str, payload: Value) -> Value {
        let id = self.emit(json!([event, payload])).await;
        self.ack(id).await
    }

    pub async fn ack(&mut self, id: u64) -> Value {
        loop {
            if let Some(at) = self.acks.iter().position(|(other, _)| *other == id) {
                return self.acks.remove(at).unwrap().1;
            }
            self.read().await.expect("an acknowledgement");
        }
    }

    /// The next acknowledgement, whichever it is.
    pub async fn any_ack(&mut self) -> (u64, Value) {
        loop {
            if let Some(ack) = self.acks.pop_front() {
                return ack;
            }
            self.read().await.expect("an acknowledgement");
        }
    }

    /// The payload of the next event of this name.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|(other, _)| other == name) {
                return self.events.remove(at).unwrap().1;
            }
            self.read().await.unwrap_or_else(|| panic!("no event {name}"));
        }
    }

    /// Whether no event of this name comes.
    pub async fn no_event(&mut self, name: &str) -> bool {
        while let Ok(Some(())) = timeout(SILENCE, self.read()).await {}
        !self.events.iter().any(|(other, _)| other == name)
    }

    /// Waits for the end: `true` when the namespace was left by a packet, `false` when the transport broke.
    pub async fn end(&mut self) -> bool {
        while !self.ended && self.read().await.is_some() {}
        self.ended
    }

    /// Waits until the transport breaks.
    pub async fn closed(&mut self) {
        while self.read().await.is_some() {}
    }

    async fn read(&mut self) -> Option<()> {
        let packet = self.packet().await?;
        if packet == "2" {
            self.send("3").await;
        } else if self.read_as("41", &packet).is_some() {
            self.ended = true;
        } else if let Some(event) = self.read_as("42", &packet) {
            let event: Value = serde_json::from_str(event).unwrap();
            self.events.push_back((event[0].as_str().unwrap().to_owned(), event[1].clone()));
        } else if let Some(ack) = self.read_as("43", &packet) {
            let (id, arguments) = ack.split_at(ack.find('[').unwrap());
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            assert_eq!(arguments.as_array().unwrap().len(), 1, "one object per acknowledgement");
            self.acks.push_back((id.parse().unwrap(), arguments[0].clone()));
        }
        Some(())
    }

    async fn packet(&mut self) -> Option<String> {
        match timeout(PATIENCE, self.stream.next()).await.expect("something within the time") {
            Some(Ok(Message::Text(text))) => Some(text.to_string()),
            _ => None,
        }
    }
}
