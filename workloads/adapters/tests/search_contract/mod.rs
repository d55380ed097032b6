//! What a search index must do, the same on every engine.

pub mod figures;
pub mod finding;
pub mod marks;
pub mod operations;
pub mod rebuilding;
pub mod versions;

use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use sentinel_adapters::elasticsearch::Elasticsearch;
use sentinel_domain::{
    clock::Instant as Tick,
    config::{Connection, ElasticsearchConfig, SearchMode},
    ids::{ChatId, EventId, MessageId, UserId},
    keyring::Keyring,
    message::MessageKind,
    ports::{Removal, SearchDocument, SearchIndex, SearchQuery, Version},
    search::{Query, SearchKeys},
};
use serde_json::Value;
use uuid::Uuid;

/// A moment that all tests begin at.
pub const NOW: u64 = 1_750_000_000_000;
/// What an engine of its own may take on a busy machine: what is promised, two seconds, holds for 99 of 100 messages.
const PATIENCE: Duration = Duration::from_secs(30);

/// An index of its own, whatever it is in.
#[derive(Clone)]
pub struct Engine {
    pub index: Arc<dyn SearchIndex>,
    pub keys: Arc<SearchKeys>,
    /// What is indexed is found within this time.
    pub found_within: Duration,
    /// Makes all that was written so far visible.
    pub refresh: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

/// An index of its own in Elasticsearch or OpenSearch, with what only these have.
#[derive(Clone)]
pub struct Elastic {
    engine: Engine,
    pub index: Elasticsearch,
    pub config: ElasticsearchConfig,
}

impl Deref for Elastic {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl From<Elastic> for Engine {
    fn from(elastic: Elastic) -> Self {
        elastic.engine
    }
}

/// Two accounts and their chat.
#[derive(Clone, Copy)]
pub struct Pair {
    pub ann: UserId,
    pub bob: UserId,
    pub chat: ChatId,
}

/// Key-encryption keys by the numbers in their names, newest last.
pub fn ring(numbers: &[u8]) -> Keyring {
    Keyring::new(numbers.iter().map(|number| (format!("kek-{number:04}"), [6 + number; 32])).collect()).unwrap()
}

pub fn config(variable: &str) -> ElasticsearchConfig {
    let Ok(endpoint) = std::env::var(variable) else { panic!("{variable} must say where the engine is") };
    ElasticsearchConfig {
        connection: Connection { endpoints: vec![endpoint], credentials: None, tls: None },
        prefix: format!("test-{}", Uuid::new_v4().simple()),
        shards: 1,
        replicas: 0,
    }
}

/// Runs a test on an index of its own, which is deleted however the test ends.
pub async fn on_engine<F: Future<Output = ()> + Send + 'static>(
    variable: &str,
    mode: SearchMode,
    test: impl FnOnce(Elastic) -> F,
) {
    let config = config(variable);
    Elasticsearch::migrate(&config).await.unwrap();
    let index = Elasticsearch::connect(&config).await.unwrap();
    let url = format!("{}/{}-messages-read/_refresh", config.connection.endpoints[0], config.prefix);
    let refresh = move || -> BoxFuture<'static, ()> {
        let request = reqwest::Client::new().post(url.clone());
        Box::pin(async move { drop(request.send().await.unwrap().error_for_status().unwrap()) })
    };
    let engine = Engine {
        index: Arc::new(index.clone()),
        keys: Arc::new(SearchKeys::of(mode, &ring(&[1]))),
        found_within: PATIENCE,
        refresh: Arc::new(refresh),
    };
    let outcome = tokio::spawn(test(Elastic { engine, index, config: config.clone() })).await;
    Elasticsearch::drop_all(&config).await.unwrap();
    outcome.unwrap();
}

pub fn pair() -> Pair {
    let (ann, bob) = (UserId(Uuid::new_v4()), UserId(Uuid::new_v4()));
    Pair { ann, bob, chat: ChatId::of_pair(ann, bob) }
}

/// The message of this moment. The node part is random, so that no two tests share one.
pub fn message(millis: u64) -> MessageId {
    MessageId(Tick { millis, counter: 0 }.id(Uuid::new_v4().as_u64_pair().1))
}

pub fn version(millis: u64) -> Version {
    Version::of(EventId(Tick { millis, counter: 0 }.id(0)))
}

impl Pair {
    pub fn says(&self, keys: &SearchKeys, id: MessageId, text: &str) -> SearchDocument {
        SearchDocument {
            message_id: id,
            chat_id: self.chat,
            members: [self.ann.min(self.bob), self.ann.max(self.bob)],
            sender_id: self.ann,
            kind: MessageKind::Text,
            terms: keys.terms(text),
            version: Version::of(id.into()),
        }
    }

