//! A push service on this machine that answers as a script says, for tests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
    routing::post,
};
use serde_json::{Value, json};

/// One answer of the script.
#[derive(Clone)]
pub enum Step {
    Answer {
        status: u16,
        retry_after: Option<&'static str>,
        body: String,
    },
    /// No answer for longer than anybody waits.
    Silence,
}

impl Step {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answer { status, retry_after: None, body: body.to_string() }
    }

    pub fn plain(status: u16) -> Self {
        Self::Answer { status, retry_after: None, body: String::new() }
    }

    pub fn html(status: u16) -> Self {
        Self::Answer { status, retry_after: None, body: "<html><h1>Bad Gateway</h1></html>".into() }
    }

    pub fn after(self, seconds: &'static str) -> Self {
        match self {
            Self::Answer { status, body, .. } => Self::Answer { status, retry_after: Some(seconds), body },
            Self::Silence => Self::Silence,
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    pushes: Mutex<Vec<Seen>>,
    tokens: Mutex<Vec<Seen>>,
    token_answer: Mutex<Option<(StatusCode, String)>>,
}

/// The service, until it is dropped.
pub struct Scripted {
    pub url: String,
    script: Arc<Script>,
    server: tokio::task::JoinHandle<()>,
}

impl Scripted {
    /// Answers pushes by `steps`, and after those with success.
    pub async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Arc::new(Script { steps: Mutex::new(steps.into_iter().collect()), ..Script::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/token", post(token)).fallback(push).with_state(script.clone());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, script, server }
    }

    /// From now on requests for an access token are answered by this; with `None`, by a token.
    pub fn answer_tokens(&self, answer: Option<(StatusCode, String)>) {
        *self.script.token_answer.lock().unwrap() = answer;
    }

    /// The pushes that came.
    pub fn pushes(&self) -> Vec<Seen> {
        self.script.pushes.lock().unwrap().clone()
    }

    /// The requests for an access token.
    pub fn tokens(&self) -> Vec<Seen> {
        self.script.tokens.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn token(State(script): State<Arc<Script>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    // Long enough for others to ask too, if they would.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut tokens = script.tokens.lock().unwrap();
    tokens.push(Seen { path: uri.path().into(), headers, body });
    if let Some((status, body)) = script.token_answer.lock().unwrap().clone() {
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = status;
        return answer;
    }
    let answer =
        json!({"access_token": format!("access-{}", tokens.len()), "expires_in": 3599, "token_type": "Bearer"});
    Response::new(Body::from(answer.to_string()))
}

async fn push(State(script): State<Arc<Script>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    script.pushes.lock().unwrap().push(Seen { path: uri.path().into(), headers, body });
    let step = script.steps.lock().unwrap().pop_front();
    match step.unwrap_or_else(|| Step::json(200, &json!({"name": "projects/p/messages/1"}))) {
        Step::Answer { status, retry_after, body } => {
            let mut answer = Response::new(Body::from(body));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert("retry-after", seconds.parse().unwrap());
            }
            answer
        }
        Step::Silence => {
            tokio::time::sleep(Duration::from_mins(2)).await;
            Response::new(Body::empty())
        }
    }
}
