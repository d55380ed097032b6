//! The certificate of a gateway that ends TLS itself. With one that does not go with its key, NGINX does not start; one that is
//! over or has other names turns clients away. Pure.

use jiff::{SignedDuration, Timestamp};
use rustls::{
    client::verify_server_name,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, time::ASN1Time};

use crate::{api::Gateway, build::Stage, steps::apply::Failure};

/// Entry with the certificate and those of the authorities between.
pub const CHAIN: &str = "tls.crt";
/// Entry with the private key.
pub const KEY: &str = "tls.key";

/// How long before its end somebody is told of a certificate that was not renewed.
const AHEAD: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The part of its life that it is for one that lives for some days only.
const SHORT_LIVED: i32 = 5;

const EXPIRED: &str = "CertificateExpired";
const NOT_YET_VALID: &str = "CertificateNotYetValid";
const NAME_MISMATCH: &str = "CertificateNameMismatch";
const EXPIRES: &str = "CertificateExpires";
const REASONS: [&str; 4] = [EXPIRED, NOT_YET_VALID, NAME_MISMATCH, EXPIRES];

/// A certificate that goes with its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    names: Vec<String>,
    begins: Timestamp,
    ends: Timestamp,
}

/// What is known of the certificate of a gateway that ends TLS itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nobody could look at it.
    Unseen,
    /// It suits clients, and will for a while.
    Sound,
    /// It does not, or cannot be used.
    Troubled(Failure),
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which entry.
    pub entry: &'static str,
    /// What is wrong, as the end of a sentence about it.
    pub why: &'static str,
}

const NO_CHAIN: Fault = Fault {
    entry: CHAIN,
    why: "must hold certificates in PEM: the server's first, then those of the authorities between",
};
const NO_KEY: Fault = Fault {
    entry: KEY,
    why: "must hold the certificate's private key in PEM, not encrypted: RSA of 2048 bits or more, P-256, P-384, P-521 or \
          Ed25519",
};
const ANOTHER_KEY: Fault = Fault {
    entry: KEY,
    why: "is not the key of the first certificate in tls.crt: write both of one certificate, the server's own first",
};

/// Reads a certificate with its key.
pub fn read(chain: &[u8], key: &[u8]) -> Result<Certificate, Fault> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| NO_CHAIN)?;
    let der = chain.into_iter().next().ok_or(NO_CHAIN)?;
    let (_, parsed) = parse_x509_certificate(&der).map_err(|_| NO_CHAIN)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| NO_KEY)?;
    let key = any_supported_type(&key).map_err(|_| NO_KEY)?;
    if key.public_key().is_some_and(|public| public.as_ref() != parsed.public_key().raw) {
        return Err(ANOTHER_KEY);
    }
    let (names, validity) = (names(&parsed), parsed.validity());
    let (begins, ends) = (time(validity.not_before)?, time(validity.not_after)?);
    Ok(Certificate { der, names, begins, ends })
}

/// Whether a failure is about a certificate.
pub fn is_about(failure: &Failure) -> bool {
    REASONS.contains(&failure.reason)
}

impl Certificate {
    /// What turns clients of `gateway` away, or soon will.
    pub fn trouble(&self, gateway: &Gateway, now: Timestamp) -> Option<Failure> {
        let (reason, what) = if now > self.ends {
            (EXPIRED, format!("ended at {}: clients refuse it; renew it", self.ends))
        } else if now < self.begins {
            (NOT_YET_VALID, format!("begins at {}: clients refuse it until then", self.begins))
        } else if let Some(host) = gateway.host.as_deref().filter(|host| !self.covers(host)) {
            let names = if self.names.is_empty() { "no name".into() } else { self.names.join(", ") };
            (NAME_MISMATCH, format!("is for {names} and not for gateway.host {host}: clients refuse it"))
        } else if now > self.ends - self.ahead() {
            let renew = "renew it, or see why whatever renews it did not";
            (EXPIRES, format!("ends at {}: {renew}", self.ends))
        } else {
            return None;
        };
        let secret = gateway.tls.as_ref().map(|tls| tls.secret.name.as_str()).unwrap_or_default();
        let message = format!("gateway.tls.secret: the certificate in Secret {secret} {what}");
        // The gateway serves, and changes of other things are not to wait for it.
        Some(Failure { stage: Stage::Extra, reason, message, transient: false })
    }

