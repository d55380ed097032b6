//! Files that users send each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Files that users send each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Media {
    /// Base URL of a content delivery network in front of the S3 bucket, for example https://cdn.example.com: links for
    /// looking at files lead there. It must ask S3 with the same path and query and with S3's own host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cdn_base_url: Option<String>,
}
