//! What the operator was started with and every reconcile needs.

use crate::cluster_dns::ClusterDns;

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
