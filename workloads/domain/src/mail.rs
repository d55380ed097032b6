//! Links that are mailed to an account's address, and the queue of mail.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ids::UserId,
    keyring::{KeyError, WrappedKey, random_bytes},
    time::Timestamp,
};

/// What queued mail is sealed for.
pub const MAIL: &str = "mail";
const TOKEN_BYTES: usize = 32;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkPurpose {
    /// To confirm the account's address.
    VerifyEmail,
    /// To choose a new password.
    ResetPassword,
}

impl LinkPurpose {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }

    /// Seconds for which a link is good.
    pub fn lifetime_seconds(self) -> i64 {
        match self {
            Self::VerifyEmail => 24 * 3600,
            Self::ResetPassword => 3600,
        }
    }
}

/// What a link's token is stored as, so that the store's content opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkHash(pub [u8; 32]);

/// The secret of a link. It is shown to nobody but the receiver of the mail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkToken([u8; TOKEN_BYTES]);

impl LinkToken {
    /// A new random token.
    pub fn random() -> Result<Self, KeyError> {
        random_bytes().map(Self)
    }

    /// As it stands in a link: 43 letters, digits, `-` or `_`.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads a link's token; `None` when it can't be one.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// What is stored of it. The token is random, so one round of a plain hash is enough.
    pub fn hash(self) -> LinkHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        LinkHash(hash)
    }
}

/// A link that was just made, with the mail that brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// What is stored of its token.
    pub hash: LinkHash,
    /// What it is for.
    pub purpose: LinkPurpose,
    /// Whose it is.
    pub user: UserId,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// The mail.
    pub mail: QueuedMail,
}

/// A mail that waits to be sent. What it says is sealed, as it holds the link's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMail {
    /// Its id.
    pub id: Uuid,
    /// What it says.
    pub sealed: WrappedKey,
    /// When it makes no sense any more.
    pub expires_at: Timestamp,
    /// How often it was taken from the queue.
    pub attempts: u32,
}

/// Seconds until the next attempt after so many.
pub fn retry_seconds(attempts: u32) -> i64 {
    // 10 s, 20 s, 40 s, … at most 15 min.
    (10_i64 << attempts.saturating_sub(1).min(10)).min(900)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_its_hash_says_nothing_of_it() {
        let token = LinkToken::random().unwrap();
        assert_eq!(token.to_text().len(), 43);
        assert!(LinkToken::parse(&token.to_text()) == Some(token));
        assert_ne!(token.hash().0, token.0);
        assert!(LinkToken::random().unwrap() != token);
        for wrong in ["", "AAAA", &token.to_text()[1..], "not base64!"] {
            assert!(LinkToken::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn attempts_come_later_and_later_up_to_a_quarter_of_an_hour() {
        let waits: Vec<i64> = [1, 2, 3, 8, 100].into_iter().map(retry_seconds).collect();
        assert_eq!(waits, [10, 20, 40, 900, 900]);
    }
}
