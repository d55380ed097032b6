//! What a look at the stores of profile Distributed found: which versions they have, or why they can't be used.
//!
//! `sentinel migrate` and `sentinel check-stores` write it as JSON where Kubernetes keeps the last words of a container,
//! and the operator reads it there. So the operator needs no drivers, and what it tells was found by the very program,
//! with the very credentials and from the very network that services have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::room::Room;

/// What stands for a store in findings about the volume of profile Embedded.
pub const OWN_VOLUME: &str = "volume";

/// What Kubernetes keeps of a container's last words, in bytes.
const BYTES_MAX: usize = 4096;
/// Lengths, in characters, that details are cut to until all fit.
const DETAIL_MAX: [usize; 4] = [400, 200, 80, 0];

/// What was found of all stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// By the store's field in `stores`.
    pub stores: BTreeMap<String, Finding>,
    /// Why what came after the look failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What was found of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its version as it tells it; none where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it can't be used; none when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What somebody should know of it although it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Why a store can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// What kind of trouble it is, which decides what has to be changed.
    pub kind: TroubleKind,
    /// What happened, in one line.
    pub detail: String,
}

/// What has to be changed before a store can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TroubleKind {
    /// It does not answer: the address, or what is in between.
    Unreachable,
    /// It does not let this user in: the credentials.
    Refused,
    /// It is older than what this program works with.
    TooOld,
    /// Its volume is full: it takes no writes.
    Full,
    /// Something else, which the detail tells.
    Other,
}

impl Finding {
    /// A store that can be used, of that version. One older than `minimum` (major, minor) can't.
    pub fn of_version(version: Option<String>, minimum: (u32, u32)) -> Self {
        let old = version.as_deref().filter(|version| number(version).is_some_and(|found| found < minimum));
        let trouble = old.map(|version| Trouble {
            kind: TroubleKind::TooOld,
            detail: format!("version {version} is too old, {}.{} or later is needed", minimum.0, minimum.1),
        });
        Self { version, trouble, note: None }
    }

    /// A store that can't be used for that reason.
    pub fn cannot_be_used(trouble: Trouble) -> Self {
        Self { trouble: Some(trouble), ..Self::default() }
    }

    /// A store that can't be used because of an error.
    pub fn trouble(kind: TroubleKind, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::cannot_be_used(Trouble { kind, detail: chain(error) })
    }
}

impl Findings {
    /// What a process that runs tells of what it writes to: those whose volume is full.
    pub fn of_rooms<'a>(rooms: impl IntoIterator<Item = (&'a str, &'a Room)>) -> Self {
        let full = || Trouble { kind: TroubleKind::Full, detail: "its volume is full, so it takes no writes".into() };
        let full =
            |(store, room): (&str, &Room)| room.is_full().then(|| (store.to_owned(), Finding::cannot_be_used(full())));
        Self { stores: rooms.into_iter().filter_map(full).collect(), failure: None }
    }

    /// Stores that can't be used, and why, in one line; none when all can.
    pub fn summary(&self) -> Option<String> {
        let told = |(store, finding): (&String, &Finding)| {
            finding.trouble.as_ref().map(|trouble| format!("{store}: {}", trouble.detail))
        };
        let lines: Vec<String> = self.stores.iter().filter_map(told).chain(self.failure.clone()).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    /// JSON that is short enough for a container's last words.
    pub fn to_last_words(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(self)?;
        for most in DETAIL_MAX {
            if text.len() <= BYTES_MAX {
                break;
            }
            text = serde_json::to_string(&self.shortened(most))?;
        }
        Ok(text)
    }

    /// Reads what [`Findings::to_last_words`] wrote; none for any other text.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text.trim()).ok()
    }

    fn shortened(&self, most: usize) -> Self {
        let cut = |text: &str| text.chars().take(most).collect::<String>();
        let mut short = self.clone();
        for finding in short.stores.values_mut() {
            finding.version = finding.version.as_deref().map(|version| version.chars().take(64).collect());
            finding.note = finding.note.as_deref().map(cut);
            if let Some(trouble) = &mut finding.trouble {
                trouble.detail = cut(&trouble.detail);
            }
        }
        short.failure = short.failure.as_deref().map(cut);
        short
    }
}

/// Major and minor number at the beginning of a version.
fn number(version: &str) -> Option<(u32, u32)> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let mut numbers = version[..end].split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    Some((major, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

/// An error with its causes, each told once, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = source.source();
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        assert_eq!(number("15.4 (Debian 15.4-2.pgdg120+1)"), Some((15, 4)));
        assert_eq!(number("16beta1"), Some((16, 0)));
        assert_eq!(number("5"), Some((5, 0)));
        assert_eq!(number("unknown"), None);
        let old = Finding::of_version(Some("9.6.24".into()), (13, 0)).trouble.unwrap();
        assert_eq!(old.kind, TroubleKind::TooOld);
        assert_eq!(old.detail, "version 9.6.24 is too old, 13.0 or later is needed");
        assert_eq!(Finding::of_version(Some("13.0".into()), (13, 0)).trouble, None);
        assert_eq!(Finding::of_version(Some("unknown".into()), (13, 0)).trouble, None);
        assert_eq!(Finding::of_version(None, (13, 0)).trouble, None);
    }

    fn findings(detail: &str) -> Findings {
        let refused = Finding::cannot_be_used(Trouble { kind: TroubleKind::Refused, detail: detail.into() });
        let stores = ["postgres", "cassandra", "redis", "kafka", "elasticsearch", "s3"];
        Findings { stores: stores.iter().map(|store| ((*store).into(), refused.clone())).collect(), failure: None }
    }

    #[test]
    fn last_words_are_read_as_they_were_written() {
        let mut told = findings("wrong password");
        told.stores.insert("redis".into(), Finding::of_version(Some("7.0.15".into()), (7, 0)));
        assert_eq!(Findings::read(&told.to_last_words().unwrap()), Some(told.clone()));
        assert!(told.summary().unwrap().starts_with("cassandra: wrong password; elasticsearch: wrong password"));
        assert_eq!(Findings::default().summary(), None);
        assert_eq!(Findings::read("Error: something else"), None);
    }

    #[test]
    fn stores_without_room_are_told_and_no_others() {
        let (full, fine) = (Room::default(), Room::default());
        full.ran_out();
        let found = Findings::of_rooms([("postgres", &full), ("elasticsearch", &fine)]);
        assert_eq!(found.summary().unwrap(), "postgres: its volume is full, so it takes no writes");
        let text = serde_json::to_string(&found).unwrap();
        assert!(text.contains(r#""kind":"full""#), "{text}");
        full.is_back();
        assert_eq!(Findings::of_rooms([("postgres", &full)]), Findings::default());
    }

    #[test]
    fn last_words_always_fit() {
        for detail in ["x".repeat(5000), "\"ü\n".repeat(3000)] {
            let text = findings(&detail).to_last_words().unwrap();
            assert!(text.len() <= BYTES_MAX, "{}", text.len());
            assert_eq!(Findings::read(&text).unwrap().stores.len(), 6);
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_in_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("can't connect\n  here")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("no route"));
        assert_eq!(chain(&error), "can't connect here: no route");
    }
}
