//! What the terms of an index were written with, and terms of both modes.

use sentinel_domain::{
    config::SearchMode,
    ports::SearchQuery,
    search::{Mark, Query, SearchKeys},
};

use super::{Engine, NOW, message, pair, ring};

pub async fn marks_are_kept_with_the_index(engine: Engine) {
    let index = &engine.index;
    assert_eq!(index.marks().await.unwrap(), Some(vec![]), "nothing was written yet");
    let (first, second) = (Mark([1; 8]), Mark([2; 8]));
    for added in [vec![second], vec![first, Mark::PLAIN], vec![second], vec![]] {
        index.add_marks(added).await.unwrap();
    }
    assert_eq!(index.marks().await.unwrap(), Some(vec![first, second, Mark::PLAIN]));
    engine.index.remove_chat(pair().chat, super::version(NOW)).await.unwrap();
    assert_eq!(index.marks().await.unwrap().map(|marks| marks.len()), Some(3));
}

pub async fn terms_of_both_modes_are_found_side_by_side(engine: Engine) {
    let us = pair();
    let blind = SearchKeys::new(&ring(&[1]));
    let plain = SearchKeys::of(SearchMode::Plaintext, &ring(&[1]));
    let [first, second, third] = [message(NOW), message(NOW + 1), message(NOW + 2)];
    let text = "Grüße aus 東京 👍";
    engine.index.put(vec![us.says(&blind, first, text), us.says(&plain, second, text)]).await.unwrap();
    engine.index.put(vec![us.says(&plain, third, "Gruss")]).await.unwrap();
    let marks = [blind.mark(), plain.mark()];
    for keys in [&blind, &plain] {
        for words in ["GRUSSE", "grusse au", "東京", "👍", "\"grusse aus\""] {
            let terms = keys.asked_of(&Query::parse(words), &marks);
            engine.gives(&SearchQuery { terms, ..engine.query(us.bob, "") }, &[second, first]).await;
        }
        let terms = keys.asked_of(&Query::parse("gruss"), &marks);
        engine.gives(&SearchQuery { terms, ..engine.query(us.bob, "") }, &[third, second, first]).await;
    }
    // An edit of a message that has terms of the other mode leaves none of them.
    let mut edited = us.says(&blind, second, "nothing");
    edited.version = super::version(NOW + 50);
    engine.index.put(vec![edited]).await.unwrap();
    let terms = plain.asked_of(&Query::parse("grusse"), &marks);
    engine.gives(&SearchQuery { terms, ..engine.query(us.bob, "") }, &[first]).await;
    engine.index.remove_chat(us.chat, super::version(NOW + 99)).await.unwrap();
    let terms = plain.asked_of(&Query::parse("gruss"), &marks);
    engine.gives(&SearchQuery { terms, ..engine.query(us.bob, "") }, &[]).await;
}

pub async fn a_word_of_any_length_is_indexed(engine: Engine) {
    let us = pair();
    // Longer than any engine takes for one term; in bytes, even more.
    let long = "ж".repeat(40_000);
    let id = message(NOW);
    engine.index.put(vec![us.says(&engine.keys, id, &format!("short {long}"))]).await.unwrap();
    for words in ["short", &long, &long[..60], &format!("{long} short")] {
        engine.gives(&engine.query(us.ann, words), &[id]).await;
    }
}
