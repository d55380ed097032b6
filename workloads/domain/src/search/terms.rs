//! Terms: what an index gets instead of a text.
//!
//! A term stands for a word, a beginning of a word, a character, a pair of characters or a symbol. In mode `Blind` it is
//! the HMAC-SHA-256 of that, cut to [`TERM_BYTES`], under a key derived from a key-encryption key for this purpose alone:
//! whoever has the index but no key learns how many terms messages share, and no word. In mode `Plaintext` it is the word
//! itself. All else is the same in both.
//!
//! Terms are written with the newest key and looked for with every key of the ring. So a rotation costs no hit: what
//! was indexed before is found by the old key until a rebuild of the index has written it anew; only then may the old key
//! be taken away. (With the oldest key alone, taking it away would lose everything at once.) A change of the mode works
//! in the same way: as long as the index has terms of the other mode, those are looked for too.
//!
//! Which keys and modes the entries of an index were written with is told by [`Mark`]s that are kept with it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    query::{Clause, Query},
    token::{Kind, Token, tokens},
};
use crate::{config::SearchMode, keyring::Keyring};

/// Bytes of a blind term. Two words share one by accident once in 2⁶⁴; such a hit is dropped when the message is read.
pub const TERM_BYTES: usize = 8;
const PURPOSE: &str = "search";
/// Characters of the longest beginning of a word that has a term of its own.
const LONGEST_PREFIX: usize = 24;
/// Bytes of the longest term of mode `Plaintext`; a longer one is cut. Engines refuse what is much longer.
const LONGEST_PLAIN: usize = 256;
/// Terms that an index is asked for at most. What they do not rule out, the decrypted text does.
const ASKED_TERMS: usize = 32;

/// What stands for a word in an index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// A keyed hash of it.
    Blind([u8; TERM_BYTES]),
    /// The word with its kind, such as `word:hello`.
    Plain(String),
}

/// As an index of texts keeps it. No blind term has a colon, and every other has one.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blind(bytes) => f.write_str(&URL_SAFE_NO_PAD.encode(bytes)),
            Self::Plain(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blind(_) => write!(f, "Blind({self})"),
            // Words of messages do not get into logs.
            Self::Plain(_) => f.write_str("Plain(…)"),
        }
    }
}

/// Tells which key, or that no key, the terms of an index were made with. It tells nothing of the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub [u8; TERM_BYTES]);

impl Mark {
    /// The mark of mode `Plaintext`.
    pub const PLAIN: Self = Self(*b"in-plain");
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mark({self})")
    }
}

/// A text that is no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no mark of a search index")]
pub struct InvalidMark;

impl FromStr for Mark {
    type Err = InvalidMark;

    fn from_str(text: &str) -> Result<Self, InvalidMark> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidMark)?;
        bytes.try_into().map(Self).map_err(|_| InvalidMark)
    }
}

/// Makes terms in one way.
enum Maker {
    /// Hashes with this key.
    Keyed(Box<hmac::Key>),
    /// Leaves words as they are.
    Plain,
}

impl Maker {
    fn term(&self, plain: &str) -> Term {
        match self {
            Self::Keyed(key) => Term::Blind(blind(key, plain)),
            Self::Plain => Term::Plain(plain[..plain.floor_char_boundary(LONGEST_PLAIN)].to_owned()),
        }
    }

    fn mark(&self) -> Mark {
        match self {
            // A term that no text has.
            Self::Keyed(key) => Mark(blind(key, "mark:")),
            Self::Plain => Mark::PLAIN,
        }
    }
}

/// How a deployment's terms are made and looked for.
pub struct SearchKeys {
    mode: SearchMode,
    /// What is written now.
    writes: Maker,
    /// What else is always looked for: older keys, and one that is about to be used.
    others: Vec<Maker>,
    /// What is looked for only where an index says that it has it: the terms of the other mode. A blind index must not be
    /// asked for words.
    former: Vec<Maker>,
}

impl SearchKeys {
    /// Blind terms by the keys that a keyring gives.
    pub fn new(keyring: &Keyring) -> Self {
        Self::of(SearchMode::Blind, keyring)
    }

