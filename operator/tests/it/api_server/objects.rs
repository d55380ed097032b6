//! What an API server keeps: collections, selectors, versions, server-side apply, status, history.

use std::collections::BTreeMap;

use axum::body::Body;
use hyper::{Method, Response};
use sentinel_operator::subset::amount;
use serde_json::{Map, Value, json};

/// What is replaced as a whole where it is applied, though it is no list.
const ATOMIC: [&str; 3] = ["nodeSelector", "podSelector", "selector"];

/// What cannot change of a StatefulSet.
const OF_SETS: [&str; 4] = ["podManagementPolicy", "selector", "serviceName", "volumeClaimTemplates"];

/// Group and version, namespace, plural.
pub type Collection = (String, String, String);

/// A collection and a name.
pub type Key = (Collection, String);

/// What a request is about.
pub struct Target {
    /// The collection.
    pub collection: Collection,
    /// The object; none for all.
    pub name: Option<String>,
    /// Its part.
    pub subresource: Option<String>,
}

/// Everything that is kept.
#[derive(Default)]
pub struct Objects {
    kept: BTreeMap<Key, Value>,
    applied: BTreeMap<(Key, String), Value>,
    history: Vec<(u64, Collection, &'static str, Value)>,
    version: u64,
    admission: Option<fn(&mut Value)>,
    admits_changes: bool,
}

impl Objects {
    /// Lets an admission webhook rewrite what is made from now on, and with `changes` what is changed.
    pub fn admit(&mut self, webhook: fn(&mut Value), changes: bool) {
        (self.admission, self.admits_changes) = (Some(webhook), changes);
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.kept.get(key)
    }

    /// Names of a collection.
    pub fn names(&self, wanted: &Collection) -> Vec<String> {
        self.kept.keys().filter(|(collection, _)| collection == wanted).map(|(_, name)| name.clone()).collect()
    }

    /// What happened after a version in a collection, as lines of a watch, each with its version.
    pub fn news(&self, since: u64, wanted: &Collection, labels: &str) -> Vec<(u64, String)> {
        let news = self
            .history
            .iter()
            .filter(|(version, place, _, object)| *version > since && is_in(place, wanted) && selected(object, labels));
        news.map(|(version, _, type_, object)| (*version, format!("{}\n", json!({ "type": type_, "object": object }))))
            .collect()
    }

    /// Answers a request that is no watch.
    pub fn handle(
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
        let live = self.kept.get(&key).cloned();
        match (method, live) {
            (&Method::GET, Some(live)) => reply(200, &live),
            (&Method::POST, Some(_)) => failure(409, "already exists"),
            (&Method::POST, None) if query.contains_key("dryRun") => reply(201, &body),
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
                let old = live.clone().unwrap_or_default();
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
                let is_changed = |field: &&str| old["spec"][*field] != merged["spec"][*field];
                if key.0.2 == "statefulsets" && !is_new && OF_SETS.iter().any(is_changed) {
                    return failure(422, "updates to statefulset spec for fields other than these are forbidden");
                }
                if key.0.2 == "services" && !is_new && is_changed(&"clusterIP") {
                    return failure(422, "spec.clusterIPs[0]: may not change once set");
                }
                reply(200, &self.store(key, merged))
            }
            (&Method::PATCH, Some(mut live)) => {
                let version = &body["metadata"]["resourceVersion"];
                if version.is_string() && *version != live["metadata"]["resourceVersion"] {
                    return failure(409, "the object has been modified");
                }
                let before = live.clone();
                merge(&mut live, &body, true);
                if key.0.2 == "persistentvolumeclaims" && shrinks(&before, &live) {
                    let field = "spec.resources.requests.storage";
                    return invalid(field, "Forbidden: field can not be less than status.capacity");
                }
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
                if body["propagationPolicy"] == "Orphan" {
                    self.orphan(&live["metadata"]["uid"]);
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
        let objects = self.kept.iter().filter(|((place, _), _)| is_in(place, collection));
        let items: Vec<&Value> =
            objects.map(|(_, object)| object).filter(|o| selected(o, labels) && fields_match(o, fields)).collect();
        let version = self.version.to_string();
        reply(
            200,
            &json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": version }, "items": items }),
        )
    }

    /// Server-side apply: what the manager no longer sets goes, unless it is another one's, too; the rest is merged.
    fn merged(&mut self, (key, manager): (&Key, &str), live: Option<Value>, body: &Value, part: Option<&str>) -> Value {
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
        if key.0.2 == "networkpolicies" {
            let fields: Map<String, Value> = body["spec"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(field, _)| (format!("f:{field}"), json!({})))
                .collect();
            merged["metadata"]["managedFields"] =
                json!([{ "manager": manager, "operation": "Apply", "fieldsV1": { "f:spec": fields } }]);
        }
        merged
    }

    /// Stores an object that somebody else wrote, who takes over the fields that were changed.
    pub fn overwrite(&mut self, key: Key, mut object: Value) -> Value {
        let live = self.kept.get(&key).cloned().unwrap_or_default();
        let spec = object["spec"].clone();
        for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            if let Some(fields) = entry.pointer_mut("/fieldsV1/f:spec").and_then(Value::as_object_mut) {
                fields.retain(|field, _| live["spec"][&field[2..]] == spec[&field[2..]]);
            }
        }
        self.store(key, object)
    }

    /// Stores an object as the API server would, creating or replacing it.
    pub fn store(&mut self, key: Key, mut object: Value) -> Value {
        let live = self.kept.get(&key).cloned();
        default(&mut object);
        object["metadata"]["namespace"] = json!(key.0.1);
        let old = live.clone().unwrap_or_else(|| json!({ "metadata": {} }));
        for field in ["uid", "generation", "resourceVersion"] {
            object["metadata"][field] = old["metadata"][field].clone();
        }
        // Tests may make an object younger or older.
        if object["metadata"]["creationTimestamp"].is_null() {
            object["metadata"]["creationTimestamp"] = old["metadata"]["creationTimestamp"].clone();
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
            self.kept.remove(&key);
            self.history.push((self.version, key.0, "DELETED", object.clone()));
            return object;
        }
        let type_ = if live.is_none() { "ADDED" } else { "MODIFIED" };
        self.history.push((self.version, key.0.clone(), type_, object.clone()));
        self.kept.insert(key, object.clone());
        object
    }

    /// Whatever the object with that uid owns is owned by nobody any more.
    fn orphan(&mut self, uid: &Value) {
        for object in self.kept.values_mut() {
            if let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
                owners.retain(|owner| owner["uid"] != *uid);
            }
        }
    }

