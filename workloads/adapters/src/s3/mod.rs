//! The bytes of uploaded files in S3, or in a store that speaks its protocol. Clients put and get them by signed links, so
//! the bytes do not pass through the platform.

mod bucket;
mod sign;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use object_store::{
    Attribute, Attributes, ClientOptions, ObjectStore, ObjectStoreExt, PutOptions, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use sentinel_domain::{
    config::S3Config,
    media::{BlobKey, BlobPart, Media, UPLOAD_SECONDS},
    ports::{Blobs, Served, StoreError, UploadLink},
    time::Timestamp,
};

use self::sign::{Request, Signer};
use crate::credentials::{Credentials, CredentialsError};

const CONNECTED_WITHIN: Duration = Duration::from_secs(3);
/// How long one request may take: 25 MiB within a cluster.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// How long a request is tried again.
const RETRIED_FOR: Duration = Duration::from_secs(10);
/// What was once given a link never changes.
const CACHE: &str = "private, max-age=3600, immutable";

/// Why S3 can't be used.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The configuration names none.
    #[error("no endpoint of S3 is configured")]
    NoEndpoint,
    /// An endpoint needs a scheme.
    #[error("{0} is no endpoint of S3: write http://host:port or https://host:port")]
    Endpoint(String),
    /// The files with the credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Links can't be signed without a key.
    #[error("S3 needs credentials: the files `username` (access key) and `password` (secret key)")]
    NoCredentials,
    /// The file with the authorities' certificates can't be read.
    #[error("can't read the certificates in {}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file has no certificate.
    #[error("{} has no certificate in PEM", .0.display())]
    NoAuthority(PathBuf),
    /// The client can't be made.
    #[error("can't make a client for S3")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not answer.
    #[error("S3 at {endpoint} does not answer")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// There is no such bucket.
    #[error("S3 at {endpoint} has no bucket {bucket}")]
    NoBucket {
        /// Where.
        endpoint: String,
        /// Which bucket.
        bucket: String,
    },
    /// It refuses.
    #[error(
        "S3 refuses the bucket {bucket} with status {status}: check the credentials, the region and what they allow"
    )]
    Refused {
        /// Which bucket.
        bucket: String,
        /// The HTTP status.
        status: u16,
    },
}

/// Objects in a bucket.
pub struct S3 {
    store: AmazonS3,
    places: Places,
}

/// Where objects are, for this program and for clients.
struct Places {
    signer: Signer,
    endpoint: String,
    bucket: String,
    region: String,
    path_style: bool,
    public: Option<String>,
    cdn: Option<String>,
}

impl Places {
    fn new(config: &S3Config) -> Result<Self, S3Error> {
        let credentials = Credentials::read(&config.connection)?.ok_or(S3Error::NoCredentials)?;
        let endpoint = config.connection.endpoints.first().ok_or(S3Error::NoEndpoint)?;
        let bare = |text: &String| text.trim_end_matches('/').to_owned();
        let endpoint = bare(endpoint);
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(S3Error::Endpoint(endpoint));
        }
        // Where S3 is somebody else's, clients reach it as this program does unless it is said how else.
        let public = config.public_endpoint.as_ref().map(bare);
        Ok(Self {
            signer: Signer::new(credentials, config.region.clone()),
            endpoint,
            bucket: config.bucket.clone(),
            region: config.region.clone(),
            path_style: config.path_style,
            public,
            cdn: config.cdn_base_url.as_ref().map(bare),
        })
    }

    /// Scheme and host in front of the bucket's objects, and the path of one; none is the bucket itself.
    fn of(&self, base: &str, key: Option<BlobKey>) -> (String, String) {
        let bucket = &self.bucket;
        let key = key.map(|key| format!("/{key}")).unwrap_or_default();
        if self.path_style {
            return (base.to_owned(), format!("/{bucket}{key}"));
        }
        let (scheme, host) = base.split_once("://").unwrap_or(("http", base));
        (format!("{scheme}://{bucket}.{host}"), if key.is_empty() { "/".to_owned() } else { key })
    }

    /// How a client that reached the platform at `base` reaches S3.
    fn public<'a>(&'a self, base: &'a str) -> &'a str {
        self.public.as_deref().unwrap_or(base)
    }

    fn put_link(&self, base: &str, upload: &Media, now: Timestamp) -> UploadLink {
        let (base, path) = self.of(self.public(base), Some(BlobKey::new(upload.id, BlobPart::Upload)));
        let kind = upload.content_type.as_str().to_owned();
        let headers = [("content-length", upload.size.to_string()), ("content-type", kind.clone())];
        let request =
            Request { method: "PUT", base: &base, path: &path, headers: &headers, from: now, seconds: UPLOAD_SECONDS };
        // The length is what every client sends by itself, and browsers let nobody else set.
        UploadLink { url: self.signer.link(&request), headers: vec![("content-type", kind)] }
    }

    fn get_link(&self, base: &str, key: BlobKey, now: Timestamp, until: Timestamp) -> String {
        let (base, path) = self.of(self.public(base), Some(key));
        let seconds = until.seconds() - now.seconds();
        let link =
            self.signer.link(&Request { method: "GET", base: &base, path: &path, headers: &[], from: now, seconds });
        match &self.cdn {
            // It asks the endpoint with the same path and query, for which the link is signed.
            Some(cdn) => link.replacen(&base, cdn, 1),
            None => link,
        }
    }
}

