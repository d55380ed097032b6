//! Finding messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Finding messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Search {
    /// What the search index gets of a text. Blind: keyed hashes of its words, so that the index tells nobody what was
    /// written. Plaintext: the words, so that whoever can read the index or its backups can read nearly all that was
    /// written. What people find is the same. After a change, profile Distributed needs a rebuild of the index.
    #[serde(default)]
    pub mode: SearchMode,
}

/// What the search index gets of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SearchMode {
    /// Keyed hashes of its words.
    #[default]
    Blind,
    /// Its words.
    Plaintext,
}
