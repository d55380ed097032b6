//! Requests for sessions of other replicas, passed on to them.
//!
//! Gateways that read session ids send few of them here. What comes all the same is answered as the session's own
//! replica answers it, and a WebSocket becomes a tunnel of bytes.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, uri::Scheme},
    response::Response,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use sentinel_http::request::{self, REQUEST_ID_HEADER};
use tokio::time::timeout;

use super::{connections::OpenLine, replica::Replica, tunnel};

/// Marks what was passed on once, so that replicas that disagree do not send it around.
const FORWARDED: HeaderName = HeaderName::from_static("x-sentinel-forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// A pod of the same cluster answers at once or is gone.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait for the head of an answer: longer than the ping interval (25 s), for which a poll is held, with the
/// time for a pong (20 s); shorter than the time limit of requests (60 s), whose answer would not be the right one.
const ANSWER_PATIENCE: Duration = Duration::from_secs(55);
const IDLE: Duration = Duration::from_secs(30);
/// Headers that concern one connection and not the next (RFC 9110, section 7.6.1), and `Expect`, which was answered.
const ONE_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Why a replica gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    #[error("the request was passed on before")]
    Loop,
    #[error("the request can't be addressed to the replica")]
    Address(#[from] axum::http::Error),
    #[error("the replica can't be reached")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("the replica did not answer in time")]
    Late,
    #[error("this process is stopping")]
    Stopping,
}

impl PeerError {
    /// For metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Address(_) => "address",
            Self::Unreachable(_) => "unreachable",
            Self::Late => "late",
            Self::Stopping => "stopping",
        }
    }
}

/// The way to the other replicas.
pub(super) struct Peers {
    pub replica: Replica,
    client: Client<HttpConnector, Body>,
}

impl Peers {
    pub fn new(replica: Replica) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_PATIENCE));
        // A tunnel to a node that is gone hears of it.
        connector.set_keepalive(Some(IDLE));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            // What the client wrote, so that the origin of a page is compared with it.
            .set_host(false)
            .build(connector);
        Self { replica, client }
    }

    /// Has a request answered by the replica with this number. `open` ends it when this process stops.
    pub async fn forward(
        &self,
        ordinal: u16,
        websocket: bool,
        mut request: Request,
        open: OpenLine,
    ) -> Result<Response, PeerError> {
        if request.headers().contains_key(FORWARDED) {
            return Err(PeerError::Loop);
        }
        let upgraded = websocket.then(|| hyper::upgrade::on(&mut request));
        let request = self.addressed(ordinal, websocket, request)?;
        let mut response = tokio::select! {
            answered = timeout(ANSWER_PATIENCE, self.client.request(request)) => answered.map_err(|_| PeerError::Late)??,
            () = open.line.token().cancelled() => return Err(PeerError::Stopping),
        };
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if let (true, Some(client)) = (switches, upgraded) {
            let peer = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                match tokio::try_join!(client, peer) {
                    Ok((client, peer)) => tunnel::join(TokioIo::new(client), TokioIo::new(peer), open).await,
                    Err(error) => tracing::debug!(%error, "a WebSocket upgrade did not come about"),
                }
            });
        }
        let mut response = response.map(Body::new);
        keep_end_to_end(response.headers_mut());
        if switches {
            switch_to_websocket(response.headers_mut());
        }
        Ok(response)
    }

    /// The request as the replica gets it.
    fn addressed(&self, ordinal: u16, websocket: bool, request: Request) -> Result<Request, PeerError> {
        let (parts, body) = request.into_parts();
        let address = self.replica.address_of(ordinal).map_err(axum::http::Error::from)?;
        let mut uri = Uri::builder().scheme(Scheme::HTTP).authority(address);
        if let Some(path) = parts.uri.path_and_query() {
            uri = uri.path_and_query(path.clone());
        }
        let mut forwarded = Request::new(body);
        *forwarded.uri_mut() = uri.build()?;
        *forwarded.method_mut() = parts.method;
        let mut headers = parts.headers;
        keep_end_to_end(&mut headers);
        if websocket {
            switch_to_websocket(&mut headers);
        }
        headers.insert(FORWARDED, HeaderValue::from_static("1"));
        if let Some(ConnectInfo(client)) = parts.extensions.get::<ConnectInfo<SocketAddr>>()
            && let Ok(client) = HeaderValue::from_str(&client.ip().to_canonical().to_string())
        {
            headers.append(FORWARDED_FOR, client);
        }
        if let Some(id) = request::current_id().and_then(|id| HeaderValue::from_str(&id).ok()) {
            headers.insert(REQUEST_ID_HEADER, id);
        }
        *forwarded.headers_mut() = headers;
        Ok(forwarded)
    }
}

/// Removes what concerns one connection only.
fn keep_end_to_end(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&ONE_CONNECTION) {
        headers.remove(name);
    }
}

fn switch_to_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_stay_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Private"),
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("host", "chat.example.com"),
            ("x-forwarded-for", "198.51.100.7"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        keep_end_to_end(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-forwarded-for"]);
    }
}
