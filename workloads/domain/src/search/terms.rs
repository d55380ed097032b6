//! Blind terms: what an index gets instead of words.
//!
//! A term is HMAC-SHA-256 of a word, a beginning of a word, a character, a pair of characters or a symbol, cut to
//! [`TERM_BYTES`]. The key is derived from a key-encryption key for this purpose alone. Whoever has the index but no key
//! learns how many terms messages share, and no word.
//!
//! Terms are written with the newest key and looked for with every key of the ring. So a rotation costs no hit: what
//! was indexed before is found by the old key until a rebuild of the index has written it anew; only then may the old key
//! be taken away. (With the oldest key alone, taking it away would lose everything at once.)

use std::{collections::BTreeSet, fmt};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    query::{Clause, Query},
    token::{Kind, Token, tokens},
};
use crate::keyring::Keyring;

/// Bytes of a term. Two words share one by accident once in 2⁶⁴; such a hit is dropped when the message is read.
pub const TERM_BYTES: usize = 8;
const PURPOSE: &str = "search";
/// Characters of the longest beginning of a word that has a term of its own.
const LONGEST_PREFIX: usize = 24;
/// Terms that an index is asked for at most. What they do not rule out, the decrypted text does.
const ASKED_TERMS: usize = 32;

/// What stands for a word in an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlindTerm(pub [u8; TERM_BYTES]);

impl fmt::Display for BlindTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for BlindTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlindTerm({self})")
    }
}

/// The keys of a deployment's search.
pub struct SearchKeys {
    newest: hmac::Key,
    older: Vec<hmac::Key>,
}

impl SearchKeys {
    /// The keys that a keyring gives.
    pub fn new(keyring: &Keyring) -> Self {
        let key = |raw: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, raw);
        let (newest, older) = keyring.subkeys(PURPOSE);
        Self { newest: key(&newest), older: older.iter().map(|raw| key(raw)).collect() }
    }

    /// Tells whether terms are written with the same key as before: a term that no text has.
    pub fn mark(&self) -> BlindTerm {
        blind(&self.newest, "mark:")
    }

    /// The terms of a text, each once.
    pub fn terms(&self, text: &str) -> Vec<BlindTerm> {
        plain_terms(&tokens(text)).iter().map(|term| blind(&self.newest, term)).collect()
    }

    /// What to ask an index for: of each group a document must have one.
    pub fn asked(&self, query: &Query) -> Vec<Vec<BlindTerm>> {
        let terms: BTreeSet<String> = query.clauses.iter().flat_map(asked_terms).collect();
        let every_key =
            |term: &String| std::iter::once(&self.newest).chain(&self.older).map(|key| blind(key, term)).collect();
        terms.iter().take(ASKED_TERMS).map(every_key).collect()
    }
}

impl fmt::Debug for SearchKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchKeys").field("older", &self.older.len()).finish_non_exhaustive()
    }
}

fn blind(key: &hmac::Key, term: &str) -> BlindTerm {
    let mac = hmac::sign(key, term.as_bytes());
    let mut out = [0; TERM_BYTES];
    out.copy_from_slice(&mac.as_ref()[..TERM_BYTES]);
    BlindTerm(out)
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
    fn has(terms: &[BlindTerm], asked: &[Vec<BlindTerm>]) -> bool {
        !asked.is_empty() && asked.iter().all(|group| group.iter().any(|term| terms.contains(term)))
    }

    fn found(text: &str, query: &str) -> bool {
        let keys = keys(&[1]);
        has(&keys.terms(text), &keys.asked(&Query::parse(query)))
    }

    #[test]
    fn the_index_finds_words_beginnings_pairs_and_symbols() {
        let text = "Meet me at Łódź Fabryczna 東京都 👍🏽";
        for query in ["lodz", "LODZ fab", "me", "fabryczna meet", "京都", "東", "👍", "\"łódź fabryczna\"", "at me"]
        {
            assert!(found(text, query), "{query}");
        }
        for query in ["odz", "f", "m", "fab meet", "\"fab\"", "都京", "👎", "meet you", "Łódź2"] {
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
