//! `/socket.io/` over HTTP: origins, WebSocket upgrades and polling.

use std::{convert::Infallible, future::Ready, sync::Arc, task};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use sentinel_http::problem::Problem;
use socketioxide::{service::SocketIoService, socket::Sid};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tower::Service;

use super::{
    connections::{Carries, Connections, OpenLine},
    flow::Flow,
    peers::Peers,
    refusal,
    replica::Owner,
    wire::Wire,
};

/// What stock clients expect for a session that is not known: they start a new one.
const UNKNOWN_SESSION: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
/// Largest answer to a poll that is looked through for refusals; those are short.
const LOOKED_THROUGH: usize = 64 * 1024 * 1024;
/// Largest handshake.
const HANDSHAKE: usize = 4096;

/// The Socket.IO server behind our own upgrade, so that we hold each connection.
pub(super) struct Edge {
    pub service: SocketIoService<Nowhere>,
    pub connections: Arc<Connections>,
    pub origins: Vec<String>,
    /// The other replicas; `None` when this process is the only one, and its session ids are as the server makes them.
    pub peers: Option<Peers>,
}

/// Answers what the Socket.IO server passes on, which is nothing.
#[derive(Clone)]
pub(super) struct Nowhere;

impl Service<Request> for Nowhere {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Ok(Problem::not_found().into_response()))
    }
}

/// What a request asks of the server.
struct Asked<'a> {
    websocket: bool,
    sid: Option<&'a str>,
}

pub(super) async fn serve(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    if !edge.allows(request.headers()) {
        return Problem::forbidden("this origin is not allowed; whoever runs the deployment has to allow it")
            .into_response();
    }
    let Some(Asked { websocket, sid }) = read(&request) else { return edge.pass_on(request).await };
    let owner = match sid {
        None => None,
        Some(sid) => match edge.owner(sid) {
            Some(owner) => Some(owner),
            None if edge.peers.is_some() => return unknown_session(),
            None => return edge.pass_on(request).await,
        },
    };
    let sid = match owner {
        None => None,
        Some(Owner::Here(sid)) => Some(sid),
        Some(Owner::Peer(ordinal)) => return edge.forward(ordinal, websocket, request).await,
    };
    match sid {
        None if edge.connections.draining() => return Problem::unavailable().into_response(),
        Some(sid) if !websocket => return edge.poll(sid, request).await,
        _ => {}
    }
    if websocket {
        edge.upgrade(sid, request)
    } else if request.method() == Method::GET {
        edge.handshake().await
    } else {
        edge.pass_on(request).await
    }
}

