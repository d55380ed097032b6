//! What the terms of an index were written with, kept with its schema. A rebuild makes a new index with the mark of its
//! own; whoever writes there with another key or mode says so.

use sentinel_domain::search::Mark;
use serde_json::{Value, json};

use super::{Elasticsearch, ElasticsearchError, client::unexpected, index::SCHEMA};

/// Where the marks are in what an index tells of itself.
const MARKS: &str = "written_with";

/// What an index tells of itself.
pub(super) fn meta(marks: &[Mark]) -> Value {
    json!({ "schema": SCHEMA, MARKS: marks.iter().map(ToString::to_string).collect::<Vec<_>>() })
}

/// The marks in the mapping of one index; `None` in one of a version that kept none.
fn of(mapping: &Value) -> Result<Option<Vec<Mark>>, ElasticsearchError> {
    let Some(list) = mapping["mappings"]["_meta"][MARKS].as_array() else { return Ok(None) };
    let marks = list.iter().map(|mark| mark.as_str().and_then(|mark| mark.parse().ok()));
    marks.collect::<Option<Vec<Mark>>>().map(Some).ok_or_else(|| unexpected("GET /_mapping"))
}

impl Elasticsearch {
    /// The marks of all indices that are searched; `None` when one of them does not tell.
    pub(super) async fn marks_of_all(&self) -> Result<Option<Vec<Mark>>, ElasticsearchError> {
        let answer = self.client.get(&format!("/{}/_mapping", self.names.read())).await?;
        let indices = answer.as_object().ok_or_else(|| unexpected("GET /_mapping"))?;
        let mut all = Vec::new();
        for mapping in indices.values() {
            let Some(marks) = of(mapping)? else { return Ok(None) };
            all.extend(marks);
        }
        all.sort_unstable();
        all.dedup();
        Ok(Some(all))
    }

    /// The marks of the index that is written to; `None` when it does not tell.
    pub(super) async fn marks_of_written(&self) -> Result<Option<Vec<Mark>>, ElasticsearchError> {
        let answer = self.client.get(&format!("/{}/_mapping", self.names.write())).await?;
        let mapping = answer.as_object().and_then(|indices| indices.values().next());
        of(mapping.ok_or_else(|| unexpected("GET /_mapping"))?)
    }

    /// Adds marks to the index that is written to. Of two processes that add at once, one may take the other's mark away
    /// again: both say it again and again while they write.
    pub(super) async fn add_marks_to_written(&self, added: &[Mark]) -> Result<(), ElasticsearchError> {
        let mut marks = self.marks_of_written().await?.unwrap_or_default();
        let there = marks.len();
        marks.extend(added);
        marks.sort_unstable();
        marks.dedup();
        if marks.len() == there {
            return Ok(());
        }
        self.client.put(&format!("/{}/_mapping", self.names.write()), &json!({ "_meta": meta(&marks) })).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_kept() {
        let marks = vec![Mark([1; 8]), Mark::PLAIN];
        let mapping = |meta: Value| json!({ "mappings": { "_meta": meta } });
        assert_eq!(of(&mapping(meta(&marks))).unwrap(), Some(marks));
        assert_eq!(of(&mapping(meta(&[]))).unwrap(), Some(vec![]));
        assert_eq!(of(&mapping(json!({ "schema": 1 }))).unwrap(), None);
        of(&mapping(json!({ MARKS: ["nonsense"] }))).unwrap_err();
    }
}
