//! What can go wrong with the search index.

use std::{io, path::PathBuf};

use sentinel_domain::{ids::MessageId, ports::StoreError};

use crate::credentials::CredentialsError;

/// What can go wrong with the search index.
#[derive(Debug, thiserror::Error)]
pub enum ElasticsearchError {
    /// No endpoint is configured.
    #[error("elasticsearch has no endpoint; give at least one such as http://search:9200")]
    NoEndpoint,
    /// An endpoint is not a URL.
    #[error("`{0}` is no endpoint of elasticsearch; write it as http://host:port or https://host:port")]
    Endpoint(String),
    /// The user name or password can't be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The certificates of the authority can't be read.
    #[error("can't read the certificates in {}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no certificate in the authority's file.
    #[error("{} must hold the certificates of an authority (PEM)", .0.display())]
    NoAuthority(PathBuf),
    /// The HTTP client can't be built from the configuration.
    #[error("can't set up the connection to elasticsearch")]
    Client(#[source] reqwest::Error),
    /// No endpoint answers.
    #[error("no endpoint of elasticsearch answers ({endpoints}); see that it runs and may be reached from here")]
    Unreachable {
        /// Those that were tried.
        endpoints: String,
        /// What the last one said.
        #[source]
        source: reqwest::Error,
    },
    /// An endpoint refused a request.
    #[error("elasticsearch refused {request} with {status}: {reason}")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// What it gave as reason.
        reason: String,
    },
    /// An answer is not what this code knows.
    #[error("elasticsearch answered {request} with something else than expected")]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong with it, if it is not JSON.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// There is no index yet.
    #[error("the search index `{0}` is missing; run `sentinel migrate`")]
    NotMigrated(String),
    /// The index was made by a version of this program that knows more.
    #[error("the search index has schema {found}, and this version of sentinel knows {known}; run the newer version")]
    UnknownSchema {
        /// What the index says.
        found: i64,
        /// What this code makes.
        known: i64,
    },
    /// A part of the index is not available.
    #[error("a part of the search index is not available; see the health of the cluster of elasticsearch")]
    Red,
    /// Some entries of a batch were refused.
    #[error("elasticsearch refused {failed} of {all} entries; the first: {reason}")]
    Entries {
        /// How many.
        failed: usize,
        /// How many there were.
        all: usize,
        /// Why the first was.
        reason: String,
        /// Those with which no later try can do better: the engine does not understand them.
        for_good: Vec<MessageId>,
    },
    /// What an index is rebuilt from is not available.
    #[error("the messages can't be read")]
    Source(#[source] StoreError),
    /// The engine refuses more messages than it takes.
    #[error(
        "the search engine refuses {refused} messages and takes {taken}; nothing was changed: see above why, and start the \
         rebuild again"
    )]
    MostRefused {
        /// Messages that it refuses.
        refused: u64,
        /// Messages that it takes.
        taken: u64,
    },
    /// The new index has less than the old one.
    #[error("the rebuilt index has {new} entries, the old one {old}; nothing was changed: start the rebuild again")]
    Incomplete {
        /// Entries in the old index.
        old: u64,
        /// Entries in the new one.
        new: u64,
    },
}

impl ElasticsearchError {
    /// The entries that were refused, if no later try can do better with any of them.
    pub(super) fn refused_for_good(&self) -> Option<&[MessageId]> {
        match self {
            Self::Entries { failed, for_good, .. } if for_good.len() == *failed => Some(for_good),
            _ => None,
        }
    }

    /// Whether a write was refused because a node's volume is full. Engines and versions word it differently.
    pub(super) fn is_full(&self) -> bool {
        let (Self::Refused { reason, .. } | Self::Entries { reason, .. }) = self else { return false };
        ["read-only-allow-delete", "read-only / allow delete"].iter().any(|block| reason.contains(block))
    }
}

impl From<ElasticsearchError> for StoreError {
    fn from(error: ElasticsearchError) -> Self {
        if error.refused_for_good().is_some() { Self::unreadable(error) } else { Self::unavailable(error) }
    }
}
