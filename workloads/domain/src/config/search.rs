//! Search: what the index gets of a text.

use serde::{Deserialize, Serialize};

/// Search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SearchConfig {
    /// What the index gets of a text.
    pub mode: SearchMode,
}

/// What the search index gets of a text. What is found is the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SearchMode {
    /// Keyed hashes of its words: who has the index but no key can read none.
    #[default]
    Blind,
    /// Its words, in lower case and without accents: who has the index can read nearly all that was written.
    Plaintext,
}

impl SearchConfig {
    /// Whether nothing but defaults is said, so that it need not be written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl SearchMode {
    /// Its name, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "Blind",
            Self::Plaintext => "Plaintext",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_blind_unless_the_configuration_says_otherwise() {
        let read = |json: &str| serde_json::from_str::<SearchConfig>(json);
        assert_eq!(read("{}").unwrap().mode, SearchMode::Blind);
        assert_eq!(read(r#"{"mode":"Plaintext"}"#).unwrap().mode, SearchMode::Plaintext);
        assert!(read(r#"{"mode":"plain"}"#).is_err() && read(r#"{"modus":"Blind"}"#).is_err());
        for mode in [SearchMode::Blind, SearchMode::Plaintext] {
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("{:?}", mode.as_str()));
        }
    }
}
