//! What the operator was started with and every reconcile needs.

use crate::{
    api::SentinelChat,
    build::{Kind, cluster_dns_of},
    cluster_dns::ClusterDns,
    names::Names,
    steps::observe::Observed,
};

/// Defaults for resources that leave a choice to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Full reference of the platform's image.
    pub sentinel_image: String,
    /// Full reference of the gateway's image.
    pub gateway_image: String,
    /// How the gateway looks names up; nothing leaves that to its start.
    pub cluster_dns: Option<ClusterDns>,
}

impl Settings {
    /// What `live` and its objects tell of the settings that they were made with. For plans that are made outside of the
    /// operator: they must not show its images and name servers as a change.
    pub fn in_use(live: &SentinelChat, observed: &Observed) -> Self {
        let defaults = Self::default();
        let status = live.status.clone().unwrap_or_default();
        let gateway = live.metadata.name.clone().map(|name| Names::new(name).gateway()).unwrap_or_default();
        let config = observed.get(Kind::ConfigMap, &gateway).and_then(|map| map["data"]["nginx.conf"].as_str());
        Self {
            sentinel_image: status.sentinel_image.unwrap_or(defaults.sentinel_image),
            gateway_image: status.gateway_image.unwrap_or(defaults.gateway_image),
            cluster_dns: config.and_then(cluster_dns_of),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sentinel_image: DEFAULT_SENTINEL_IMAGE.into(),
            gateway_image: DEFAULT_GATEWAY_IMAGE.into(),
            cluster_dns: None,
        }
    }
}

/// Image of the platform when nothing else is said.
pub const DEFAULT_SENTINEL_IMAGE: &str = concat!("sentinel:", env!("CARGO_PKG_VERSION"));
/// Image of the gateway when nothing else is said; the newest version it was tested with.
pub const DEFAULT_GATEWAY_IMAGE: &str = "nginx:1.29";
