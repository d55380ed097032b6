//! The tables, and how a database of an earlier version gets them.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema/0001_initial.sql")),
    M::up(include_str!("schema/0002_last_active.sql")),
    M::up(include_str!("schema/0003_consumers.sql")),
    M::up(include_str!("schema/0004_administration.sql")),
    M::up(include_str!("schema/0005_mail.sql")),
    M::up(include_str!("schema/0006_push.sql")),
    M::up(include_str!("schema/0007_media.sql")),
    M::up(include_str!("schema/0008_notices.sql")),
    M::up(include_str!("schema/0009_media_of_owner.sql")),
    M::up(include_str!("schema/0010_dead_letters.sql")),
    M::up(include_str!("schema/0011_media_by_chat.sql")),
    M::up(include_str!("schema/0012_media_retention.sql")),
    M::up(include_str!("schema/0013_reindex.sql")),
    M::up(include_str!("schema/0014_reindex_skipped.sql")),
    M::up(include_str!("schema/0015_retention.sql")),
    M::up(include_str!("schema/0016_rotations_and_mail.sql")),
    M::up(include_str!("schema/0017_reports_outlive_accounts.sql")),
];

/// Brings the database to this version's schema; does nothing when it has it.
pub(super) fn migrate(db: &mut Connection) -> Result<(), rusqlite_migration::Error> {
    Migrations::from_slice(STEPS).to_latest(db)
}