impl S3 {
    /// Makes a client; nothing is asked of S3 yet.
    pub fn new(config: &S3Config) -> Result<Self, S3Error> {
        let places = Places::new(config)?;
        let credentials = Credentials::read(&config.connection)?.ok_or(S3Error::NoCredentials)?;
        // The library takes the bucket's own address when the bucket is in the host name.
        let endpoint = if config.path_style { places.endpoint.clone() } else { places.of(&places.endpoint, None).0 };
        let mut options = ClientOptions::new()
            .with_allow_http(endpoint.starts_with("http://"))
            .with_connect_timeout(CONNECTED_WITHIN)
            .with_timeout(ANSWERED_WITHIN);
        if let Some(pem) = authorities(config)? {
            let path = || config.connection.tls.as_ref().and_then(|tls| tls.ca.clone()).unwrap_or_default();
            let certificates = object_store::Certificate::from_pem_bundle(&pem).ok().filter(|list| !list.is_empty());
            for certificate in certificates.ok_or_else(|| S3Error::NoAuthority(path()))? {
                options = options.with_root_certificate(certificate);
            }
        }
        let retry = RetryConfig { max_retries: 3, retry_timeout: RETRIED_FOR, ..RetryConfig::default() };
        let store = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_region(&config.region)
            .with_bucket_name(&config.bucket)
            .with_access_key_id(credentials.username)
            .with_secret_access_key(credentials.password)
            .with_virtual_hosted_style_request(!config.path_style)
            .with_client_options(options)
            .with_retry(retry)
            .build()
            .map_err(|error| S3Error::Client(Box::new(error)))?;
        Ok(Self { store, places })
    }
}

fn authorities(config: &S3Config) -> Result<Option<Vec<u8>>, S3Error> {
    let Some(path) = config.connection.tls.as_ref().and_then(|tls| tls.ca.as_ref()) else { return Ok(None) };
    std::fs::read(path).map(Some).map_err(|source| S3Error::Authority { path: path.clone(), source })
}

fn path(key: BlobKey) -> Path {
    Path::from(key.to_string())
}

fn failed(error: object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::NotFound,
        error => StoreError::unavailable(error),
    }
}