    /// The terms of a mode.
    pub fn of(mode: SearchMode, keyring: &Keyring) -> Self {
        let keyed = |raw: &[u8]| Maker::Keyed(Box::new(hmac::Key::new(hmac::HMAC_SHA256, raw)));
        let (newest, older) = keyring.subkeys(PURPOSE);
        let (newest, older) = (keyed(&newest), older.iter().map(|raw| keyed(raw)).collect::<Vec<_>>());
        match mode {
            SearchMode::Blind => Self { mode, writes: newest, others: older, former: vec![Maker::Plain] },
            SearchMode::Plaintext => {
                let former = std::iter::once(newest).chain(older).collect();
                Self { mode, writes: Maker::Plain, others: Vec::new(), former }
            }
        }
    }

    /// The mode.
    pub fn mode(&self) -> SearchMode {
        self.mode
    }

    /// The mark of what is written now.
    pub fn mark(&self) -> Mark {
        self.writes.mark()
    }

    /// Whether terms with this mark can be looked for.
    pub fn knows(&self, mark: Mark) -> bool {
        self.makers().any(|maker| maker.mark() == mark)
    }

    /// What an index may have been written with whose marks were never kept: blind terms of any key.
    pub fn possible_marks(&self) -> Vec<Mark> {
        self.makers().map(Maker::mark).filter(|mark| *mark != Mark::PLAIN).collect()
    }

    /// The terms of a text, each once.
    pub fn terms(&self, text: &str) -> Vec<Term> {
        let terms: BTreeSet<Term> = plain_terms(&tokens(text)).iter().map(|term| self.writes.term(term)).collect();
        terms.into_iter().collect()
    }

    /// What to ask an index for that was written in this mode: of each group a document must have one.
    pub fn asked(&self, query: &Query) -> Vec<Vec<Term>> {
        self.asked_of(query, &[])
    }

    /// What to ask an index for that was written with these marks: of each group a document must have one.
    pub fn asked_of(&self, query: &Query, marks: &[Mark]) -> Vec<Vec<Term>> {
        let terms: BTreeSet<String> = query.clauses.iter().flat_map(asked_terms).collect();
        let former = || self.former.iter().filter(|maker| marks.contains(&maker.mark()));
        let every_way = |term: &String| {
            let makers = std::iter::once(&self.writes).chain(&self.others).chain(former());
            makers.map(|maker| maker.term(term)).collect()
        };
        terms.iter().take(ASKED_TERMS).map(every_way).collect()
    }

    fn makers(&self) -> impl Iterator<Item = &Maker> {
        std::iter::once(&self.writes).chain(&self.others).chain(&self.former)
    }
}

impl fmt::Debug for SearchKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.others.len();
        f.debug_struct("SearchKeys").field("mode", &self.mode).field("others", &others).finish_non_exhaustive()
    }
}

fn blind(key: &hmac::Key, term: &str) -> [u8; TERM_BYTES] {
    let mac = hmac::sign(key, term.as_bytes());
    let mut out = [0; TERM_BYTES];
    out.copy_from_slice(&mac.as_ref()[..TERM_BYTES]);
    out
}

// What a term stands for is part of it, so that a beginning never passes for a word.
fn word(text: &str) -> String {
    format!("word:{text}")
}

fn prefix(text: &str) -> String {
    format!("prefix:{}", text.chars().take(LONGEST_PREFIX).collect::<String>())
}

fn characters(first: &str, second: &str) -> String {
    format!("characters:{first}\0{second}")
}

fn symbol(text: &str) -> String {
    format!("symbol:{text}")
}

fn plain_terms(tokens: &[Token]) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    let mut before = "";
    for token in tokens {
        match token.kind {
            Kind::Word => {
                terms.insert(word(&token.text));
                let ends = token.text.char_indices().map(|(place, c)| place + c.len_utf8());
                terms.extend(ends.skip(1).take(LONGEST_PREFIX - 1).map(|end| prefix(&token.text[..end])));
            }
            Kind::Character => {
                terms.insert(characters(&token.text, ""));
                if token.joined {
                    terms.insert(characters(before, &token.text));
                }
            }
            Kind::Symbol => {
                terms.insert(symbol(&token.text));
            }
        }
        before = &token.text;
    }
    terms
}

