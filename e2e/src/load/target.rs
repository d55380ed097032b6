//! Where load goes: to this machine and nowhere else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};

/// A server on a loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target(pub SocketAddr);

impl Target {
    /// Reads `http://127.0.0.1:8080`; refuses what is not loopback.
    pub fn parse(url: &str) -> Result<Self> {
        let authority = url.strip_prefix("http://").context("the URL must begin with http://")?.trim_end_matches('/');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().context("the port is not a number")?),
            _ => (authority, 80),
        };
        let address = match host.trim_start_matches('[').trim_end_matches(']') {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            literal => literal.parse().with_context(|| format!("{literal:?} is not an address"))?,
        };
        if !address.is_loopback() {
            bail!("{address} is not this machine: load is sent to loopback addresses only");
        }
        Ok(Self(SocketAddr::new(address, port)))
    }

    /// The URL of a path.
    pub fn url(self, path: &str) -> String {
        format!("http://{}{path}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_taken_and_all_others_refused() {
        for (url, address) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.9.9.9:1/", "127.9.9.9:1"),
            ("http://localhost", "127.0.0.1:80"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(Target::parse(url).unwrap().0, address.parse().unwrap(), "{url}");
        }
        for url in
            ["http://10.0.0.1:80", "http://192.168.1.1", "http://example.com", "https://127.0.0.1", "http://0.0.0.0:80"]
        {
            Target::parse(url).unwrap_err();
        }
    }
}