impl Edge {
    /// Whether the request comes from a configured origin, from a page of this very host, or not from a page at all.
    fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let own = origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
        own || self.origins.iter().any(|allowed| allowed == origin)
    }

    async fn pass_on(&self, request: Request) -> Response {
        let Ok(response) = self.service.clone().call(request).await;
        response.map(Body::new)
    }

    /// Whose session an id names; `None` when it can be nobody's.
    fn owner(&self, sid: &str) -> Option<Owner> {
        match &self.peers {
            Some(peers) => peers.replica.owner(sid),
            None => sid.parse().ok().map(Owner::Here),
        }
    }

    /// Has a request answered by the replica whose session it belongs to. When that can't be, the session is lost as
    /// if it were unknown there.
    async fn forward(&self, ordinal: u16, websocket: bool, request: Request) -> Response {
        let open = self.connections.open(Carries::Foreign);
        let (Some(peers), Some(open)) = (&self.peers, open) else { return unknown_session() };
        match peers.forward(ordinal, websocket, request, open).await {
            Ok(response) => {
                metrics::counter!("sentinel_socket_forwards_total", "outcome" => "answered").increment(1);
                response
            }
            Err(error) => {
                metrics::counter!("sentinel_socket_forwards_total", "outcome" => error.label()).increment(1);
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    ordinal,
                    "a session of another replica is lost"
                );
                unknown_session()
            }
        }
    }

    /// Opens a polling session.
    async fn handshake(&self) -> Response {
        let mut handshake = Request::new(Body::empty());
        *handshake.uri_mut() = bare_uri("polling", None);
        let response = self.pass_on(handshake).await;
        let Some(peers) = &self.peers else { return response };
        let (mut parts, body) = response.into_parts();
        let named = axum::body::to_bytes(body, HANDSHAKE).await.ok().and_then(|body| peers.replica.named(&body));
        let Some(named) = named else { return Problem::internal().into_response() };
        parts.headers.insert(header::CONTENT_LENGTH, named.len().into());
        Response::from_parts(parts, named.into())
    }

    /// A request of a polling session. A cut ends it as if the session were unknown.
    async fn poll(&self, sid: Sid, mut request: Request) -> Response {
        if self.peers.is_some() {
            // The server knows nothing of the number before the id.
            *request.uri_mut() = bare_uri("polling", Some(sid));
        }
        // Only the request that waits for packets is cut; one that brings packets is short.
        let waits = request.method() == Method::GET;
        let Some(open) = self.connections.open(Carries::Poll(sid)) else { return unknown_session() };
        if !waits {
            return self.pass_on(request).await;
        }
        let response = tokio::select! {
            response = self.pass_on(request) => response,
            () = open.line.token().cancelled() => return unknown_session(),
        };
        with_refusals(response, &open).await
    }

    /// Takes the connection over as a WebSocket (RFC 6455, section 4.2).
    fn upgrade(&self, sid: Option<Sid>, mut request: Request) -> Response {
        let accept = request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
        let accept = accept.and_then(|accept| HeaderValue::from_str(&accept).ok());
        let Some(accept) = accept else { return StatusCode::BAD_REQUEST.into_response() };
        let Some(open) = self.connections.open(sid.map_or(Carries::New, Carries::Upgrade)) else {
            return unknown_session();
        };
        let upgraded = hyper::upgrade::on(&mut request);
        let mut handshake = axum::http::Request::new(());
        *handshake.uri_mut() = bare_uri("websocket", sid);
        handshake.extensions_mut().insert(open.line.clone());
        let flow = sid.is_none().then(Arc::<Flow>::default);
        if let Some(flow) = &flow {
            handshake.extensions_mut().insert(flow.clone());
        }
        let mut service = self.service.clone();
        tokio::spawn(async move {
            match upgraded.await {
                Ok(stream) => {
                    // The server's task keeps room for the stream in several states of its own: a pointer takes less.
                    let wire = Box::new(Wire::new(TokioIo::new(stream), open, flow));
                    let refused = service.call((wire, handshake)).await;
                    if let Err(error) = refused {
                        tracing::debug!(%error, "a WebSocket was refused");
                    }
                }
                Err(error) => tracing::debug!(%error, "a WebSocket upgrade did not come about"),
            }
        });
        let headers = [
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (header::SEC_WEBSOCKET_ACCEPT, accept),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

/// Reads what is asked; `None` for whatever the Socket.IO server itself refuses.
fn read(request: &Request) -> Option<Asked<'_>> {
    let mut protocol = None;
    let mut transport = None;
    let mut sid = None;
    for (name, value) in request.uri().query()?.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "EIO" => protocol = protocol.or(Some(value)),
            "transport" => transport = transport.or(Some(value)),
            "sid" => sid = sid.or(Some(value)),
            _ => {}
        }
    }
    let websocket = transport == Some("websocket");
    let asks_upgrade = request.method() == Method::GET
        && request.headers().contains_key(header::SEC_WEBSOCKET_KEY)
        && request.headers().get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && request.headers().get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if protocol != Some("4") || (websocket && !asks_upgrade) {
        return None;
    }
    Some(Asked { websocket, sid })
}

/// What the server needs of a request's address. It keeps the request as long as the socket lives, and every part of
/// a request keeps the whole buffer into which it was read: so it gets a new one.
fn bare_uri(transport: &str, sid: Option<Sid>) -> Uri {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    format!("/socket.io/?EIO=4&transport={transport}{sid}").parse().unwrap_or_default()
}

fn unknown_session() -> Response {
    let json = HeaderValue::from_static("application/json");
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, json)], UNKNOWN_SESSION).into_response()
}

/// The answer to a poll with the quotes of refusals put back.
async fn with_refusals(response: Response, open: &OpenLine) -> Response {
    let (parts, body) = response.into_parts();
    match axum::body::to_bytes(body, LOOKED_THROUGH).await {
        Ok(bytes) => {
            if let Some(flow) = open.flow() {
                flow.went(bytes.len());
            }
            let body = refusal::restored(&bytes).map_or_else(|| Body::from(bytes), Body::from);
            Response::from_parts(parts, body)
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
