//! What is asked for: all words must be in the text, the last one by its beginning, quoted phrases word for word.
//!
//! A beginning of one character is in nearly every text, and so it is no term of an index. Where it is asked for along with
//! something else, that finds the messages, and their text tells. Alone it would find them all: there it is a word.

use super::token::{Kind, Token, tokens};

/// A part of a text, from its first UTF-16 code unit to the one after its last. That is how JavaScript, Java, Swift and
/// C# count; a client that counts differently converts.
pub type Highlight = [usize; 2];

/// Begin and end a phrase.
const QUOTES: [char; 8] = ['"', '“', '”', '„', '‟', '«', '»', '＂'];

/// Tokens that must be in the text one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    pub tokens: Vec<Token>,
    /// Whether the (only) word may go on.
    pub open: bool,
}

/// What is asked for. Any text is a query; one without a letter, digit or symbol asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub(super) clauses: Vec<Clause>,
}

impl Query {
    /// Reads what somebody typed. A quote that is not closed is no quote.
    pub fn parse(text: &str) -> Self {
        let mut clauses = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(QUOTES) {
            clauses.extend(words(before));
            let Some((phrase, after)) = after.split_once(QUOTES) else {
                rest = after;
                continue;
            };
            let tokens = tokens(phrase);
            if !tokens.is_empty() {
                clauses.push(Clause { tokens, open: false });
            }
            rest = after;
        }
        let last = words(rest);
        let typing = !last.is_empty();
        clauses.extend(last);
        let alone = clauses.len() == 1;
        if let Some(clause) = clauses.last_mut().filter(|_| typing) {
            clause.open = clause.tokens.last().is_some_and(|token| may_go_on(token, alone));
        }
        clauses.dedup();
        Self { clauses }
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// How many words, symbols and phrases it asks for.
    pub fn parts(&self) -> usize {
        self.clauses.len()
    }

    /// The places in `text` that the query asks for, in order and apart from each other; `None` when the text lacks
    /// something.
    pub fn find(&self, text: &str) -> Option<Vec<Highlight>> {
        if self.is_empty() {
            return None;
        }
        let tokens = tokens(text);
        let mut places = Vec::new();
        for clause in &self.clauses {
            let before = places.len();
            let length = clause.tokens.len();
            places.extend(tokens.windows(length).filter_map(|part| clause.place(part)));
            if places.len() == before {
                return None;
            }
        }
        Some(merged(places))
    }
}

impl Clause {
    /// The place of this part of a text, if it is what the clause asks for.
    fn place(&self, part: &[Token]) -> Option<Highlight> {
        let same = |(asked, found): (&Token, &Token)| {
            asked.kind == found.kind && asked.text == found.text && (!asked.joined || found.joined)
        };
        let (first, last) = (part.first()?, part.last()?);
        if !self.open {
            return self.tokens.iter().zip(part).all(same).then(|| [first.start, last.end()]);
        }
        let asked = self.tokens.first()?;
        if asked.kind != Kind::Word || first.kind != Kind::Word || !first.text.starts_with(&asked.text) {
            return None;
        }
        let end = first.ends.get(asked.ends.len().checked_sub(1)?)?;
        Some([first.start, *end])
    }
}

fn may_go_on(token: &Token, alone: bool) -> bool {
    token.kind == Kind::Word && (!alone || token.ends.len() > 1)
}

/// Each word and symbol for itself; characters of a script without spaces as they follow each other.
fn words(text: &str) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    for token in tokens(text) {
        match clauses.last_mut() {
            Some(clause) if token.joined => clause.tokens.push(token),
            _ => clauses.push(Clause { tokens: vec![token], open: false }),
        }
    }
    clauses
}

