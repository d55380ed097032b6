//! The search index on the real engines. `SENTINEL_TEST_ELASTICSEARCH` and `SENTINEL_TEST_OPENSEARCH` say where they
//! are (`http://host:port`).

mod search_contract;

search_tests!(elasticsearch: "SENTINEL_TEST_ELASTICSEARCH");
search_tests!(opensearch: "SENTINEL_TEST_OPENSEARCH");
