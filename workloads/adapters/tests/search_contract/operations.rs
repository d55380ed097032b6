//! What operators rely on.

use sentinel_adapters::elasticsearch::{Elasticsearch, ElasticsearchError};
use sentinel_domain::ports::SearchIndex;

use super::{Elastic, NOW, message, pair};

pub async fn the_index_has_no_text(engine: Elastic) {
    let us = pair();
    let id = message(NOW);
    engine.index.put(vec![us.says(&engine.keys, id, "attack at dawn 暁")]).await.unwrap();
    engine.gives(&engine.query(us.ann, "dawn"), &[id]).await;
    let all = engine.raw("GET", &format!("/{}-messages-read/_search", engine.config.prefix), "").await;
    let (stored, text) = (&all["hits"]["hits"][0]["_source"], all.to_string());
    assert_eq!(stored["chat_id"], us.chat.to_string(), "{text}");
    assert!(stored.get("terms").is_none(), "{text}");
    for word in ["attack", "dawn", "暁"] {
        assert!(!text.contains(word), "{text}");
    }
}

pub async fn migrating_again_and_at_once_changes_nothing(engine: Elastic) {
    let us = pair();
    let id = message(NOW);
    engine.index.put(vec![us.says(&engine.keys, id, "still here")]).await.unwrap();
    Elasticsearch::migrate(&engine.config).await.unwrap();
    engine.index.check().await.unwrap();
    engine.gives(&engine.query(us.ann, "still"), &[id]).await;

    let mut fresh = engine.config.clone();
    fresh.prefix.push_str("-b");
    let migrations: Vec<_> = (0..4)
        .map(|_| {
            let fresh = fresh.clone();
            tokio::spawn(async move { Elasticsearch::migrate(&fresh).await })
        })
        .collect();
    for migration in migrations {
        migration.await.unwrap().unwrap();
    }
    Elasticsearch::connect(&fresh).await.unwrap().check().await.unwrap();
    Elasticsearch::drop_all(&fresh).await.unwrap();
}

pub async fn an_index_that_is_missing_is_not_guessed(engine: Elastic) {
    let mut never = engine.config.clone();
    never.prefix.push_str("-never");
    let error = Elasticsearch::connect(&never).await.unwrap_err();
    assert!(matches!(&error, ElasticsearchError::NotMigrated(alias) if alias.contains("-never")), "{error}");
    assert!(error.to_string().contains("sentinel migrate"), "{error}");

    let us = pair();
    Elasticsearch::drop_all(&engine.config).await.unwrap();
    engine.index.put(vec![us.says(&engine.keys, message(NOW), "lost")]).await.unwrap_err();
    let left = engine.raw("GET", &format!("/{}*/_alias", engine.config.prefix), "").await;
    assert_eq!(left, serde_json::json!({}));
    engine.index.check().await.unwrap_err();
    engine.index.query(&engine.query(us.ann, "lost")).await.unwrap_err();
}

pub async fn a_newer_schema_is_refused(engine: Elastic) {
    let mapping = r#"{"_meta": {"schema": 99}}"#;
    engine.raw("PUT", &format!("/{}-messages-write/_mapping", engine.config.prefix), mapping).await;
    for error in [
        Elasticsearch::connect(&engine.config).await.unwrap_err(),
        Elasticsearch::migrate(&engine.config).await.unwrap_err(),
    ] {
        assert!(matches!(error, ElasticsearchError::UnknownSchema { found: 99, known: 1 }), "{error}");
    }
}

pub async fn an_endpoint_that_is_away_is_passed_over(engine: Elastic) {
    let mut several = engine.config.clone();
    several.connection.endpoints.insert(0, "http://127.0.0.1:1".into());
    let index = Elasticsearch::connect(&several).await.unwrap();
    let us = pair();
    let id = message(NOW);
    index.put(vec![us.says(&engine.keys, id, "arrived")]).await.unwrap();
    index.check().await.unwrap();
    engine.gives(&engine.query(us.ann, "arrived"), &[id]).await;
}
