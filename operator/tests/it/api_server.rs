//! An in-memory API server: collections, selectors, versions, server-side apply, status, watches and
//! faults, as far as an operator can tell the difference.

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
use serde_json::{Map, Value, json};

/// Group and version, namespace, plural.
type Collection = (String, String, String);

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
    objects: BTreeMap<(Collection, String), Value>,
    applied: BTreeMap<((Collection, String), String), Value>,
    history: Vec<(u64, Collection, &'static str, Value)>,
    version: u64,
    writes: Vec<String>,
    faults: Vec<Fault>,
    interruptions: Vec<Interruption>,
    admission: Option<fn(&mut Value)>,
    admits_changes: bool,
}

/// The server; clones share their state.
#[derive(Clone, Default)]
pub struct ApiServer(Arc<Mutex<State>>);

struct Target {
    collection: Collection,
    name: Option<String>,
    subresource: Option<String>,
}

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

fn reply(code: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn invalid(field: &str, message: &str) -> Response<Body> {
    let causes = json!([{ "reason": "FieldValueInvalid", "message": message, "field": field }]);
    reply(
        422,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid",
                 "code": 422, "message": format!("{field}: {message}"), "details": { "causes": causes } }),
    )
}

fn managed_by_another(field: &str) -> Response<Body> {
    let causes = json!([{ "reason": "FieldManagerConflict", "message": "conflict with another", "field": field }]);
    reply(
        409,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict",
                 "code": 409, "message": "Apply failed with 1 conflict", "details": { "causes": causes } }),
    )
}

