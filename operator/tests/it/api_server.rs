//! An in-memory API server, as far as an operator can tell the difference: requests, watches and faults over [`objects`].

mod objects;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::StreamExt;
use hyper::{Method, Request, Response};
use kube::Client;
use serde_json::{Value, json};

use self::objects::{Collection, Objects, Target, failure, invalid};

/// What a fault answers.
#[derive(Clone)]
pub enum Answer {
    /// A Status with this code and message.
    Status(u16, &'static str),
    /// A value in this field is refused, with this message.
    Invalid(&'static str, &'static str),
    /// Text that is no Status, as an unknown path gets.
    Text(u16, &'static str),
    /// Nothing, ever.
    Hang,
    /// What is true, after a time.
    Late(Duration),
}

struct Fault {
    method: &'static str,
    path: String,
    answer: Answer,
    times: usize,
}

/// What somebody else does just before a request arrives.
struct Interruption {
    method: &'static str,
    path: &'static str,
    act: Box<dyn FnOnce(&ApiServer) + Send>,
}

#[derive(Default)]
struct State {
    objects: Objects,
    writes: Vec<String>,
    faults: Vec<Fault>,
    interruptions: Vec<Interruption>,
}

/// The server; clones share their state.
#[derive(Clone, Default)]
pub struct ApiServer(Arc<Mutex<State>>);

fn parse(path: &str) -> Target {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let group_version = if parts[0] == "api" {
        parts.drain(..2).next_back().unwrap().to_owned()
    } else {
        let taken: Vec<&str> = parts.drain(..3).collect();
        format!("{}/{}", taken[1], taken[2])
    };
    let namespace =
        if parts.len() > 2 && parts[0] == "namespaces" { parts.drain(..2).next_back().unwrap() } else { "" };
    let mut rest = parts.into_iter().map(String::from);
    Target {
        collection: (group_version, namespace.to_owned(), rest.next().unwrap_or_default()),
        name: rest.next(),
        subresource: rest.next(),
    }
}

fn query(request: &Request<kube::client::Body>) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let hex: Vec<u8> = rest.by_ref().take(2).collect();
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                b'+' => b' ',
                byte => byte,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode(key), decode(value))).collect()
}

impl ApiServer {
    /// A client of this server.
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Makes the next `times` requests with that method and a path that contains `path` fail.
    pub fn fault(&self, method: &'static str, path: &str, answer: Answer, times: usize) {
        self.0.lock().unwrap().faults.push(Fault { method, path: path.to_owned(), answer, times });
    }

    /// Lets somebody else `act` just before the next request with that method and a path that contains `path` arrives.
    pub fn interrupt(&self, method: &'static str, path: &'static str, act: impl FnOnce(&Self) + Send + 'static) {
        self.0.lock().unwrap().interruptions.push(Interruption { method, path, act: Box::new(act) });
    }

    /// Lets an admission webhook rewrite everything that is applied from now on.
    pub fn admit(&self, webhook: fn(&mut Value)) {
        self.0.lock().unwrap().objects.admit(webhook, true);
    }

    /// The same for what is made, as webhooks have it that leave changes alone.
    pub fn admit_creation(&self, webhook: fn(&mut Value)) {
        self.0.lock().unwrap().objects.admit(webhook, false);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.0.lock().unwrap().faults.clear();
    }

    /// Writing requests since the last call.
    pub fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    /// An object by collection path, such as `apps/v1/deployments`.
    pub fn get(&self, path: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = (collection(path, namespace), name.to_owned());
        self.0.lock().unwrap().objects.get(&key).cloned()
    }

    /// Names of a collection.
    pub fn names(&self, path: &str, namespace: &str) -> Vec<String> {
        self.0.lock().unwrap().objects.names(&collection(path, namespace))
    }

    /// Stores an object as somebody else would, creating or replacing it.
    pub fn put(&self, path: &str, namespace: &str, mut object: Value) -> Value {
        object["metadata"]["namespace"] = json!(namespace);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.0.lock().unwrap().objects.overwrite((collection(path, namespace), name), object)
    }

    /// Changes an object in place.
    pub fn edit(&self, path: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(path, namespace, name).unwrap();
        change(&mut object);
        self.put(path, namespace, object);
    }

    /// Deletes an object, or marks it when it has finalizers.
    pub fn delete(&self, path: &str, namespace: &str, name: &str) {
        self.0.lock().unwrap().objects.remove(&(collection(path, namespace), name.to_owned()));
    }

    async fn answer(&self, request: Request<kube::client::Body>) -> Response<Body> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let query = query(&request);
        let content_type =
            request.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let fault = {
            let mut state = self.0.lock().unwrap();
            if method != Method::GET && !path.contains("/events") && !query.contains_key("dryRun") {
                state.writes.push(format!("{method} {path}"));
            }
            let pairs: Vec<String> = query.iter().map(|(key, value)| format!("{key}={value}&")).collect();
            let asked = format!("{path}?{}", pairs.concat());
            let found =
                state.faults.iter_mut().find(|f| f.times > 0 && f.method == method.as_str() && asked.contains(&f.path));
            found.map(|fault| {
                fault.times -= 1;
                fault.answer.clone()
            })
        };
        let late = if let Some(Answer::Late(time)) = fault { time } else { Duration::ZERO };
        match fault {
            Some(Answer::Status(code, message)) => return failure(code, message),
            Some(Answer::Invalid(field, message)) => return invalid(field, message),
            Some(Answer::Text(code, text)) => {
                return Response::builder().status(code).body(Body::from(text)).unwrap();
            }
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Late(_)) | None => {}
        }
        let interruption = {
            let mut state = self.0.lock().unwrap();
            let found = state.interruptions.iter().position(|i| i.method == method.as_str() && path.contains(i.path));
            found.map(|index| state.interruptions.remove(index))
        };
        if let Some(interruption) = interruption {
            (interruption.act)(self);
        }
        let target = parse(&path);
        if query.get("watch").is_some_and(|watch| watch == "true") {
            return self.watch(&target, &query);
        }
        let bytes = request.into_body().collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let answer = self.0.lock().unwrap().objects.handle(&method, target, &query, &content_type, body);
        tokio::time::sleep(late).await;
        answer
    }

    fn watch(&self, target: &Target, query: &BTreeMap<String, String>) -> Response<Body> {
        let since: u64 = query.get("resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
        let labels = query.get("labelSelector").cloned().unwrap_or_default();
        let collection = target.collection.clone();
        let state = self.0.clone();
        let lines = futures::stream::unfold(since, move |since| {
            let (state, collection, labels) = (state.clone(), collection.clone(), labels.clone());
            async move {
                loop {
                    let found = state.lock().unwrap().objects.news(since, &collection, &labels);
                    if let Some((last, _)) = found.last() {
                        let text: String = found.iter().map(|(_, line)| line.as_str()).collect();
                        return Some((Ok::<_, Infallible>(Bytes::from(text)), *last));
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        Response::new(Body::from_stream(lines.boxed()))
    }
}

fn collection(path: &str, namespace: &str) -> Collection {
    let (group_version, plural) = path.rsplit_once('/').unwrap();
    (group_version.to_owned(), namespace.to_owned(), plural.to_owned())
}