/// Terms that every text has which the clause is found in.
fn asked_terms(clause: &Clause) -> Vec<String> {
    let mut terms = Vec::new();
    for (place, token) in clause.tokens.iter().enumerate() {
        terms.push(match token.kind {
            Kind::Word if clause.open && token.ends.len() == 1 => continue,
            Kind::Word if clause.open => prefix(&token.text),
            Kind::Word => word(&token.text),
            Kind::Symbol => symbol(&token.text),
            Kind::Character if token.joined && place > 0 => characters(&clause.tokens[place - 1].text, &token.text),
            // A pair says more than its first character.
            Kind::Character if clause.tokens.get(place + 1).is_some_and(|next| next.joined) => continue,
            Kind::Character => characters(&token.text, ""),
        });
    }
    terms
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ring(names: &[u8]) -> Keyring {
        Keyring::new(names.iter().map(|n| (format!("kek-{n:04}"), [*n; 32])).collect::<BTreeMap<_, _>>()).unwrap()
    }

    fn keys(names: &[u8]) -> SearchKeys {
        SearchKeys::new(&ring(names))
    }

    /// What an index does.
    fn has(terms: &[Term], asked: &[Vec<Term>]) -> bool {
        !asked.is_empty() && asked.iter().all(|group| group.iter().any(|term| terms.contains(term)))
    }

    fn found(text: &str, query: &str) -> bool {
        let keys = keys(&[1]);
        has(&keys.terms(text), &keys.asked(&Query::parse(query)))
    }

    #[test]
    fn the_index_finds_words_beginnings_pairs_and_symbols() {
        let text = "Meet me at Łódź Fabryczna 東京都 👍🏽";
        for query in [
            "lodz",
            "LODZ fab",
            "me",
            "fabryczna meet",
            "京都",
            "東",
            "👍",
            "\"łódź fabryczna\"",
            "at me",
            "at f",
            "都 m",
        ] {
            assert!(found(text, query), "{query}");
        }
        for query in ["odz", "f", "m", "f at", "fab meet", "\"fab\"", "都京", "👎", "meet you", "Łódź2"] {
            assert!(!found(text, query), "{query}");
        }
    }

    #[test]
    fn no_hit_is_lost_while_keys_rotate() {
        let (before, after) = (keys(&[1]), keys(&[1, 2]));
        let old = before.terms("hello world");
        let query = Query::parse("wor");
        assert!(has(&old, &after.asked(&query)), "indexed before, found after");
        let new = after.terms("hello world");
        assert!(old.iter().all(|term| !new.contains(term)), "written with the newest key");
        assert!(has(&new, &keys(&[2]).asked(&query)), "the old key may go once all is written anew");
        assert!(!has(&old, &keys(&[2]).asked(&query)));
    }

    #[test]
    fn terms_show_nothing_of_the_text() {
        let text = "attack at dawn 暁 🌅";
        let terms = keys(&[1]).terms(text);
        let shown = format!("{terms:?}");
        for part in ["attack", "dawn", "at", "暁", "🌅"] {
            let raw = URL_SAFE_NO_PAD.encode(part);
            assert!(!shown.contains(part) && !shown.contains(&raw), "{part}");
        }
        assert!(terms.iter().all(|term| !keys(&[9]).terms(text).contains(term)), "another key, other terms");
        // The same beginning and the same word are different terms.
        assert_eq!(keys(&[1]).terms("at").len(), 2);
    }

    fn plain(names: &[u8]) -> SearchKeys {
        SearchKeys::of(SearchMode::Plaintext, &ring(names))
    }

    #[test]
    fn plain_terms_are_the_folded_words_with_their_kind() {
        let shown: Vec<String> = plain(&[1]).terms("Café 東京 👍🏽").iter().map(ToString::to_string).collect();
        let expected = [
            "characters:京\0",
            "characters:東\0",
            "characters:東\0京",
            "prefix:ca",
            "prefix:caf",
            "prefix:cafe",
            "symbol:👍",
            "word:cafe",
        ];
        assert_eq!(shown, expected);
        assert!(!format!("{:?}", plain(&[1]).terms("secret")).contains("secret"), "logs have no words");
        // Engines refuse terms that are too long.
        let long = "é😀".repeat(3_000) + &"x".repeat(70_000);
        assert!(plain(&[1]).terms(&long).iter().all(|term| term.to_string().len() <= LONGEST_PLAIN));
        let query = Query::parse(&"x".repeat(70_000));
        assert!(has(&plain(&[1]).terms(&long), &plain(&[1]).asked(&query)));
    }

    #[test]
    fn no_hit_is_lost_while_the_mode_changes() {
        let (blind, plain) = (keys(&[1, 2]), plain(&[1, 2]));
        let query = Query::parse("hello wor");
        for (before, after) in [(&blind, &plain), (&plain, &blind)] {
            let old = before.terms("Hello World");
            assert!(
                has(&old, &after.asked_of(&query, &[before.mark(), after.mark()])),
                "found where the index says so"
            );
            assert!(!has(&old, &after.asked_of(&query, &[after.mark()])), "and nothing of it is asked for later");
        }
        // A blind index is not told what people look for.
        let asked = blind.asked_of(&query, &blind.possible_marks()).concat();
        assert!(asked.iter().all(|term| matches!(term, Term::Blind(_))), "{asked:?}");
    }

    #[test]
    fn marks_tell_keys_and_modes_apart() {
        let marks = [keys(&[1]).mark(), keys(&[2]).mark(), plain(&[1]).mark()];
        assert_eq!(plain(&[2]).mark(), marks[2]);
        assert!(marks[0] != marks[1] && marks[1] != marks[2] && marks[0] != marks[2]);
        assert!(keys(&[1]).knows(marks[0]) && !keys(&[1]).knows(marks[1]) && keys(&[1]).knows(marks[2]));
        assert!(plain(&[1, 2]).knows(marks[0]) && keys(&[1, 2]).knows(marks[0]));
        assert_eq!(keys(&[1]).possible_marks(), [marks[0]]);
        for mark in marks {
            assert_eq!(mark.to_string().parse(), Ok(mark));
            assert!(!keys(&[1]).terms("mark: mark").contains(&Term::Blind(mark.0)));
        }
        for wrong in ["", "x", "AAAA", "AAAAAAAAAAAAAAAA", "word:x"] {
            assert!(wrong.parse::<Mark>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_long_word_has_a_bounded_number_of_terms_and_is_found() {
        let long = "x".repeat(5_000);
        assert_eq!(keys(&[1]).terms(&long).len(), LONGEST_PREFIX);
        assert!(found(&long, &long) && found(&long, &long[..30]) && found(&long, &format!("{long} xx")));
        assert_eq!(keys(&[1]).asked(&Query::parse(&"ab cd ef gh ".repeat(1_000))).len(), 5);
        let many: String = (0..1_000).fold(String::new(), |text, n| text + &format!("w{n} "));
        assert_eq!(keys(&[1]).asked(&Query::parse(&many)).len(), ASKED_TERMS);
        assert!(found(&many, &many));
    }

    proptest! {
        #[test]
        fn every_text_that_answers_a_query_is_found_by_the_index(text in any::<String>(), query in any::<String>()) {
            let query = Query::parse(&query);
            let keys = keys(&[1, 2]);
            prop_assert!(query.find(&text).is_none() || has(&keys.terms(&text), &keys.asked(&query)));
            let keys = plain(&[1]);
            prop_assert!(query.find(&text).is_none() || has(&keys.terms(&text), &keys.asked(&query)));
        }

        #[test]
        fn every_word_is_found_whole_by_its_beginning_and_in_capitals(
            words in proptest::collection::vec("[\\p{Latin}\\p{Cyrillic}\\p{Greek}\\p{Devanagari}]{2,12}", 1..8),
            pick in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(),
        ) {
            let text = words.join(" ");
            let word = pick.get(&words);
            let characters: Vec<char> = word.chars().collect();
            for query in [word.clone(), word.to_uppercase(), word.to_lowercase()] {
                let asked = Query::parse(&query);
                prop_assert!(asked.is_empty() || (found(&text, &query) && asked.find(&text).is_some()), "{}", query);
            }
            let begin: String = characters[..2 + cut.index(characters.len() - 1)].iter().collect();
            // Marks may belong to the character before: then the beginning is not one of whole characters.
            let whole = tokens(word).first().is_some_and(|token| {
                tokens(&begin).first().is_some_and(|part| tokens(&begin).len() == 1 && part.ends.len() > 1
                    && token.text.starts_with(&part.text))
            });
            if whole {
                prop_assert!(found(&text, &begin) && Query::parse(&begin).find(&text).is_some(), "{}", begin);
            }
        }

        #[test]
        fn any_two_neighbours_of_a_spaceless_text_are_found(
            text in "[\u{4e00}-\u{9fff}\u{3041}-\u{3096}\u{30a1}-\u{30fa}\u{ac00}-\u{d7a3}]{2,30}", at in any::<prop::sample::Index>(),
        ) {
            let characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len() - 1);
            let pair: String = characters[at..=at + 1].iter().collect();
            if tokens(&pair).len() == 2 && tokens(&pair)[1].joined {
                prop_assert!(found(&text, &pair) && Query::parse(&pair).find(&text).is_some(), "{}", pair);
            }
        }
    }
}