    /// One for six days is renewed some days before its end.
    fn ahead(&self) -> SignedDuration {
        AHEAD.min(self.ends.duration_since(self.begins) / SHORT_LIVED)
    }

    /// As browsers see it: a common name alone does not count.
    fn covers(&self, host: &str) -> bool {
        let Ok(name) = ServerName::try_from(host) else { return true };
        ParsedCertificate::try_from(&self.der).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let found = certificate.subject_alternative_name().ok().flatten();
    let names = found.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.collect()
}

fn time(time: ASN1Time) -> Result<Timestamp, Fault> {
    Timestamp::from_second(time.timestamp()).map_err(|_| NO_CHAIN)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd};

    use super::*;

    /// A certificate of 2026 and its key.
    fn issue(names: &[&str], last_day: u8) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 3, last_day);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn gateway(host: &str) -> Gateway {
        serde_json::from_value(serde_json::json!({ "host": host, "tls": { "secret": { "name": "t" } } })).unwrap()
    }

    fn told(names: &[&str], host: &str, now: &str) -> Option<(&'static str, String)> {
        let (chain, key) = issue(names, 31);
        let read = read(chain.as_bytes(), key.as_bytes()).unwrap();
        read.trouble(&gateway(host), now.parse().unwrap()).map(|failure| (failure.reason, failure.message))
    }

    #[test]
    fn a_certificate_is_told_of_before_it_ends_and_when_it_is_not_for_the_host() {
        let at = |now| told(&["chat.example.com", "*.team.example.com"], "chat.example.com", now);
        assert_eq!(at("2026-03-16T00:00:00Z"), None);
        let (reason, message) = at("2026-03-18T00:00:00Z").unwrap();
        assert_eq!(reason, "CertificateExpires");
        assert!(message.contains("Secret t ends at 2026-03-31T00:00:00Z: renew it"), "{message}");
        assert_eq!(at("2026-04-01T00:00:00Z").unwrap().0, "CertificateExpired");
        assert_eq!(at("2025-12-31T00:00:00Z").unwrap().0, "CertificateNotYetValid");
        let of = |host| told(&["chat.example.com", "*.team.example.com"], host, "2026-02-01T00:00:00Z");
        assert_eq!(of("a.team.example.com"), None);
        for host in ["example.com", "a.b.team.example.com", "team.example.com"] {
            let (reason, message) = of(host).unwrap();
            assert_eq!(reason, "CertificateNameMismatch");
            assert!(
                message.contains("is for chat.example.com, *.team.example.com and not for gateway.host"),
                "{message}"
            );
        }
        let (_, message) = told(&[], "chat.example.com", "2026-02-01T00:00:00Z").unwrap();
        assert!(message.contains("is for no name and not"), "{message}");
    }

    #[test]
    fn one_that_lives_for_days_is_told_of_later() {
        let (chain, key) = issue(&["a.example.com"], 1);
        let mut short = read(chain.as_bytes(), key.as_bytes()).unwrap();
        short.begins = short.ends - SignedDuration::from_hours(6 * 24);
        let gateway = gateway("a.example.com");
        let before = |hours| short.trouble(&gateway, short.ends - SignedDuration::from_hours(hours)).is_some();
        assert!(!before(48) && before(24));
    }

    #[test]
    fn whatever_nginx_would_not_start_with_is_told_of_its_entry() {
        let (chain, key) = issue(&["a.example.com"], 31);
        let (_, other) = issue(&["a.example.com"], 31);
        let fault = |chain: &str, key: &str| read(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(fault(&chain, &other), ANOTHER_KEY);
        let garbage = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
        for wrong in ["", "secret", garbage, &key] {
            assert_eq!(fault(wrong, &key), NO_CHAIN, "{wrong}");
        }
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let garbage = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        for wrong in ["", "secret", garbage, &encrypted, &chain] {
            assert_eq!(fault(&chain, wrong), NO_KEY, "{wrong}");
        }
    }

    #[test]
    fn keys_of_several_kinds_go_with_their_certificates() {
        for kind in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
            let key = KeyPair::generate_for(kind).unwrap();
            let params = CertificateParams::new(["a.example.com".to_owned()]).unwrap();
            let chain = params.self_signed(&key).unwrap().pem();
            assert!(read(chain.as_bytes(), key.serialize_pem().as_bytes()).is_ok(), "{kind:?}");
        }
    }
}
