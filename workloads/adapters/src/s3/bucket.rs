//! The bucket itself: whether it can be used, and making it.

use reqwest::{Client, StatusCode};
use sentinel_domain::{
    config::S3Config,
    findings::{Finding, TroubleKind},
    time::Timestamp,
};

use super::{ANSWERED_WITHIN, CONNECTED_WITHIN, Places, S3, S3Error, authorities, sign::Request};

/// For links that this program itself uses at once.
const MOMENT: i64 = 60;
/// The region for which buckets are made without naming it.
const FIRST_REGION: &str = "us-east-1";

/// A client for one bucket.
struct Bucket {
    http: Client,
    places: Places,
}

impl Bucket {
    fn new(config: &S3Config) -> Result<Self, S3Error> {
        let places = Places::new(config)?;
        // Proxies of the environment are for the outside.
        let mut builder = Client::builder().connect_timeout(CONNECTED_WITHIN).timeout(ANSWERED_WITHIN).no_proxy();
        if let Some(pem) = authorities(config)? {
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| S3Error::Client(error.into()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().map_err(|error| S3Error::Client(error.into()))?;
        Ok(Self { http, places })
    }

    fn link(&self, method: &str) -> String {
        let (base, path) = self.places.of(&self.places.endpoint, None);
        let from = Timestamp::now();
        self.places.signer.link(&Request { method, base: &base, path: &path, headers: &[], from, seconds: MOMENT })
    }

    async fn head(&self) -> Result<StatusCode, S3Error> {
        let answer = self.http.head(self.link("HEAD")).send().await;
        answer.map(|answer| answer.status()).map_err(|error| self.unreachable(error))
    }

    async fn make(&self) -> Result<StatusCode, S3Error> {
        let region = &self.places.region;
        let body = if region == FIRST_REGION {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            )
        };
        let answer = self.http.put(self.link("PUT")).body(body).send().await;
        answer.map(|answer| answer.status()).map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: reqwest::Error) -> S3Error {
        // The link is signed, and what is told of the error is read by many.
        S3Error::Unreachable { endpoint: self.places.endpoint.clone(), source: error.without_url() }
    }

    fn judge(&self, status: StatusCode) -> Result<(), S3Error> {
        if status.is_success() {
            return Ok(());
        }
        Err(S3Error::Refused { bucket: self.places.bucket.clone(), status: status.as_u16() })
    }
}

impl S3 {
    /// Asks for the bucket as services use it, which a migration may be about to make. Nothing is waited for.
    pub async fn inspect(config: &S3Config, may_lack_bucket: bool) -> Finding {
        match ask(config).await {
            Ok(()) => Finding::default(),
            Err(S3Error::NoBucket { .. }) if may_lack_bucket => Finding::default(),
            Err(error) => Finding::trouble(kind(&error), &error),
        }
    }

    /// Makes the bucket if it is not there.
    pub async fn migrate(config: &S3Config) -> Result<(), S3Error> {
        let bucket = Bucket::new(config)?;
        let mut status = bucket.head().await?;
        if status == StatusCode::NOT_FOUND {
            status = bucket.make().await?;
            if status == StatusCode::CONFLICT {
                // Somebody else made it a moment ago; it may even be theirs.
                status = bucket.head().await?;
            }
        }
        bucket.judge(status)
    }
}

async fn ask(config: &S3Config) -> Result<(), S3Error> {
    let bucket = Bucket::new(config)?;
    match bucket.head().await? {
        StatusCode::NOT_FOUND => {
            let Places { endpoint, bucket, .. } = bucket.places;
            Err(S3Error::NoBucket { endpoint, bucket })
        }
        status => bucket.judge(status),
    }
}

fn kind(error: &S3Error) -> TroubleKind {
    match error {
        S3Error::NoCredentials | S3Error::Refused { status: 401 | 403, .. } => TroubleKind::Refused,
        S3Error::Unreachable { .. } | S3Error::Refused { status: 502..=504, .. } => TroubleKind::Unreachable,
        _ => TroubleKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::s3::tests::config;

    /// What is found at `endpoint`.
    async fn found(endpoint: String, may_lack_bucket: bool) -> Finding {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&endpoint, folder.path());
        S3::inspect(&config, may_lack_bucket).await
    }

    /// A server that answers one request with `status`.
    async fn answering(status: u16) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            assert!(asked[..read].starts_with(b"HEAD /media?X-Amz-"), "{}", String::from_utf8_lossy(&asked[..read]));
            let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        endpoint
    }

    #[tokio::test]
    async fn what_s3_answers_tells_what_has_to_be_changed() {
        for (status, may_lack_bucket, expected) in [
            (200, false, None),
            (403, false, Some(TroubleKind::Refused)),
            (503, false, Some(TroubleKind::Unreachable)),
            (400, false, Some(TroubleKind::Other)),
            (404, false, Some(TroubleKind::Other)),
            (404, true, None),
        ] {
            let trouble = found(answering(status).await, may_lack_bucket).await.trouble;
            assert_eq!(trouble.as_ref().map(|trouble| trouble.kind), expected, "{status}: {trouble:?}");
        }
        let trouble = found(answering(404).await, false).await.trouble.unwrap();
        assert!(trouble.detail.ends_with(" has no bucket media"), "{}", trouble.detail);
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_told_without_the_signed_link() {
        let trouble = found("http://127.0.0.1:1".into(), false).await.trouble.unwrap();
        assert_eq!(trouble.kind, TroubleKind::Unreachable);
        assert!(trouble.detail.starts_with("S3 at http://127.0.0.1:1 does not answer: "), "{}", trouble.detail);
        assert!(!trouble.detail.contains("X-Amz"), "{}", trouble.detail);
    }
}
