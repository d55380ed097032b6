//! What a search does not tell apart: upper and lower case, accents, widths and other ways to write the same character.
//!
//! Text is folded cluster by cluster (what a reader takes for one character), so that each folded character knows which
//! part of the text it stands for, and so that a part of a text folds to a part of the folded text.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

/// Separates words without being seen; all other characters of its kind are left out.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// Lengthens an Arabic word for looks only.
const TATWEEL: char = '\u{640}';

/// What a cluster is to a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cluster {
    /// Letters, digits and marks, or what separates them.
    Text(String),
    /// An emoji or another symbol.
    Symbol(String),
}

/// The clusters of a text, each with its length in UTF-16 code units.
pub(super) fn clusters(text: &str) -> impl Iterator<Item = (Cluster, usize)> {
    text.graphemes(true).map(|cluster| (fold(cluster), cluster.encode_utf16().count()))
}

fn fold(cluster: &str) -> Cluster {
    if let &[byte] = cluster.as_bytes() {
        return Cluster::Text(char::from(byte.to_ascii_lowercase()).to_string());
    }
    let is_symbol = |c: char| c.general_category() == GeneralCategory::OtherSymbol;
    if cluster.nfkd().next().is_some_and(is_symbol) {
        return Cluster::Symbol(cluster.nfkd().filter(|c| !is_variant(*c)).collect());
    }
    // Composed again, so that a Korean syllable or a Japanese voiced sound is one character.
    let bare = cluster.nfkd().filter(|c| !is_accent(*c) && !is_invisible(*c)).nfc();
    Cluster::Text(bare.flat_map(fold_case).flat_map(fold_letter).collect())
}

/// Full case folding, nearly: the lower case of the upper case, where `ß` is `ss` and both Greek sigmas are one.
fn fold_case(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Letters with a stroke or a ligature that Unicode does not decompose.
fn fold_letter(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'ø' => ('o', None),
        'ł' => ('l', None),
        'đ' | 'ð' => ('d', None),
        'ħ' => ('h', None),
        'ŧ' => ('t', None),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'þ' => ('t', Some('h')),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

/// Skin colours and the choice between text and picture.
fn is_variant(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}' | '\u{fe00}'..='\u{fe0f}')
}

/// Marks that people leave out: accents, Hebrew points, Arabic vowels, variants. Vowels of Indian scripts stay, and so
/// does the Greek iota below, which is a letter in capitals.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{344}' | '\u{346}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{e0100}'..='\u{e01ef}'
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}'
        | '\u{6e7}' | '\u{6e8}' | '\u{6ea}'..='\u{6ed}'
    )
}

fn is_invisible(c: char) -> bool {
    (c.general_category() == GeneralCategory::Format && c != ZERO_WIDTH_SPACE) || c == TATWEEL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        clusters(text)
            .map(|(cluster, _)| match cluster {
                Cluster::Text(text) | Cluster::Symbol(text) => text,
            })
            .collect()
    }

    #[test]
    fn one_word_in_many_spellings() {
        for (text, expected) in [
            ("Café", "cafe"),
            ("CAFE\u{301}", "cafe"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("STRAẞE", "strasse"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("σίσυφος", "σισυφοσ"),
            ("İstanbul", "istanbul"),
            ("ılık", "ilik"),
            ("Łódź", "lodz"),
            ("Smørrebrød", "smorrebrod"),
            ("Æsir", "aesir"),
            ("ﬁne", "fine"),
            ("ｆｕｌｌ", "full"),
            ("²", "2"),
            ("Ёлка", "елка"),
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد", "محمد"),
            ("أحمد", "احمد"),
            ("so\u{ad}ft", "soft"),
            ("ｶﾞｷﾞ", "ガギ"),
            ("か\u{3099}", "が"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("हिन्दी", "हिन्दी"),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn an_emoji_is_one_symbol_whatever_its_colour_and_style() {
        for (text, expected) in [("👍🏽", "👍"), ("❤\u{fe0f}", "❤"), ("👩\u{200d}👧", "👩\u{200d}👧"), ("🇩🇪", "🇩🇪")]
        {
            assert_eq!(fold(text), Cluster::Symbol(expected.into()), "{text}");
        }
        assert_eq!(fold("™"), Cluster::Text("tm".into()));
    }

    #[test]
    fn lengths_are_those_of_the_text_in_utf_16() {
        let lengths = |text| clusters(text).map(|(_, length)| length).collect::<Vec<_>>();
        assert_eq!(lengths("aé😀e\u{301}"), [1, 1, 2, 2]);
        assert_eq!(lengths("\r\n"), [2]);
    }
}
