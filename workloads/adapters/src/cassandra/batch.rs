//! Writes that become visible together: one logged batch, which Cassandra finishes once it has taken it.

use scylla::{
    client::session::Session,
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};
use sentinel_domain::ports::StoreError;
use uuid::Uuid;

use super::{error, partitions::Partition};

/// Statements to be written together. Each names its write time, so a batch whose fate is unknown may be written again.
pub(super) struct Writes {
    batch: Batch,
    values: Vec<Box<dyn SerializeRow + Send + Sync>>,
    /// Partitions of whose lists this adds an entry.
    pub(super) opened: Vec<Partition>,
}

impl Writes {
    pub(super) fn new() -> Self {
        let mut batch = Batch::new(BatchType::Logged);
        batch.set_is_idempotent(true);
        Self { batch, values: Vec::new(), opened: Vec::new() }
    }

    pub(super) fn add(&mut self, statement: &PreparedStatement, values: impl SerializeRow + Send + Sync + 'static) {
        self.batch.append_statement(statement.clone());
        self.values.push(Box::new(values));
    }

    /// Writes all of it; an error leaves open whether it was, unless it is too large.
    pub(super) async fn send(&self, session: &Session) -> Result<(), StoreError> {
        if self.values.is_empty() {
            return Ok(());
        }
        let started = std::time::Instant::now();
        let result = session.batch(&self.batch, &self.values).await;
        let outcome = if result.is_ok() { "ok" } else { "error" };
        metrics::histogram!("sentinel_cassandra_batch_seconds", "outcome" => outcome).record(started.elapsed());
        result.map(|_| ()).map_err(error::of_batch)
    }
}

/// A value that is left alone when there is none, instead of a tombstone.
pub(super) fn optional(id: Option<Uuid>) -> scylla::value::MaybeUnset<Uuid> {
    scylla::value::MaybeUnset::from_option(id)
}
