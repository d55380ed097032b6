//! How pods of this cluster look names up, taken from the operator's own pod.
//!
//! NGINX looks an upstream's name up once, at start, unless it is told a name server. With one it follows a Service
//! that was deleted and made anew, and pods that come and go behind a headless one.

use std::net::IpAddr;

/// The name servers of pods, and the domain that Services are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDns {
    /// Addresses of the name servers.
    pub servers: Vec<IpAddr>,
    /// Domain of the cluster, such as `cluster.local`.
    pub domain: String,
}

impl ClusterDns {
    /// What the pod that this process runs in was given; nothing outside a cluster.
    pub fn of_this_pod() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/etc/resolv.conf").ok()?)
    }

    /// Reads a `resolv.conf`; nothing unless its search list is that of a pod, which has `svc.<domain>`.
    pub fn parse(resolv_conf: &str) -> Option<Self> {
        let mut servers = Vec::new();
        let mut domain = None;
        for line in resolv_conf.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
                Some("search") => domain = words.find_map(|word| word.strip_prefix("svc.").map(ToOwned::to_owned)),
                _ => {}
            }
        }
        let domain = domain.filter(|_| !servers.is_empty())?;
        Some(Self { servers, domain: domain.trim_end_matches('.').to_owned() })
    }

    /// The servers as NGINX writes them.
    pub fn resolver(&self) -> String {
        let write = |server: &IpAddr| match server {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        self.servers.iter().map(write).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_file_is_read() {
        let dns = ClusterDns::parse(
            "search team.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5\n",
        )
        .unwrap();
        assert_eq!(dns.domain, "cluster.local");
        assert_eq!(dns.resolver(), "10.96.0.10 [fd00::a]");
    }

    #[test]
    fn a_machines_file_is_not_taken_for_a_pods() {
        assert_eq!(ClusterDns::parse("search example.com\nnameserver 192.0.2.1\n"), None);
        assert_eq!(ClusterDns::parse("search svc.cluster.local\n"), None);
        assert_eq!(ClusterDns::parse(""), None);
    }
}
