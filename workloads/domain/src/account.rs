//! Accounts, and what their names, addresses and passwords may be.

use std::fmt;

use serde::Serialize;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

use crate::{
    ids::UserId,
    time::Timestamp,
    visible::{is_invisible, is_plain_line, is_visible, without_joiners},
};

/// Shortest and longest password in bytes.
pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=128;
/// Memory in MiB that hashing a password takes (OWASP Password Storage Cheat Sheet).
pub const PASSWORD_HASH_MIB: u32 = 19;
/// Passwords that a process hashes at a time, however many cores there are: the memory that a pod cannot exceed has to hold
/// them all.
pub const PASSWORD_HASHES: usize = 8;
/// Longest e-mail address in bytes.
pub const EMAIL_BYTES: usize = 254;
/// Longest display name in characters as a reader counts them.
pub const DISPLAY_NAME_CHARACTERS: usize = 64;
/// Longest display name in bytes of UTF-8.
pub const DISPLAY_NAME_BYTES: usize = 256;
/// Combining marks that one base character may carry.
const COMBINING_MARKS: usize = 3;

/// A value that an account can't have; the text says what to write instead.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidAccount {
    /// See [`Username`].
    #[error("a username has 3 to 32 letters a-z, digits, dots or underscores")]
    Username,
    /// See [`Email`].
    #[error("must be an e-mail address such as ann@example.com")]
    Email,
    /// See [`PASSWORD_BYTES`].
    #[error("a password has 8 to 128 bytes")]
    Password,
    /// See [`display_name`].
    #[error("a display name has 1 to 64 visible characters, without control or direction characters")]
    DisplayName,
}

/// A user name: `[a-z0-9_.]{3,32}` after case folding, unique.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Username(String);

impl Username {
    /// Folds upper case to lower case and checks the rule.
    pub fn parse(text: &str) -> Result<Self, InvalidAccount> {
        let folded = text.to_ascii_lowercase();
        if (3..=32).contains(&folded.len()) && Self::is_prefix(&folded) {
            Ok(Self(folded))
        } else {
            Err(InvalidAccount::Username)
        }
    }

    /// Whether a user name could begin with this lower-case text.
    pub fn is_prefix(text: &str) -> bool {
        text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.'))
    }

    /// The name as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An e-mail address as it is kept, unique: one spelling for each mailbox, in lower case, the domain in ASCII (IDNA).
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Folds spellings and checks the address's form: RFC 5321 sizes, a dot in the domain, and nothing that can't be seen.
    /// A mailbox in quotes is none that mail gets to.
    pub fn parse(text: &str) -> Result<Self, InvalidAccount> {
        let folded = Self::folded(text).ok_or(InvalidAccount::Email)?;
        let (mailbox, domain) = folded.rsplit_once('@').ok_or(InvalidAccount::Email)?;
        let domain = idna::domain_to_ascii(domain).map_err(|_| InvalidAccount::Email)?;
        let mailbox: String = mailbox.nfc().collect();
        let address = format!("{mailbox}@{domain}");
        let options = email_address::Options::default().without_display_text().without_domain_literal();
        let well_formed = address.len() <= EMAIL_BYTES
            && !mailbox.starts_with('"')
            && is_plain_line(&address)
            && !address.contains(['\u{200c}', '\u{200d}'])
            && email_address::EmailAddress::parse_with_options(&address, options.with_required_tld()).is_ok();
        if well_formed { Ok(Self(address)) } else { Err(InvalidAccount::Email) }
    }

    /// What a store has kept: an account that was made under other rules keeps its address.
    pub fn kept(address: String) -> Self {
        Self(address)
    }

    /// How an address was kept before each mailbox had one spelling; `None` if that is the same, or no address.
    pub fn older_spelling(text: &str) -> Option<String> {
        let folded = Self::folded(text)?;
        let differs = Self::parse(text).map_or(true, |email| email.0 != folded);
        (differs && folded.contains('@') && !folded.chars().any(char::is_control)).then_some(folded)
    }

    fn folded(text: &str) -> Option<String> {
        let text = text.trim();
        (text.len() <= EMAIL_BYTES).then(|| text.to_lowercase()).filter(|folded| folded.len() <= EMAIL_BYTES)
    }

