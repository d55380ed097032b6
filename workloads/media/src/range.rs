//! The part of a file that a request asks for (RFC 9110).

/// Which bytes to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of them.
    Whole,
    /// From the first to the last, both included.
    Some { first: u64, last: u64 },
    /// Nothing: the part is not in the file.
    None,
}

/// Reads a `Range` header. Several parts, another unit or nonsense are as good as none: all bytes are answered.
pub(crate) fn part(header: Option<&str>, size: u64) -> Part {
    let Some((first, last)) = header.and_then(|text| text.strip_prefix("bytes=")).and_then(|text| text.split_once('-'))
    else {
        return Part::Whole;
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Some(0) => Part::None,
            Some(_) if size == 0 => Part::None,
            Some(last) => Part::Some { first: size.saturating_sub(last), last: size - 1 },
            None => Part::Whole,
        },
        (first, "") => match number(first) {
            Some(first) if first < size => Part::Some { first, last: size - 1 },
            Some(_) => Part::None,
            None => Part::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first > last => Part::Whole,
            (Some(first), Some(_)) if first >= size => Part::None,
            (Some(first), Some(last)) => Part::Some { first, last: last.min(size - 1) },
            _ => Part::Whole,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_to_the_file() {
        let some = |first, last| Part::Some { first, last };
        let cases = [
            (None, Part::Whole),
            (Some("bytes=0-4"), some(0, 4)),
            (Some("bytes=5-"), some(5, 9)),
            (Some("bytes=-3"), some(7, 9)),
            (Some("bytes=-30"), some(0, 9)),
            (Some("bytes=8-100"), some(8, 9)),
            (Some("bytes=10-"), Part::None),
            (Some("bytes=-0"), Part::None),
            (Some("bytes=10-12"), Part::None),
            (Some("bytes=4-2"), Part::Whole),
            (Some("bytes=0-1,3-4"), Part::Whole),
            (Some("lines=0-1"), Part::Whole),
            (Some("bytes=+1-2"), Part::Whole),
            (Some("bytes=-"), Part::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(part(header, 10), expected, "{header:?}");
        }
        assert_eq!(part(Some("bytes=0-"), 0), Part::None);
    }
}
