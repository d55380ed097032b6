//! What can be looked for in a text: words, characters of scripts that put no spaces between words, and symbols.

use unicode_normalization::char::is_combining_mark;

use super::fold::{Cluster, clusters};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters and digits in a row.
    Word,
    /// One character of a script without spaces: Chinese, Japanese, Korean (which has spaces, but words with endings),
    /// Thai, Lao, Khmer, Burmese, Tibetan.
    Character,
    /// An emoji or another symbol.
    Symbol,
}

/// Something that can be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    /// How it is compared: folded.
    pub text: String,
    /// Whether it is a character right after another one.
    pub joined: bool,
    /// Where it starts in the text, in UTF-16 code units.
    pub start: usize,
    /// Where each of its folded characters ends in the text, in UTF-16 code units.
    pub ends: Vec<usize>,
}

impl Token {
    /// Where it ends in the text.
    pub fn end(&self) -> usize {
        self.ends.last().copied().unwrap_or(self.start)
    }
}

/// The tokens of a text, in order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut cutter = Cutter::default();
    let mut start = 0;
    for (cluster, length) in clusters(text) {
        let place = (start, start + length);
        match cluster {
            Cluster::Symbol(symbol) => cutter.symbol(symbol, place),
            Cluster::Text(text) => text.chars().for_each(|c| cutter.take(c, place)),
        }
        start = place.1;
    }
    cutter.tokens
}

#[derive(Default)]
struct Cutter {
    tokens: Vec<Token>,
    /// What the last token is, unless something that separates came after it.
    open: Option<Kind>,
}

impl Cutter {
    fn take(&mut self, c: char, place: (usize, usize)) {
        let mark = is_combining_mark(c);
        let kind = match self.open {
            // A mark belongs to what it stands on.
            Some(kind @ (Kind::Word | Kind::Character)) if mark => return self.extend(kind, c, place),
            _ if is_spaceless(c) => Kind::Character,
            _ if c.is_alphanumeric() => Kind::Word,
            _ => {
                self.open = None;
                return;
            }
        };
        if kind == Kind::Word && self.open == Some(Kind::Word) {
            self.extend(kind, c, place);
        } else {
            self.begin(kind, c.to_string(), place);
        }
    }

    fn symbol(&mut self, symbol: String, place: (usize, usize)) {
        self.begin(Kind::Symbol, symbol, place);
    }

    fn begin(&mut self, kind: Kind, text: String, (start, end): (usize, usize)) {
        let joined = kind == Kind::Character && self.open == Some(Kind::Character);
        let ends = vec![end; text.chars().count()];
        self.tokens.push(Token { kind, text, joined, start, ends });
        self.open = Some(kind);
    }

    fn extend(&mut self, kind: Kind, c: char, place: (usize, usize)) {
        match self.tokens.last_mut() {
            Some(token) => {
                token.text.push(c);
                token.ends.push(place.1);
            }
            None => self.begin(kind, c.to_string(), place),
        }
    }
}

/// Whether words of this character's script can't be told apart by spaces.
fn is_spaceless(c: char) -> bool {
    let script = matches!(c,
        '\u{0e01}'..='\u{0e4e}' // Thai, whose digits are left out
        | '\u{0e81}'..='\u{0ece}' | '\u{0edc}'..='\u{0edf}' // Lao
        | '\u{0f40}'..='\u{0fbc}' // Tibetan
        | '\u{1000}'..='\u{103f}' | '\u{1050}'..='\u{108f}' // Burmese
        | '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}' | '\u{a960}'..='\u{a97c}' | '\u{ac00}'..='\u{d7fb}' // Korean
        | '\u{1780}'..='\u{17d3}' // Khmer
        | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{1aff0}'..='\u{1b16f}' // Japanese
        | '\u{3105}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' // Bopomofo
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3fffd}' // Han
    );
    script && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_are_letters_and_digits_in_a_row() {
        assert_eq!(
            texts("Don't e-mail ann_b@Example.com, 3.14!"),
            ["don", "t", "e", "mail", "ann", "b", "example", "com", "3", "14"]
        );
        assert_eq!(texts("привет, мир — नमस्ते दुनिया"), ["привет", "мир", "नमस्ते", "दुनिया"]);
        assert!(texts(" \n…?!\u{200d}\u{301}").is_empty());
    }

    #[test]
    fn a_script_without_spaces_is_cut_into_characters() {
        let list = tokens("iPhone手机、안녕");
        let cut: Vec<_> = list.iter().map(|token| (token.text.as_str(), token.joined)).collect();
        assert_eq!(cut, [("iphone", false), ("手", false), ("机", true), ("안", false), ("녕", true)]);
        assert_eq!(texts("㍿"), ["株", "式", "会", "社"]);
        assert_eq!(texts("ภาษา"), ["ภ", "า", "ษ", "า"]);
    }

    #[test]
    fn symbols_stand_alone() {
        assert_eq!(texts("ok👍🏽👍x"), ["ok", "👍", "👍", "x"]);
    }

    #[test]
    fn places_are_those_of_the_text() {
        let list = tokens("😀 Straße ﬁn");
        assert_eq!((list[1].start, list[1].end()), (3, 9));
        // "strasse": both s of the ß end where it ends.
        assert_eq!(list[1].ends, [4, 5, 6, 7, 8, 8, 9]);
        assert_eq!((list[2].start, &list[2].ends), (10, &vec![11, 11, 12]));
    }
}
