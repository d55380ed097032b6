//! Links that S3 accepts without credentials for some time: AWS Signature Version 4 in the query.
//!
//! The library that talks to S3 signs for its own endpoint and the present second only. Links are for the host that a client
//! uses, and those of the same quarter of an hour must be the same, or browsers would load everything anew.

use aws_lc_rs::{digest, hmac};
use sentinel_domain::time::Timestamp;

use crate::credentials::Credentials;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Signs for one region.
pub(super) struct Signer {
    credentials: Credentials,
    region: String,
}

/// A request that a link allows.
pub(super) struct Request<'a> {
    pub method: &'a str,
    /// Scheme and host: `https://media.example.com`.
    pub base: &'a str,
    /// Begins with a slash; only characters that need no encoding.
    pub path: &'a str,
    /// Headers that must be sent as they are, by their names in lower case, sorted.
    pub headers: &'a [(&'static str, String)],
    pub from: Timestamp,
    pub seconds: i64,
}

impl Signer {
    pub fn new(credentials: Credentials, region: String) -> Self {
        Self { credentials, region }
    }

    /// The link.
    pub fn link(&self, request: &Request<'_>) -> String {
        let Request { method, base, path, headers, from, seconds } = request;
        let (scheme, host) = base.split_once("://").unwrap_or(("http", base));
        // Clients leave the usual port out.
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(usual).unwrap_or(host);
        let time = compact(*from);
        let day = &time[..8];
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let mut signed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        signed.push(("host", host));
        signed.sort_unstable();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        // In the order of their names.
        let query = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={time}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders={}",
            encode(&format!("{}/{scope}", self.credentials.username)),
            encode(&names.join(";")),
        );
        let lines: Vec<String> = signed.iter().map(|(name, value)| format!("{name}:{}", value.trim())).collect();
        let (lines, names) = (lines.join("\n"), names.join(";"));
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n\n{names}\nUNSIGNED-PAYLOAD");
        let hashed = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{hashed}");
        let secret = format!("AWS4{}", self.credentials.password);
        let key = [day, &self.region, "s3", "aws4_request"]
            .iter()
            .fold(secret.into_bytes(), |key, part| authenticate(&key, part));
        format!("{base}{path}?{query}&X-Amz-Signature={}", hex::encode(authenticate(&key, &text)))
    }
}

fn authenticate(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// `20240127T152640Z`.
fn compact(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(..19).unwrap_or(&text).replace(['-', ':'], ""))
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_the_one_of_the_documentation() {
        // From "Authenticating Requests: Using Query Parameters" of the S3 API reference.
        let credentials = Credentials {
            username: "AKIAIOSFODNN7EXAMPLE".into(),
            password: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        };
        let link = Signer::new(credentials, "us-east-1".into()).link(&Request {
            method: "GET",
            base: "https://examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            headers: &[],
            from: Timestamp(1_369_353_600_000),
            seconds: 86_400,
        });
        assert_eq!(
            link,
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }
}
