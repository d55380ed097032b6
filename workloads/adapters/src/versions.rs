//! Whether the tables of a store are of a version that this program works with.
//!
//! Beside the version, tables say from which version on programs may use them: a step that only adds leaves that number, and
//! pods of before can start while and after it is done. A step that programs of before cannot live with raises it.

use std::fmt;

/// The version of a store's tables, and the one that this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableVersions {
    /// The version of the tables; `None` when there are none.
    pub found: Option<i64>,
    /// The oldest version whose programs may use them; `None` when they do not say: then those of their own only.
    pub compatible_from: Option<i64>,
    /// The version that this program knows.
    pub needed: i64,
}

impl TableVersions {
    /// Whether the tables are newer than what this program knows.
    pub(crate) fn are_newer(self) -> bool {
        self.found.is_some_and(|found| found > self.needed)
    }

    /// Whether this program may use the tables.
    pub(crate) fn can_be_used(self) -> bool {
        let serves = self.compatible_from.is_some_and(|from| from <= self.needed);
        self.found == Some(self.needed) || (self.are_newer() && serves)
    }
}

impl fmt::Display for TableVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, compatible_from, needed } = self;
        match found {
            Some(found) => write!(f, "are of version {found}")?,
            None => f.write_str("are of version none")?,
        }
        if !self.are_newer() {
            return write!(f, ", this program needs version {needed}; run `sentinel migrate` first");
        }
        if let Some(from) = compatible_from {
            write!(f, " and can be used from version {from} on")?;
        }
        write!(
            f,
            ", this program knows version {needed}; run a newer version of it, as the one that changed them, or restore \
             all stores as they were before that"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_tables_are_used_if_they_say_so() {
        for (found, compatible_from, needed, expected) in [
            (Some(9), Some(9), 9, true),
            (Some(9), None, 9, true),
            // Only added to.
            (Some(11), Some(9), 9, true),
            (Some(11), Some(9), 10, true),
            // Changed so that programs of before cannot use them, or about to be.
            (Some(11), Some(11), 10, false),
            (Some(10), Some(11), 10, true),
            (Some(10), Some(11), 9, false),
            (Some(11), None, 10, false),
            // Older ones are waited for.
            (Some(9), Some(9), 10, false),
            (None, None, 9, false),
            (None, Some(9), 9, false),
        ] {
            let versions = TableVersions { found, compatible_from, needed };
            assert_eq!(versions.can_be_used(), expected, "{versions:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_tells_what_to_do() {
        let told = |found, compatible_from| TableVersions { found, compatible_from, needed: 9 }.to_string();
        for (found, version) in [(None, "version none,"), (Some(8), "version 8,")] {
            let text = told(found, Some(8));
            assert!(text.contains(version) && text.ends_with("run `sentinel migrate` first"), "{text}");
        }
        let text = told(Some(11), Some(10));
        assert!(text.starts_with("are of version 11 and can be used from version 10 on, this program knows version 9"));
        assert!(text.contains("run a newer version of it") && text.contains("restore all stores"), "{text}");
    }
}
