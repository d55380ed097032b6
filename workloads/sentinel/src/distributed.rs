//! Profile Distributed: the services of some roles over stores that other processes share.

use std::sync::Arc;

use sentinel_domain::config::{PlatformConfig, StoresConfig};

use crate::{arguments::Role, platform::Platform};

/// What has to be told when the process stops.
pub struct DistributedStores {}

impl DistributedStores {
    /// Ends what runs in the background.
    pub async fn close(&self) {}
}

/// Connects to the stores that the roles need and builds their services.
pub async fn open(_: Arc<PlatformConfig>, _: &StoresConfig, _: &[Role]) -> anyhow::Result<Platform> {
    anyhow::bail!("not yet")
}