    pub fn removal(&self, id: MessageId, version: Version) -> Removal {
        Removal { message_id: id, chat_id: self.chat, version }
    }
}

impl Engine {
    pub fn query(&self, caller: UserId, words: &str) -> SearchQuery {
        SearchQuery {
            caller,
            chat: None,
            sender: None,
            kind: None,
            from: None,
            to: None,
            terms: self.keys.asked(&Query::parse(words)),
            before: None,
            limit: 100,
        }
    }

    pub async fn ids(&self, query: &SearchQuery) -> Vec<MessageId> {
        self.index.query(query).await.unwrap().hits.into_iter().map(|hit| hit.message_id).collect()
    }

    /// Waits until the query gives just these.
    pub async fn gives(&self, query: &SearchQuery, expected: &[MessageId]) {
        let deadline = Instant::now() + self.found_within;
        loop {
            let ids = self.ids(query).await;
            if ids == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{ids:?} instead of {expected:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes all that was written so far visible.
    pub async fn refresh(&self) {
        (self.refresh)().await;
    }
}

impl Elastic {
    /// What the engine itself answers.
    pub async fn raw(&self, method: &str, path: &str, body: &str) -> Value {
        let url = format!("{}{path}", self.config.connection.endpoints[0]);
        let request = reqwest::Client::new()
            .request(method.parse().unwrap(), url)
            .header("content-type", "application/json")
            .body(body.to_owned());
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// Defines the suite's tests for an engine that a variable names; `@port` those that hold for every index, with a function
/// that runs a test on an index of its own.
#[macro_export]
macro_rules! search_tests {
    ($engine:ident: $variable:literal) => {
        mod $engine {
            async fn on<F: Future<Output = ()> + Send + 'static>(
                test: impl FnOnce($crate::search_contract::Elastic) -> F,
            ) {
                on_in(sentinel_domain::config::SearchMode::Blind, test).await;
            }

            async fn on_in<F: Future<Output = ()> + Send + 'static>(
                mode: sentinel_domain::config::SearchMode,
                test: impl FnOnce($crate::search_contract::Elastic) -> F,
            ) {
                $crate::search_contract::on_engine($variable, mode, test).await;
            }

            $crate::search_tests! { @port on }
            $crate::search_tests! { @tests on;
                operations: the_index_has_no_text, migrating_again_and_at_once_changes_nothing,
                    an_index_that_is_missing_is_not_guessed, a_newer_schema_is_refused,
                    an_endpoint_that_is_away_is_passed_over;
                rebuilding: an_index_is_rebuilt_while_it_is_used, an_interrupted_rebuild_goes_on,
                    a_rebuild_goes_on_after_messages_that_can_not_be_read,
                    a_rebuild_goes_on_after_messages_that_the_engine_refuses,
                    an_index_of_an_earlier_version_has_no_marks, the_mode_changes_by_a_rebuild,
                    a_rebuild_in_another_mode_begins_anew_instead_of_going_on,
                    what_is_written_as_a_rebuild_begins_is_made_anew_too, what_the_index_lacks_comes_back_with_a_rebuild,
                    a_chat_that_is_deleted_while_it_is_put_back_leaves_nothing,
                    an_index_that_was_left_is_deleted_by_the_next_rebuild;
            }

            /// The same, with words in place of hashes.
            mod plaintext {
                async fn on<F: Future<Output = ()> + Send + 'static>(
                    test: impl FnOnce($crate::search_contract::Elastic) -> F,
                ) {
                    super::on_in(sentinel_domain::config::SearchMode::Plaintext, test).await;
                }

                $crate::search_tests! { @port on }
            }
        }
    };
    (@port $on:path) => {
        $crate::search_tests! { @tests $on;
            finding: messages_are_found_newest_first_by_their_members_only, conditions_narrow_and_never_widen,
                messages_of_one_millisecond_page_without_gap_or_repeat, a_large_batch_is_indexed_whole;
            marks: marks_are_kept_with_the_index, terms_of_both_modes_are_found_side_by_side,
                a_word_of_any_length_is_indexed;
            versions: what_comes_late_changes_nothing, what_is_removed_stays_removed,
                a_chat_is_removed_with_all_its_messages, what_is_too_old_is_forgotten;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "prints figures"]
        async fn figures() {
            $on(|engine| $crate::search_contract::figures::figures(engine.into())).await;
        }
    };
    (@tests $on:path; $($module:ident: $($name:ident),+;)+) => {
        $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $on(|engine| $crate::search_contract::$module::$name(engine.into())).await;
        })+)+
    };
}