fn failure(code: u16, message: &str) -> Response<Body> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    reply(
        code,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                 "message": message, "reason": reason, "code": code }),
    )
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
        let mut state = self.0.lock().unwrap();
        (state.admission, state.admits_changes) = (Some(webhook), true);
    }

    /// The same for what is made, as webhooks have it that leave changes alone.
    pub fn admit_creation(&self, webhook: fn(&mut Value)) {
        let mut state = self.0.lock().unwrap();
        (state.admission, state.admits_changes) = (Some(webhook), false);
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
        let wanted = collection(path, namespace);
        let state = self.0.lock().unwrap();
        state.objects.keys().filter(|(collection, _)| *collection == wanted).map(|(_, name)| name.clone()).collect()
    }

    /// Stores an object as somebody else would, creating or replacing it.
    pub fn put(&self, path: &str, namespace: &str, mut object: Value) -> Value {
        object["metadata"]["namespace"] = json!(namespace);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.0.lock().unwrap().store((collection(path, namespace), name), object)
    }

    /// Changes an object in place.
    pub fn edit(&self, path: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(path, namespace, name).unwrap();
        change(&mut object);
        self.put(path, namespace, object);
    }

    /// Deletes an object, or marks it when it has finalizers.
    pub fn delete(&self, path: &str, namespace: &str, name: &str) {
        self.0.lock().unwrap().remove(&(collection(path, namespace), name.to_owned()));
    }

    async fn answer(&self, request: Request<kube::client::Body>) -> Response<Body> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let query = query(&request);
        let content_type =
            request.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let fault = {
            let mut state = self.0.lock().unwrap();
            if method != Method::GET && !path.contains("/events") {
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
        match fault {
            Some(Answer::Status(code, message)) => return failure(code, message),
            Some(Answer::Invalid(field, message)) => return invalid(field, message),
            Some(Answer::Text(code, text)) => {
                return Response::builder().status(code).body(Body::from(text)).unwrap();
            }
            Some(Answer::Hang) => std::future::pending().await,
            None => {}
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
        self.0.lock().unwrap().handle(&method, target, &query, &content_type, body)
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
                    let found: Vec<(u64, String)> = {
                        let state = state.lock().unwrap();
                        let news = state.history.iter().filter(|(version, place, _, object)| {
                            *version > since && is_in(place, &collection) && selected(object, &labels)
                        });
                        news.map(|(version, _, type_, object)| {
                            (*version, format!("{}\n", json!({ "type": type_, "object": object })))
                        })
                        .collect()
                    };
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

fn is_in(place: &Collection, asked: &Collection) -> bool {
    place.0 == asked.0 && place.2 == asked.2 && (asked.1.is_empty() || place.1 == asked.1)
}

fn selected(object: &Value, labels: &str) -> bool {
    labels
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .all(|(key, value)| object["metadata"]["labels"][key] == value)
}

fn fields_match(object: &Value, fields: &str) -> bool {
    fields.split(',').filter_map(|pair| pair.split_once('=')).all(|(field, value)| {
        object.pointer(&format!("/{}", field.replace('.', "/"))).and_then(Value::as_str) == Some(value)
    })
}

impl State {
    fn handle(
        &mut self,
        method: &Method,
        target: Target,
        query: &BTreeMap<String, String>,
        content_type: &str,
        body: Value,
    ) -> Response<Body> {
        let Some(name) = target.name.or_else(|| body["metadata"]["name"].as_str().map(String::from)) else {
            return self.list(&target.collection, query);
        };
        let key = (target.collection, name);
        let live = self.objects.get(&key).cloned();
        match (method, live) {
            (&Method::GET, Some(live)) => reply(200, &live),
            (&Method::POST, Some(_)) => failure(409, "already exists"),
            (&Method::POST, None) => reply(201, &self.store(key, body)),
            (&Method::PATCH, live) if content_type.contains("apply-patch") => {
                if live.is_none() && target.subresource.is_some() {
                    return failure(404, "not found");
                }
                let is_new = live.is_none();
                let uid = &body["metadata"]["uid"];
                if uid.is_string() && live.as_ref().is_none_or(|live| live["metadata"]["uid"] != *uid) {
                    return failure(409, "the uid differs");
                }
                if query.get("force").is_none_or(|force| force != "true")
                    && live.as_ref().is_some_and(|live| live["spec"]["replicas"] != body["spec"]["replicas"])
                {
                    return managed_by_another(".spec.replicas");
                }
                let before = live.as_ref().and_then(|live| live.pointer("/spec/template").cloned());
                let mut merged =
                    self.merged((&key, &query["fieldManager"]), live, &body, target.subresource.as_deref());
                default(&mut merged);
                if let Some(webhook) = self.admission.filter(|_| is_new || self.admits_changes) {
                    webhook(&mut merged);
                }
                if key.0.2 == "jobs" && before.is_some() && before.as_ref() != merged.pointer("/spec/template") {
                    return failure(422, "spec.template: field is immutable");
                }
                reply(200, &self.store(key, merged))
            }
            (&Method::PATCH, Some(mut live)) => {
                let version = &body["metadata"]["resourceVersion"];
                if version.is_string() && *version != live["metadata"]["resourceVersion"] {
                    return failure(409, "the object has been modified");
                }
                merge(&mut live, &body, true);
                reply(200, &self.store(key, live))
            }
            (&Method::PUT, Some(live)) => {
                if body["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"] {
                    return failure(409, "the object has been modified");
                }
                reply(200, &self.store(key, body))
            }
            (&Method::DELETE, Some(live)) => {
                let uid = &body["preconditions"]["uid"];
                if uid.is_string() && *uid != live["metadata"]["uid"] {
                    return failure(409, "the uid differs");
                }
                self.remove(&key);
                reply(200, &live)
            }
            _ => failure(404, "not found"),
        }
    }

    fn list(&self, collection: &Collection, query: &BTreeMap<String, String>) -> Response<Body> {
        let labels = query.get("labelSelector").map_or("", String::as_str);
        let fields = query.get("fieldSelector").map_or("", String::as_str);
        let objects = self.objects.iter().filter(|((place, _), _)| is_in(place, collection));
        let items: Vec<&Value> =
            objects.map(|(_, object)| object).filter(|o| selected(o, labels) && fields_match(o, fields)).collect();
        let version = self.version.to_string();
        reply(
            200,
            &json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": version }, "items": items }),
        )
    }

    /// Server-side apply: what the manager no longer sets goes, unless it is another one's, too; the rest is merged.
    fn merged(
        &mut self,
        (key, manager): (&(Collection, String), &str),
        live: Option<Value>,
        body: &Value,
        part: Option<&str>,
    ) -> Value {
        let previous = self.applied.insert((key.clone(), manager.to_owned()), body.clone());
        let mut merged = live.unwrap_or_else(|| json!({}));
        if let Some(part) = part {
            merged[part] = body[part].clone();
            return merged;
        }
        if let Some(previous) = previous {
            let others = self.applied.iter().filter(|((of, by), _)| of == key && by != manager);
            let others: Vec<&Value> = others.map(|(_, applied)| applied).collect();
            forget(&mut merged, &previous, body, &others);
        }
        merge(&mut merged, body, false);
        merged
    }

    fn store(&mut self, key: (Collection, String), mut object: Value) -> Value {
        let live = self.objects.get(&key).cloned();
        default(&mut object);
        object["metadata"]["namespace"] = json!(key.0.1);
        let old = live.clone().unwrap_or_else(|| json!({ "metadata": {} }));
        for field in ["uid", "generation", "resourceVersion", "creationTimestamp"] {
            object["metadata"][field] = old["metadata"][field].clone();
        }
        if live.as_ref() == Some(&object) {
            return object;
        }
        self.version += 1;
        if live.is_none() {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
            object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        if live.is_none() || old["spec"] != object["spec"] {
            object["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let is_leaving = object["metadata"]["deletionTimestamp"].is_string();
        if is_leaving && object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
            self.objects.remove(&key);
            self.history.push((self.version, key.0, "DELETED", object.clone()));
            return object;
        }
        let type_ = if live.is_none() { "ADDED" } else { "MODIFIED" };
        self.history.push((self.version, key.0.clone(), type_, object.clone()));
        self.objects.insert(key, object.clone());
        object
    }

    fn remove(&mut self, key: &(Collection, String)) {
        let Some(mut object) = self.objects.get(key).cloned() else { return };
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.store(key.clone(), object);
    }
}

/// What the API server adds and rewrites.
fn default(object: &mut Value) {
    if let Some(template) = object.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) {
        template.entry("dnsPolicy").or_insert_with(|| json!("ClusterFirst"));
        template.entry("restartPolicy").or_insert_with(|| json!("Always"));
        for container in template.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
            container["terminationMessagePath"] = json!("/dev/termination-log");
            if container.pointer("/resources/requests/cpu") == Some(&json!("1000m")) {
                container["resources"]["requests"]["cpu"] = json!("1");
            }
        }
    }
    if object["kind"] == "Service" && object["spec"]["clusterIP"].is_null() {
        object["spec"]["clusterIP"] = json!("10.0.0.1");
    }
}

fn merge(target: &mut Value, patch: &Value, null_deletes: bool) {
    let (Value::Object(_), Value::Object(patch)) = (&*target, patch) else {
        *target = patch.clone();
        return;
    };
    let target: &mut Map<String, Value> = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() && null_deletes {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert_with(|| json!({})), value, null_deletes);
        }
    }
}

fn forget(target: &mut Value, previous: &Value, wanted: &Value, others: &[&Value]) {
    let (Some(target), Some(previous)) = (target.as_object_mut(), previous.as_object()) else { return };
    for (key, value) in previous {
        let others: Vec<&Value> = others.iter().filter_map(|other| other.get(key)).collect();
        match wanted.get(key) {
            // Whoever has written another number since manages it.
            None if !others.is_empty() || (value.is_number() && target.get(key) != Some(value)) => {}
            None => drop(target.remove(key)),
            Some(wanted) => {
                if let Some(target) = target.get_mut(key) {
                    forget(target, value, wanted, &others);
                }
            }
        }
    }
}
