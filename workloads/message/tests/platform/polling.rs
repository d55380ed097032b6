//! A Socket.IO client over polling, each of whose requests may go to another server.

use std::{collections::VecDeque, net::SocketAddr};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, request::Builder},
};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// A session whose requests go to one server after the other.
pub struct Polling {
    http: Http<HttpConnector, Body>,
    servers: Vec<SocketAddr>,
    next: usize,
    sid: String,
    packets: VecDeque<String>,
    last_ack: u64,
}

impl Polling {
    /// Opens a session on the first server.
    pub async fn open(servers: &[SocketAddr]) -> Self {
        let http = Http::builder(TokioExecutor::new()).build_http();
        let packets = VecDeque::new();
        let mut client = Self { http, servers: servers.into(), next: 0, sid: String::new(), packets, last_ack: 0 };
        let (status, handshake) = client.request(Method::GET, "").await;
        assert_eq!(status, 200, "{handshake}");
        let handshake: Value = serde_json::from_str(handshake.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(handshake["upgrades"], json!(["websocket"]));
        let sid = handshake["sid"].as_str().unwrap().to_owned();
        Self { sid, ..client }
    }

    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Sends packets.
    pub async fn post(&mut self, packets: &str) -> (u16, String) {
        self.request(Method::POST, packets).await
    }

    /// Waits for packets.
    pub async fn poll(&mut self) -> (u16, String) {
        self.request(Method::GET, "").await
    }

    /// Emits an event in `/chat` and waits for its acknowledgement.
    pub async fn ask(&mut self, event: &str, payload: Value) -> Value {
        self.last_ack += 1;
        let id = self.last_ack;
        let (status, body) = self.post(&format!("42/chat,{id}{}", json!([event, payload]))).await;
        assert_eq!((status, body.as_str()), (200, "ok"));
        let answer = self.packet(&format!("43/chat,{id}")).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer[0].clone()
    }

    /// The rest of the next packet that begins so.
    pub async fn packet(&mut self, beginning: &str) -> String {
        loop {
            if let Some(at) = self.packets.iter().position(|packet| packet.starts_with(beginning)) {
                return self.packets.remove(at).unwrap().split_off(beginning.len());
            }
            let (status, body) = self.poll().await;
            assert_eq!(status, 200, "{body}");
            for packet in body.split('\u{1e}') {
                if packet == "2" {
                    self.post("3").await;
                } else {
                    self.packets.push_back(packet.to_owned());
                }
            }
        }
    }

    async fn request(&mut self, method: Method, body: &str) -> (u16, String) {
        let server = self.servers[self.next % self.servers.len()];
        self.next += 1;
        let sid = if self.sid.is_empty() { String::new() } else { format!("&sid={}", self.sid) };
        let uri = format!("http://{server}/socket.io/?EIO=4&transport=polling&t=a1b2c3{sid}");
        let request = Request::builder().method(method).uri(uri).header("content-type", "text/plain;charset=UTF-8");
        answer(&self.http, request, body).await
    }
}

/// One request without a session of a client around it.
pub async fn send(request: Builder) -> (u16, String) {
    answer(&Http::builder(TokioExecutor::new()).build_http(), request, "").await
}

async fn answer(http: &Http<HttpConnector, Body>, request: Builder, body: &str) -> (u16, String) {
    let response = http.request(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(Body::new(response.into_body()), 10_000_000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
