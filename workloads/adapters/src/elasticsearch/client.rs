//! A thin HTTP client: several endpoints, time-outs, and answers read as JSON.
//!
//! All requests may be repeated without harm, because writes carry versions. So a request that an endpoint did not take
//! goes to the next one. One that is not answered in time does not: it may be at work in the engine, which it would then
//! be in once for each endpoint. The next request begins elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Certificate, Method, StatusCode, Url, header};
use sentinel_domain::{config::Connection, ids::MessageId, room::Room};
use serde_json::Value;

use super::ElasticsearchError;
use crate::credentials::Credentials;

const CONNECTED_WITHIN: Duration = Duration::from_secs(2);
/// How long one request may take. A rebuild waits as long for writes that are under way.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// How long a start waits for an endpoint.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRIED_EVERY: Duration = Duration::from_millis(500);
const LONGEST_REASON: usize = 300;

/// What all requests have in common.
#[derive(Clone, Debug)]
pub(super) struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    endpoints: Vec<String>,
    /// The endpoint that answered last, or the one after it if that no longer answers.
    current: AtomicUsize,
    credentials: Option<Credentials>,
    room: Room,
}

/// An entry that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub id: String,
    pub version: Option<i64>,
    pub source: Value,
}

impl Found {
    /// The message that it stands for.
    pub fn message(&self) -> Result<MessageId, ElasticsearchError> {
        self.id.parse().map_err(|_| unexpected("a search"))
    }

    /// An id in one of its fields.
    pub fn id<T: std::str::FromStr>(&self, field: &str) -> Result<T, ElasticsearchError> {
        let value = &self.source[field];
        let text = value.as_str().or_else(|| value[0].as_str());
        text.and_then(|text| text.parse().ok()).ok_or_else(|| unexpected("a search"))
    }
}

impl Client {
    pub fn new(connection: &Connection) -> Result<Self, ElasticsearchError> {
        Self::answered_within(connection, ANSWERED_WITHIN)
    }

