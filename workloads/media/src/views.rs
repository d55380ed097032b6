//! What clients send and see.

use std::collections::BTreeMap;

use sentinel_domain::{ids::MediaId, time::Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A file that is about to be uploaded.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AnnouncedUpload {
    /// Its name, without a path: 1 to 255 bytes.
    #[schema(min_length = 1, max_length = 255)]
    pub filename: String,
    /// What it is.
    #[schema(example = "image/jpeg")]
    pub content_type: String,
    /// Its bytes.
    pub size: u64,
    /// The SHA-256 that it must have, in hexadecimal digits.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// Where to put the bytes of an upload.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadLink)]
pub(crate) struct UploadLinkView {
    /// How.
    #[schema(example = "PUT")]
    pub method: &'static str,
    /// Where. It needs no token: whoever has the link may upload.
    pub url: String,
    /// Headers to send as they are.
    pub headers: BTreeMap<&'static str, String>,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// An upload that may begin.
#[derive(Serialize, ToSchema)]
pub(crate) struct BegunUpload {
    /// The file's id.
    #[schema(value_type = uuid::Uuid)]
    pub media_id: MediaId,
    /// Where to put its bytes.
    pub upload: UploadLinkView,
}

/// A file that can be shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Media)]
pub(crate) struct CompletedView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub media_id: MediaId,
    /// What it is: as announced, but of JPEG, PNG, WebP and GIF what their bytes say.
    pub content_type: String,
    /// Its bytes; of a picture, without the metadata that was taken out.
    pub size: u64,
    /// Of a picture: pixels from left to right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Of a picture: pixels from top to bottom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// A link to it, which needs no token and ends within the hour and a quarter.
    pub url: String,
    /// Of a picture: a link to a small one, at most 320 pixels on a side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
}

/// A file that can be shown, with its name.
#[derive(Serialize, ToSchema)]
#[schema(as = MediaDetails)]
pub(crate) struct DetailsView {
    #[serde(flatten)]
    pub file: CompletedView,
    /// What its owner calls it.
    pub filename: String,
    /// When the links end.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Which files to tell of.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WantedFiles {
    /// Up to 100 ids, with commas between them.
    #[param(value_type = Vec<uuid::Uuid>, style = Form, explode = false, max_items = 100)]
    pub ids: String,
}

/// Those files that the caller may see.
#[derive(Serialize, ToSchema)]
pub(crate) struct FilesView {
    /// In the order of `ids`, each once; the others are left out.
    pub media: Vec<DetailsView>,
}