/// What is not there is `None`.
fn found<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Blobs for S3 {
    fn put_link(&self, base: &str, upload: &Media, now: Timestamp) -> Result<UploadLink, StoreError> {
        Ok(self.places.put_link(base, upload, now))
    }

    fn get_link(&self, base: &str, key: BlobKey, now: Timestamp, until: Timestamp) -> Result<String, StoreError> {
        Ok(self.places.get_link(base, key, now, until))
    }

    async fn size(&self, key: BlobKey) -> Result<Option<u64>, StoreError> {
        Ok(found(self.store.head(&path(key)).await.map_err(failed))?.map(|object| object.size))
    }

    async fn get(&self, key: BlobKey) -> Result<Vec<u8>, StoreError> {
        let object = self.store.get(&path(key)).await.map_err(failed)?;
        Ok(object.bytes().await.map_err(failed)?.into())
    }

    async fn put(&self, key: BlobKey, bytes: Vec<u8>, served: &Served) -> Result<(), StoreError> {
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, served.content_type.clone()),
            (Attribute::ContentDisposition, served.disposition.clone()),
            (Attribute::CacheControl, CACHE.to_owned()),
        ]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        self.store.put_opts(&path(key), PutPayload::from(bytes), options).await.map(|_| ()).map_err(failed)
    }

    async fn delete(&self, key: BlobKey) -> Result<(), StoreError> {
        found(self.store.delete(&path(key)).await.map_err(failed)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::{
        config::Connection,
        ids::{MediaId, UserId},
        media::{ContentType, MediaState},
    };
    use uuid::Uuid;

    use super::*;

    /// Of the bucket `media` at `endpoint`, with credentials in `folder`, which are read when it is used.
    pub(super) fn config(endpoint: &str, folder: &std::path::Path) -> S3Config {
        for name in ["username", "password"] {
            std::fs::write(folder.join(name), "secret").unwrap();
        }
        let connection = Connection { endpoints: vec![endpoint.into()], credentials: Some(folder.into()), tls: None };
        S3Config {
            connection,
            bucket: "media".into(),
            region: "us-east-1".into(),
            path_style: true,
            public_endpoint: None,
            cdn_base_url: None,
        }
    }

    fn places(edit: impl FnOnce(&mut S3Config)) -> Places {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config("http://s3:9000/", folder.path());
        edit(&mut config);
        Places::new(&config).unwrap()
    }

    const KEY: BlobKey = BlobKey { media: MediaId(Uuid::nil()), part: BlobPart::Shown };
    const OBJECT: &str = "/00000000-0000-0000-0000-000000000000/file?";

    fn link(edit: impl FnOnce(&mut S3Config)) -> String {
        places(edit).get_link("https://chat.example.com", KEY, Timestamp(0), Timestamp(1000))
    }

    #[test]
    fn links_lead_where_clients_reach_the_objects() {
        let begins = |link: String, with: &str| assert!(link.starts_with(&format!("{with}{OBJECT}")), "{link}");
        begins(link(|_| ()), "https://chat.example.com/media");
        let public = |config: &mut S3Config| config.public_endpoint = Some("https://files.example.com/".into());
        begins(link(public), "https://files.example.com/media");
        let hosted = |config: &mut S3Config| {
            public(config);
            config.path_style = false;
        };
        begins(link(hosted), "https://media.files.example.com");
        let cdn = |config: &mut S3Config| config.cdn_base_url = Some("https://cdn.example.com".into());
        begins(link(cdn), "https://cdn.example.com/media");
        // The network asks the endpoint, for which the link was signed.
        assert_eq!(link(cdn).split_once('?').unwrap().1, link(|_| ()).split_once('?').unwrap().1);
    }

    #[test]
    fn an_upload_is_bound_to_its_size_and_type() {
        let upload = |size| Media {
            id: MediaId(Uuid::nil()),
            owner: UserId(Uuid::nil()),
            filename: "a".into(),
            content_type: ContentType::parse("image/png").unwrap(),
            size,
            sha256: None,
            state: MediaState::Pending,
            shown: None,
        };
        let places = places(|_| ());
        let of = |size| places.put_link("http://127.0.0.1:8080", &upload(size), Timestamp(0));
        assert!(of(1).url.contains("X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost&"), "{}", of(1).url);
        assert_ne!(of(1).url, of(2).url);
        assert_eq!(of(1).headers, [("content-type", "image/png".to_owned())]);
    }
}