    fn answered_within(connection: &Connection, patience: Duration) -> Result<Self, ElasticsearchError> {
        let endpoints = connection.endpoints.iter().map(|text| endpoint(text)).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(ElasticsearchError::NoEndpoint);
        }
        // Proxies of the environment are for the outside.
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECTED_WITHIN).timeout(patience).no_proxy();
        if let Some(path) = connection.tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
            let pem =
                std::fs::read(path).map_err(|source| ElasticsearchError::Authority { path: path.clone(), source })?;
            let authorities = Certificate::from_pem_bundle(&pem).ok().filter(|list| !list.is_empty());
            let authorities = authorities.ok_or_else(|| ElasticsearchError::NoAuthority(path.clone()))?;
            builder = builder.tls_certs_only(authorities);
        }
        let http = builder.build().map_err(ElasticsearchError::Client)?;
        let credentials = Credentials::read(connection)?;
        let current = AtomicUsize::new(0);
        let room = Room::default();
        Ok(Self { shared: Arc::new(Shared { http, endpoints, current, credentials, room }) })
    }

    /// Whether the volumes of the nodes take more.
    pub fn room(&self) -> &Room {
        &self.shared.room
    }

    /// Waits for an endpoint that answers.
    pub async fn wait(&self) -> Result<(), ElasticsearchError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.get("/_cluster/health").await {
                Ok(_) => return Ok(()),
                // A wrong password does not get better.
                Err(error @ ElasticsearchError::Refused { status: 401 | 403, .. }) => return Err(error),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(RETRIED_EVERY).await,
            }
        }
    }

    pub async fn get(&self, path: &str) -> Result<Value, ElasticsearchError> {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Option<String>) -> Result<Value, ElasticsearchError> {
        self.send(Method::POST, path, body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, ElasticsearchError> {
        self.send(Method::PUT, path, Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, ElasticsearchError> {
        self.send(Method::DELETE, path, None).await
    }

    /// A search of which no part is missing.
    pub async fn search(&self, index: &str, body: &Value) -> Result<Vec<Found>, ElasticsearchError> {
        let path = format!("/{index}/_search?allow_partial_search_results=false");
        let mut answer = self.send(Method::POST, &path, Some(body.to_string())).await?;
        if answer["timed_out"] == true {
            return Err(ElasticsearchError::Red);
        }
        let Value::Array(hits) = answer["hits"]["hits"].take() else { return Err(unexpected("a search")) };
        let found = hits.into_iter().map(|mut hit| {
            let id = hit["_id"].as_str().ok_or_else(|| unexpected("a search"))?.to_owned();
            Ok(Found { id, version: hit["_version"].as_i64(), source: hit["_source"].take() })
        });
        found.collect()
    }

    async fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<Value, ElasticsearchError> {
        let shared = &*self.shared;
        let (first, count) = (shared.current.load(Ordering::Relaxed), shared.endpoints.len());
        let request = format!("{method} {}", path.split('?').next().unwrap_or_default());
        let operation = operation(path);
        let mut last = unexpected(&request);
        for place in (first..first + count).map(|place| place % count) {
            let begun = Instant::now();
            let outcome = self.try_endpoint(&shared.endpoints[place], &method, path, body.clone(), &request).await;
            metrics::histogram!("sentinel_search_engine_request_seconds", "operation" => operation)
                .record(begun.elapsed());
            if outcome.is_err() {
                metrics::counter!("sentinel_search_engine_errors_total", "operation" => operation).increment(1);
            }
            match outcome {
                Ok(answer) => {
                    shared.current.store(place, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) if is_late(&error) => {
                    shared.current.store((place + 1) % count, Ordering::Relaxed);
                    return Err(error);
                }
                // Another endpoint may do better than one that is away or behind a gateway that is.
                Err(
                    error @ (ElasticsearchError::Unreachable { .. }
                    | ElasticsearchError::Refused { status: 502..=504, .. }),
                ) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn try_endpoint(
        &self,
        endpoint: &str,
        method: &Method,
        path: &str,
        body: Option<String>,
        request: &str,
    ) -> Result<Value, ElasticsearchError> {
        let shared = &*self.shared;
        let unreachable = |source| ElasticsearchError::Unreachable { endpoints: shared.endpoints.join(", "), source };
        let mut sent = shared.http.request(method.clone(), format!("{endpoint}{path}"));
        if let Some(credentials) = &shared.credentials {
            sent = sent.basic_auth(&credentials.username, Some(&credentials.password));
        }
        if let Some(body) = body {
            sent = sent.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let response = sent.send().await.map_err(|error| unreachable(error.without_url()))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| unreachable(error.without_url()))?;
        if !status.is_success() {
            return Err(refused(request, status, &bytes));
        }
        serde_json::from_slice(&bytes)
            .map_err(|source| ElasticsearchError::Answer { request: request.to_owned(), source: Some(source) })
    }
}

/// Whether an endpoint was asked and did not answer in time.
fn is_late(error: &ElasticsearchError) -> bool {
    matches!(error, ElasticsearchError::Unreachable { source, .. } if source.is_timeout() && !source.is_connect())
}

/// An answer that is not what this code knows.
pub(super) fn unexpected(request: &str) -> ElasticsearchError {
    ElasticsearchError::Answer { request: request.to_owned(), source: None }
}

/// What a path is for, as a label of metrics.
fn operation(path: &str) -> &'static str {
    ["_bulk", "_search", "_refresh", "_count"].into_iter().find(|name| path.contains(name)).unwrap_or("other")
}

fn endpoint(text: &str) -> Result<String, ElasticsearchError> {
    let wrong = || ElasticsearchError::Endpoint(text.to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    let clean = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && clean {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(wrong())
    }
}

fn refused(request: &str, status: StatusCode, body: &[u8]) -> ElasticsearchError {
    ElasticsearchError::Refused { request: request.to_owned(), status: status.as_u16(), reason: reason(body) }
}

fn reason(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &answer["error"];
    let cause = &error["root_cause"][0];
    let named = |of: &Value| Some(format!("{} ({})", of["reason"].as_str()?, of["type"].as_str()?));
    let text = named(cause).or_else(|| named(error)).or_else(|| Some(error.as_str()?.to_owned()));
    text.unwrap_or_else(|| "no reason given".into()).chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use sentinel_domain::config::TlsConfig;

    use super::*;

    #[test]
    fn endpoints_are_urls_without_secrets() {
        assert_eq!(endpoint("http://search:9200/").unwrap(), "http://search:9200");
        assert_eq!(endpoint("https://search/es").unwrap(), "https://search/es");
        for bad in ["search:9200", "ftp://search", "", "http://ann:secret@search:9200", "http://search?x=1"] {
            assert!(matches!(endpoint(bad), Err(ElasticsearchError::Endpoint(_))), "{bad}");
        }
    }

    #[test]
    fn reasons_are_short_and_named() {
        let body = br#"{"error":{"root_cause":[{"type":"parsing_exception","reason":"unknown query"}],"type":"x"}}"#;
        assert_eq!(reason(body), "unknown query (parsing_exception)");
        assert_eq!(reason(br#"{"error":"no handler"}"#), "no handler");
        assert_eq!(reason(b"<html>"), "no reason given");
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_named() {
        let endpoints = vec!["http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned()];
        let client = Client::new(&Connection { endpoints, credentials: None, tls: None }).unwrap();
        let error = client.get("/").await.unwrap_err();
        assert!(error.to_string().contains("http://127.0.0.1:1, http://127.0.0.1:2"), "{error}");
    }

    /// Answers one request over `stream` with `{}` and gives what was asked.
    fn answer(mut stream: impl Read + Write) -> String {
        let (mut request, mut part) = (Vec::new(), [0; 1024]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "the client went away");
            request.extend_from_slice(&part[..read]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").unwrap();
        stream.flush().unwrap();
        String::from_utf8(request).unwrap()
    }

    #[tokio::test]
    async fn what_takes_too_long_is_not_asked_of_the_next_endpoint_too() {
        let (silent, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let url = |of: &TcpListener| format!("http://{}", of.local_addr().unwrap());
        let endpoints = vec!["http://127.0.0.1:1".to_owned(), url(&silent), url(&other)];
        let server = std::thread::spawn(move || answer(other.accept().unwrap().0));
        let connection = Connection { endpoints, credentials: None, tls: None };
        let client = Client::answered_within(&connection, Duration::from_secs(1)).unwrap();
        let error = client.post("/some/_search", None).await.unwrap_err();
        assert!(is_late(&error), "{error:?}");
        client.get("/later").await.unwrap();
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /later "), "{request}");
    }

    #[tokio::test]
    async fn user_and_password_come_from_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("username"), "ann").unwrap();
        std::fs::write(folder.path().join("password"), "secret\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoints = vec![format!("http://{}", listener.local_addr().unwrap())];
        let server = std::thread::spawn(move || answer(listener.accept().unwrap().0));
        let credentials = Some(folder.path().to_owned());
        let client = Client::new(&Connection { endpoints, credentials, tls: None }).unwrap();
        client.get("/_cluster/health").await.unwrap();
        let request = server.join().unwrap().to_ascii_lowercase();
        assert!(request.contains("authorization: basic yw5uonnly3jlda=="), "{request}");
        assert!(!format!("{client:?}").contains("secret"));
    }

    #[tokio::test]
    async fn only_the_configured_authority_is_trusted() {
        let authority = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
            let certificate = parameters.self_signed(&key).unwrap().pem();
            (rcgen::Issuer::new(parameters, key), certificate)
        };
        let ((issuer, ours), (_, other)) = (authority("ours"), authority("other"));
        let key = rcgen::KeyPair::generate().unwrap();
        let server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer);
        let chain = vec![server.unwrap().der().clone()];
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = Arc::new(config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap());

        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        for (trusted, works) in [(&ours, true), (&other, false)] {
            std::fs::write(&ca, trusted).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoints = vec![format!("https://{}", listener.local_addr().unwrap())];
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            // Without trust, the server's side ends in a panic of its own.
            let server =
                std::thread::spawn(move || answer(rustls::StreamOwned::new(session, listener.accept().unwrap().0)));
            let tls = Some(TlsConfig { ca: Some(ca.clone()) });
            let client = Client::new(&Connection { endpoints, credentials: None, tls }).unwrap();
            let outcome = client.get("/_cluster/health").await;
            assert_eq!(outcome.is_ok(), works, "{outcome:?}");
            assert_eq!(server.join().is_ok(), works);
        }
        std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\nnonsense").unwrap();
        let endpoints = vec!["https://search:9200".to_owned()];
        let tls = Some(TlsConfig { ca: Some(ca) });
        let error = Client::new(&Connection { endpoints, credentials: None, tls }).unwrap_err();
        assert!(error.to_string().contains("ca.crt"), "{error}");
    }
}