    /// The address as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// Checks a new password's length; nothing else makes a password better (NIST SP 800-63B).
pub fn check_password(text: &str) -> Result<(), InvalidAccount> {
    if PASSWORD_BYTES.contains(&text.len()) { Ok(()) } else { Err(InvalidAccount::Password) }
}

/// The display name to store: NFC, trimmed, bounded, and free of what could deceive or break a line.
pub fn display_name(text: &str) -> Result<String, InvalidAccount> {
    let name: String = text.trim().nfc().collect();
    let plain = without_joiners(&name);
    let unknown = |c: char| matches!(c.general_category(), GeneralCategory::PrivateUse | GeneralCategory::Unassigned);
    let piled = |cluster: &str| cluster.chars().filter(|c| is_combining_mark(*c)).count() > COMBINING_MARKS;
    let visible = plain.chars().any(|c| is_visible(c) && !unknown(c));
    let fits = name.len() <= DISPLAY_NAME_BYTES && name.graphemes(true).count() <= DISPLAY_NAME_CHARACTERS;
    if visible && fits && !plain.chars().any(|c| is_invisible(c) || unknown(c)) && !name.graphemes(true).any(piled) {
        Ok(name)
    } else {
        Err(InvalidAccount::DisplayName)
    }
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: UserId,
    /// Its unique name.
    pub username: Username,
    /// Its unique address; shown to its owner only.
    pub email: Email,
    /// Whether its owner has shown that the address is theirs.
    pub email_verified: bool,
    /// The name to show.
    pub display_name: String,
    /// Where its picture is.
    pub avatar_url: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What admins made of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is an admin.
    pub admin: bool,
    /// Since when it is disabled; it is not when there is nothing.
    pub disabled_at: Option<Timestamp>,
}

/// What others see of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Its unique name.
    pub username: Username,
    /// Its id.
    pub user_id: UserId,
    /// The name to show.
    pub display_name: String,
    /// Where its picture is.
    pub avatar_url: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_fold_case_and_refuse_look_alikes() {
        assert_eq!(Username::parse("Ann_B.9").unwrap().as_str(), "ann_b.9");
        for bad in ["ab", "", "ann b", "аnn", "ann-b", "ann\n", &"a".repeat(33)] {
            assert_eq!(Username::parse(bad), Err(InvalidAccount::Username), "{bad:?}");
        }
    }

    #[test]
    fn addresses_need_a_mailbox_and_a_domain() {
        assert_eq!(Email::parse(" Ann@Example.COM ").unwrap().as_str(), "ann@example.com");
        for bad in
            ["ann", "ann@", "@example.com", "ann@localhost", "a b@example.com", "Ann <ann@example.com>", "a\n@b.co"]
        {
            assert_eq!(Email::parse(bad), Err(InvalidAccount::Email), "{bad:?}");
        }
        for unmailable in
            ["\"a b\"@example.com", "\"ann\"@example.com", "a\u{202e}b@example.com", "a\u{200d}b@example.com"]
        {
            assert_eq!(Email::parse(unmailable), Err(InvalidAccount::Email), "{unmailable:?}");
        }
    }

    #[test]
    fn a_mailbox_has_one_spelling() {
        let spelled = |text: &str| Email::parse(text).unwrap().as_str().to_owned();
        for same in ["ann@bücher.example", "ann@xn--bcher-kva.example", "ANN@Bu\u{308}cher.EXAMPLE"] {
            assert_eq!(spelled(same), "ann@xn--bcher-kva.example");
        }
        assert_eq!(spelled("zoe\u{308}@example.com"), spelled("zoë@example.com"));
        assert_eq!(Email::older_spelling("Ann@Bücher.example").as_deref(), Some("ann@bücher.example"));
        assert_eq!(Email::older_spelling("\"a b\"@example.com").as_deref(), Some("\"a b\"@example.com"));
        for same_or_none in ["Ann@example.com", "ann", "a\u{0}@example.com"] {
            assert_eq!(Email::older_spelling(same_or_none), None, "{same_or_none:?}");
        }
    }

    #[test]
    fn display_names_are_bounded_and_visible() {
        assert_eq!(display_name("  Zoë 👩‍👩‍👧 ").unwrap(), "Zoë 👩‍👩‍👧");
        assert_eq!(display_name("e\u{301}").unwrap(), "é");
        let england = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
        for good in ["می\u{200c}خواهم", england, &format!("Ann {england}{england}")] {
            assert_eq!(display_name(good).unwrap(), good);
        }
        let tags = &england['\u{1f3f4}'.len_utf8()..];
        for bad in [
            "\u{200c}",
            "a\u{200c}",
            "a\u{200c}\u{200c}b",
            "1\u{200c}2",
            "\u{200d}",
            &format!("a{tags}"),
            &england[..20],
        ] {
            assert_eq!(display_name(bad), Err(InvalidAccount::DisplayName), "{bad:?}");
        }
        for blank in ['\u{3164}', '\u{115f}', '\u{1160}', '\u{ffa0}', '\u{2800}'] {
            for bad in [blank.to_string(), format!("Ann{blank}"), format!("{blank}\u{200d}{blank}")] {
                assert_eq!(display_name(&bad), Err(InvalidAccount::DisplayName), "{bad:?}");
            }
        }
        for good in ["❤\u{fe0f}\u{200d}🔥", "രാജന്\u{200d}", "브라운"] {
            assert_eq!(display_name(good).unwrap(), good);
        }
        let zalgo = format!("z{}", "\u{334}".repeat(10));
        for bad in ["", "   ", "a\u{202e}b", "a\nb", "\u{200b}", "\u{e000}", &"x".repeat(65), &zalgo] {
            assert_eq!(display_name(bad), Err(InvalidAccount::DisplayName), "{bad:?}");
        }
    }

    #[test]
    fn passwords_are_counted_in_bytes() {
        assert!(check_password("12345678").is_ok());
        assert!(check_password("1234567").is_err());
        assert!(check_password(&"é".repeat(65)).is_err());
    }
}
