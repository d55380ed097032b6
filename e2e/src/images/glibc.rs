//! Whether a program runs on the C library of an image.

use anyhow::{Result, bail};

/// A C library version.
pub type Version = (u32, u32);

/// The newest `GLIBC_x.y` symbol version in a text or binary: what `readelf` says that a program needs, or what the
/// library itself offers.
pub fn newest(binary: &[u8]) -> Option<Version> {
    let marker = b"GLIBC_";
    let starts = binary.windows(marker.len()).enumerate().filter(|(_, window)| *window == marker);
    starts.filter_map(|(at, _)| version(&binary[at + marker.len()..])).max()
}

/// Fails when the program needs a newer library than the image has.
pub fn check(program: &str, needed: Option<Version>, offered: Option<Version>) -> Result<()> {
    let (Some(needed), Some(offered)) = (needed, offered) else { return Ok(()) };
    if needed > offered {
        bail!(
            "{program} was linked against glibc {}.{}, the image has {}.{}: build on the Debian release that the image \
             is made from (or an older one)",
            needed.0,
            needed.1,
            offered.0,
            offered.1
        );
    }
    Ok(())
}

fn version(text: &[u8]) -> Option<Version> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let text = std::str::from_utf8(&text[..end]).ok()?;
    let mut numbers = text.split('.').map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_not_the_last_or_the_longest() {
        assert_eq!(newest(b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0"), Some((2, 34)));
        assert_eq!(newest(b"static"), None);
    }

    #[test]
    fn newer_needs_are_refused_with_advice() {
        check("x", Some((2, 34)), Some((2, 36))).unwrap();
        check("x", None, Some((2, 36))).unwrap();
        let error = check("x", Some((2, 39)), Some((2, 36))).unwrap_err().to_string();
        assert!(error.contains("2.39") && error.contains("2.36") && error.contains("Debian"), "{error}");
    }
}
