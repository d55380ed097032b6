//! Which endpoints of push services are taken. A client names the URL that we then call, so without this anybody could
//! have us call any address inside the cluster.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use sentinel_domain::{config::WebPushConfig, push::ADDRESS_BYTES};

/// The endpoints that are allowed.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    hosts: Arc<[String]>,
    loopback: bool,
}

impl Endpoints {
    pub fn new(config: &WebPushConfig) -> Self {
        let host = |host: &String| host.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
        let hosts = config.allowed_hosts.iter().map(host).filter(|host| !host.is_empty());
        Self { hosts: hosts.collect(), loopback: config.allow_loopback }
    }

    /// The endpoint as an URL, if it is allowed. Whatever leads to one place is one URL.
    pub fn allowed(&self, endpoint: &str) -> Option<Url> {
        if endpoint.len() > ADDRESS_BYTES {
            return None;
        }
        let mut url = Url::parse(endpoint).ok()?;
        url.set_fragment(None);
        let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        url.set_host(Some(&host)).ok()?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        if self.loopback && is_loopback(&host) && matches!(url.scheme(), "http" | "https") {
            return Some(url);
        }
        let known = self
            .hosts
            .iter()
            .any(|known| host.strip_suffix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
        // An address is never a name below an allowed one, also not in a form that reads like a number.
        let named = host.parse::<IpAddr>().is_err() && !host.starts_with('[');
        (url.scheme() == "https" && url.port_or_known_default() == Some(443) && named && known).then_some(url)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Resolves names to public addresses only, so that a name of a push service that somebody points into the cluster
/// leads nowhere.
pub(super) struct PublicOnly {
    pub loopback: bool,
}

/// A name that has no address that may be called.
#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
struct NotPublic;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fit = |address: &SocketAddr| is_public(address.ip()) || (loopback && address.ip().is_loopback());
            let found: Vec<SocketAddr> = found.filter(fit).collect();
            if found.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public Internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || address.is_unspecified()
        // This network, shared space, protocol assignments, benchmarks, and what is reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    // Global unicast without documentation and without ways into IPv4 (6to4, Teredo); the rest is special.
    (0x2000..0x4000).contains(&a) && !(a == 0x2001 && (b == 0 || b == 0xdb8)) && a != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(hosts: &[&str], allow_loopback: bool) -> Endpoints {
        let allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Endpoints::new(&WebPushConfig { allowed_hosts, allow_loopback, ..WebPushConfig::default() })
    }

    #[test]
    fn only_the_push_services_are_called_and_only_by_https() {
        let endpoints = endpoints(&["push.example.com", "*.Notify.Example.net"], false);
        for good in [
            "https://push.example.com/send/abc",
            "https://push.example.com:443/x",
            "https://a.b.push.example.com/x",
            "https://PUSH.example.com./x",
            "https://wns2.notify.example.net/w/?token=1",
        ] {
            assert!(endpoints.allowed(good).is_some(), "{good}");
        }
        for same in
            ["https://PUSH.example.com.:443/a/../x#1", "https://push.example.com/x#", "https://@push.example.com/x"]
        {
            assert_eq!(endpoints.allowed(same).unwrap().as_str(), "https://push.example.com/x", "{same}");
        }
        for bad in [
            "http://push.example.com/x",
            "https://push.example.com:8443/x",
            "https://evilpush.example.com/x",
            "https://push.example.com.evil.net/x",
            "https://push.example.com@evil.net/x",
            "https://user:pass@push.example.com/x",
            "https://evil.net/push.example.com",
            "https://127.0.0.1/x",
            "https://localhost/x",
            "https://[::1]/x",
            "https://2130706433/x",
            "https://kubernetes.default.svc/x",
            "file:///etc/passwd",
            "push.example.com/x",
            "",
        ] {
            assert!(endpoints.allowed(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_exception_for_tests_is_for_this_machine_only() {
        let endpoints = endpoints(&[], true);
        for good in ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:9/x"] {
            assert!(endpoints.allowed(good).is_some(), "{good}");
        }
        for bad in ["http://10.0.0.1/x", "http://localhost.evil.net/x", "ftp://127.0.0.1/x"] {
            assert!(endpoints.allowed(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_empty_host_in_the_list_allows_nothing() {
        assert!(endpoints(&["", "*."], false).allowed("https://evil.net/x").is_none());
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
            "2001:db8::1",
            "64:ff9b::a00:1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "100.63.0.1", "172.32.0.1", "2a00:1450:4001::1", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
