//! The search index on the real engines. `SENTINEL_TEST_ELASTICSEARCH` and `SENTINEL_TEST_OPENSEARCH` say where they
//! are (`http://host:port`).

// A test file is test code all through, its helper functions too.
#![allow(missing_docs, clippy::unwrap_used)]

mod search_contract;

search_tests!(elasticsearch: "SENTINEL_TEST_ELASTICSEARCH");
search_tests!(opensearch: "SENTINEL_TEST_OPENSEARCH");