    /// Deletes an object, or marks it when it has finalizers.
    pub fn remove(&mut self, key: &Key) {
        let Some(mut object) = self.kept.get(key).cloned() else { return };
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.store(key.clone(), object);
    }
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

fn reply(code: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// The answer to a value that is refused.
pub fn invalid(field: &str, message: &str) -> Response<Body> {
    let causes = json!([{ "reason": "FieldValueInvalid", "message": message, "field": field }]);
    reply(
        422,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid",
                 "code": 422, "message": format!("{field}: {message}"), "details": { "causes": causes } }),
    )
}

/// Whether a claim is to ask for less than before, and for no more than its volume has.
fn shrinks(before: &Value, after: &Value) -> bool {
    let size = |claim: &Value, pointer: &str| claim.pointer(pointer).and_then(Value::as_str).and_then(amount);
    let asked = |claim: &Value| size(claim, "/spec/resources/requests/storage");
    asked(after) < asked(before) && asked(after) <= size(before, "/status/capacity/storage")
}

fn managed_by_another(field: &str) -> Response<Body> {
    let causes = json!([{ "reason": "FieldManagerConflict", "message": "conflict with another", "field": field }]);
    reply(
        409,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict",
                 "code": 409, "message": "Apply failed with 1 conflict", "details": { "causes": causes } }),
    )
}

/// A Status with this code.
pub fn failure(code: u16, message: &str) -> Response<Body> {
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

/// What the API server adds and rewrites.
fn default(object: &mut Value) {
    if let Some(template) = object.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) {
        template.entry("dnsPolicy").or_insert_with(|| json!("ClusterFirst"));
        template.entry("restartPolicy").or_insert_with(|| json!("Always"));
        for container in template.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
            container["terminationMessagePath"] = json!("/dev/termination-log");
            for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
                    field["apiVersion"] = json!("v1");
                }
            }
            if container.pointer("/resources/requests/cpu") == Some(&json!("1000m")) {
                container["resources"]["requests"]["cpu"] = json!("1");
            }
        }
    }
    if object["kind"] == "StatefulSet" && object["spec"]["podManagementPolicy"].is_null() {
        object["spec"]["podManagementPolicy"] = json!("OrderedReady");
    }
    for claim in object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
        claim["spec"]["volumeMode"] = json!("Filesystem");
        claim["status"] = json!({ "phase": "Pending" });
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
        } else if !null_deletes && ATOMIC.contains(&key.as_str()) {
            target.insert(key.clone(), value.clone());
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