fn merged(mut places: Vec<Highlight>) -> Vec<Highlight> {
    places.sort_unstable();
    let mut merged: Vec<Highlight> = Vec::with_capacity(places.len());
    for place in places {
        match merged.last_mut() {
            Some(last) if place[0] <= last[1] => last[1] = last[1].max(place[1]),
            _ => merged.push(place),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(query: &str, text: &str) -> Option<Vec<Highlight>> {
        Query::parse(query).find(text)
    }

    fn highlighted(query: &str, text: &str) -> Vec<String> {
        let units: Vec<u16> = text.encode_utf16().collect();
        let part = |[start, end]: Highlight| String::from_utf16(&units[start..end]).unwrap();
        find(query, text).unwrap_or_default().into_iter().map(part).collect()
    }

    #[test]
    fn all_words_must_be_there_the_last_by_its_beginning() {
        let text = "Meet me at the Café de Flore";
        for (query, expected) in [
            ("cafe", vec!["Café"]),
            ("FLORE meet", vec!["Meet", "Flore"]),
            ("meet flo", vec!["Meet", "Flo"]),
            ("caf", vec!["Caf"]),
            ("caf flore", vec![]),
            ("meet tea", vec![]),
            ("a", vec![]),
            ("me", vec!["Me", "me"]),
            ("me t", vec!["me", "t"]),
            ("the c", vec!["the", "C"]),
            ("the x", vec![]),
            ("t the", vec![]),
            ("the me", vec!["Me", "me", "the"]),
        ] {
            assert_eq!(highlighted(query, text), expected, "{query}");
        }
    }

    #[test]
    fn quoted_phrases_are_exact() {
        let text = "We go to New York, new in York.";
        for (query, expected) in [
            ("\"new york\"", vec!["New York"]),
            ("“go to” york", vec!["go to", "York", "York"]),
            ("\"york new\"", vec!["York, new"]),
            ("\"new yor\"", vec![]),
            ("\"york to\"", vec![]),
            ("«in york» we", vec!["We", "in York"]),
            ("\"new york\" w", vec!["W", "New York"]),
            ("w \"new york\"", vec![]),
        ] {
            assert_eq!(highlighted(query, text), expected, "{query}");
        }
        // Someone who is still typing.
        assert_eq!(highlighted("\"new yor", text), ["New", "Yor", "new", "Yor"]);
    }

    #[test]
    fn scripts_without_spaces_are_found_by_any_two_characters() {
        for (query, text, expected) in [
            ("京都", "東京都に住む", vec!["京都"]),
            ("都京", "東京都に住む", vec![]),
            ("京大", "東京、大阪", vec![]),
            ("猫", "黒猫です", vec!["猫"]),
            ("세요", "안녕하세요", vec!["세요"]),
            ("ガク", "ｶﾞｸｾｲ", vec!["ｶﾞｸ"]),
            ("iphone 手机", "新iPhone手机壳", vec!["iPhone手机"]),
            ("ษา", "ภาษาไทย", vec!["ษา"]),
        ] {
            assert_eq!(highlighted(query, text), expected, "{query}");
        }
    }

    #[test]
    fn emoji_are_found() {
        assert_eq!(highlighted("👍", "great 👍🏽!"), ["👍🏽"]);
        assert_eq!(highlighted("👩\u{200d}👧", "a 👩\u{200d}👧 b"), ["👩\u{200d}👧"]);
        assert_eq!(highlighted("🇩🇪", "🇩🇰🇩🇪"), ["🇩🇪"]);
        assert_eq!(find("🎉", "great 👍"), None);
    }

    #[test]
    fn a_query_without_anything_to_look_for_finds_nothing() {
        for query in ["", " ", "\"", "\"\"", "!?…", "\u{200d}", "“ ”"] {
            assert!(Query::parse(query).is_empty(), "{query:?}");
            assert_eq!(find(query, "any text ! \" \"\""), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(query in any::<String>(), text in any::<String>()) {
            let length = text.encode_utf16().count();
            let places = find(&query, &text).unwrap_or_default();
            prop_assert!(places.windows(2).all(|pair| pair[0][1] < pair[1][0]));
            prop_assert!(places.iter().all(|place| place[0] < place[1] && place[1] <= length));
        }

        #[test]
        fn a_text_is_found_by_itself(text in any::<String>()) {
            let query = Query::parse(&text.replace(QUOTES, " "));
            prop_assert!(query.is_empty() || query.find(&text).is_some());
        }
    }
}
