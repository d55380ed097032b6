//! Keys, certificates and kubeconfigs. They live as long as the cluster and are good for nothing else.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::config::{self, API_PORT, API_SERVICE_ADDRESS, NODE_ADDRESS, NODE_NAME};
use crate::cluster::State;
use crate::host::folders;
use crate::report::Outcome;

/// A certificate to make: file name, common name, organisation, and the names it answers to.
struct Leaf {
    file: &'static str,
    name: String,
    group: Option<&'static str>,
    answers_to: Vec<String>,
}

/// Kubeconfigs of the parts: file, certificate.
const INNER_KUBECONFIGS: [(&str, &str); 5] = [
    ("admin.conf", "admin"),
    ("controller-manager.conf", "controller-manager"),
    ("scheduler.conf", "scheduler"),
    ("proxy.conf", "proxy"),
    ("node.conf", "node"),
];

/// Makes everything once. The last file written marks it whole; an interrupted run is made again from the start.
pub fn ensure(state: &State) -> Result<Outcome> {
    let whole = state.path("pki/whole");
    if whole.is_file() {
        return Ok(Outcome::Unchanged);
    }
    let folder = state.path("pki");
    folders::make(&folder)?;
    let authority = Authority::new("sentinel-cluster")?;
    write(&folder, "ca.crt", &authority.certificate)?;
    write(&folder, "ca.key", &authority.key)?;
    for leaf in leaves() {
        authority.sign(&folder, &leaf)?;
    }
    // A second authority, so that no cluster certificate can pose as the aggregating proxy.
    let front = Authority::new("sentinel-front-proxy")?;
    write(&folder, "front-ca.crt", &front.certificate)?;
    front.sign(&folder, &leaf("front", "front-proxy-client", None, &[]))?;

    let accounts = KeyPair::generate().context("cannot make the service account key")?;
    write(&folder, "sa.key", &accounts.serialize_pem())?;
    write(&folder, "sa.pub", &accounts.public_key_pem())?;
    for (file, certificate) in INNER_KUBECONFIGS {
        let server = format!("https://{NODE_ADDRESS}:{API_PORT}");
        write_kubeconfig(state, &state.path(file), certificate, &server)?;
    }
    folders::write_whole(&whole, "")?;
    Ok(Outcome::Done)
}

/// The kubeconfig for everybody outside the namespace: the API server through its forwarder.
pub fn write_outer_kubeconfig(state: &State, port: u16) -> Result<()> {
    write_kubeconfig(state, &state.kubeconfig(), "admin", &format!("https://127.0.0.1:{port}"))
}

fn leaves() -> Vec<Leaf> {
    let server: Vec<&str> = vec![
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        API_SERVICE_ADDRESS,
        NODE_ADDRESS,
    ];
    vec![
        leaf("apiserver", "kube-apiserver", None, &server),
        leaf("admin", "admin", Some("system:masters"), &[]),
        leaf("kubelet-client", "apiserver-kubelet", Some("system:masters"), &[]),
        leaf("controller-manager", "system:kube-controller-manager", None, &[]),
        leaf("scheduler", "system:kube-scheduler", None, &[]),
        leaf("proxy", "system:kube-proxy", None, &[]),
        leaf("node", &format!("system:node:{NODE_NAME}"), Some("system:nodes"), &[NODE_NAME, NODE_ADDRESS]),
    ]
}

fn leaf(file: &'static str, name: &str, group: Option<&'static str>, answers_to: &[&str]) -> Leaf {
    let answers_to = answers_to.iter().map(|name| (*name).to_owned()).collect();
    Leaf { file, name: name.to_owned(), group, answers_to }
}

struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).context("cannot make the authority's certificate")?.pem();
        let pem = key.serialize_pem();
        Ok(Self { certificate, key: pem, issuer: Issuer::new(params, key) })
    }

    fn sign(&self, folder: &Path, leaf: &Leaf) -> Result<()> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&leaf.name, leaf.group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        for name in &leaf.answers_to {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().with_context(|| format!("odd DNS name {name}"))?),
            });
        }
        let certificate =
            params.signed_by(&key, &self.issuer).with_context(|| format!("cannot sign certificate {}", leaf.file))?;
        write(folder, &format!("{}.crt", leaf.file), &certificate.pem())?;
        write(folder, &format!("{}.key", leaf.file), &key.serialize_pem())
    }
}

fn named(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut full = DistinguishedName::new();
    if let Some(group) = group {
        full.push(DnType::OrganizationName, group);
    }
    full.push(DnType::CommonName, name);
    full
}

fn write(folder: &Path, file: &str, text: &str) -> Result<()> {
    let path = folder.join(file);
    folders::write_whole(&path, text)?;
    private(&path)
}

fn write_kubeconfig(state: &State, path: &Path, certificate: &str, server: &str) -> Result<()> {
    let encoded = |file: String| -> Result<String> {
        let path = state.path("pki").join(file);
        Ok(BASE64.encode(std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?))
    };
    let text = config::kubeconfig(
        &state.global_name(),
        server,
        &encoded("ca.crt".to_owned())?,
        &encoded(format!("{certificate}.crt"))?,
        &encoded(format!("{certificate}.key"))?,
    );
    folders::write_changed(path, text)?;
    private(path)
}

/// Keys are for their owner only.
fn private(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot protect {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_is_trusted_at_every_address_it_is_reached_by() {
        let all = leaves();
        let server = all.iter().find(|leaf| leaf.file == "apiserver").unwrap();
        for address in ["127.0.0.1", NODE_ADDRESS, API_SERVICE_ADDRESS, "kubernetes.default.svc"] {
            assert!(server.answers_to.iter().any(|name| name == address), "{address}");
        }
    }

    #[test]
    fn signed_certificates_and_their_keys_are_private_files() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("test").unwrap();
        authority.sign(folder.path(), &leaf("one", "one", Some("group"), &["localhost", "127.0.0.1"])).unwrap();
        let certificate = std::fs::read_to_string(folder.path().join("one.crt")).unwrap();
        assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        let key = std::fs::metadata(folder.path().join("one.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}
