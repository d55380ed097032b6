//! Characters that nobody sees, and texts that are not what they seem because of them.

use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// A pattern of dots without any dot.
const BLANK_BRAILLE: char = '\u{2800}';
/// The combining class of signs that silence a vowel: what joins may follow them at the end of a word.
const VIRAMA: u8 = 9;

/// Whether nothing is seen of a character: controls, what directs or joins others, and what fonts leave out.
pub(crate) fn is_invisible(c: char) -> bool {
    let directs = matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    directs || c == BLANK_BRAILLE || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Whether something is seen of a character by itself.
pub(crate) fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !is_invisible(c) && !is_combining_mark(c)
}

/// Whether a text is one line that shows all of its characters and reads in the order that it is written in.
pub fn is_plain_line(text: &str) -> bool {
    !without_joiners(text).chars().any(is_invisible)
}

/// The same of a text that may have several lines.
pub fn is_plain_text(text: &str) -> bool {
    !without_joiners(text).chars().any(|c| c != '\n' && is_invisible(c))
}

/// A text without the invisible characters that belong to what can be seen: what joins emoji, what keeps two letters apart
/// in Persian and other scripts, what chooses a form of the character before, and what makes a black flag that of a
/// country's part.
pub(crate) fn without_joiners(text: &str) -> String {
    let letter = |c: char| c.is_alphabetic() || is_combining_mark(c);
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(c) = rest.next() {
        let after = rest.peek().copied();
        let belongs = match c {
            '\u{200d}' => before.is_some_and(|before| {
                let joined = is_visible(before) || is_combining_mark(before);
                canonical_combining_class(before) == VIRAMA || (joined && after.is_some_and(is_visible))
            }),
            '\u{200c}' => before.is_some_and(letter) && after.is_some_and(letter),
            _ => is_combining_mark(c) && before.is_some_and(|before| !before.is_whitespace() && !is_invisible(before)),
        };
        if !(belongs && is_invisible(c)) {
            plain.push(c);
        }
        if c == '\u{1f3f4}'
            && let Some(end) = end_of_flag(rest.clone())
        {
            rest.nth(end);
        }
        before = Some(c);
    }
    plain
}

/// Where the tags after a black flag end, if they name a part of a country (`gbeng`).
fn end_of_flag(tags: impl Iterator<Item = char>) -> Option<usize> {
    let mut tags =
        tags.enumerate().skip_while(|(_, c)| matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}'));
    tags.next().filter(|(length, c)| (3..=6).contains(length) && *c == '\u{e007f}').map(|(length, _)| length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_directs_or_hides_is_not_plain_and_what_belongs_to_letters_and_emoji_is() {
        for good in ["Ann", "a b", "❤️\u{200d}🔥", "👩🏽\u{200d}🚀", "1️⃣", "می\u{200c}خواهم", "അവന്\u{200d}", "크", "ᠰ᠋"]
        {
            assert!(is_plain_line(good), "{good:?}");
        }
        for bad in
            ["a\u{202e}b", "a\u{200b}b", "a\u{2066}b", "a\u{200d}", "\u{200d}a", "a\u{200d} b", "a\nb", "a\u{feff}"]
        {
            assert!(!is_plain_line(bad), "{bad:?}");
        }
        for blank in ['\u{3164}', '\u{115f}', '\u{1160}', '\u{ffa0}', '\u{2800}', '\u{ad}', '\u{34f}', '\u{fe0f}'] {
            assert!(!is_visible(blank) && !is_plain_line(&blank.to_string()), "{blank:?}");
        }
        assert!(is_plain_text("two\nlines") && !is_plain_text("a\rb") && !is_plain_text("a\u{202e}b"));
    }
}
