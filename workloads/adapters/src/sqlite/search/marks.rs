//! What the terms were written with, so that a key or a mode is not given up before all was written anew.
//!
//! A rebuild puts aside the marks that are there, and drops them at its end. Whoever writes meanwhile says so again, so
//! what a rebuild may have missed keeps its mark.

use rusqlite::{Connection, params};
use sentinel_domain::{ports::StoreError, search::Mark};

use super::{
    super::{failure::Failure, rows::execute},
    SearchDatabase,
    statements::{ABOUT, SET_MARKS},
};

/// The marks of an index.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    written: Vec<Mark>,
    /// Of what the rebuild that is under way, or was broken off, replaces.
    replaced: Vec<Mark>,
}

impl Marks {
    /// All of them, each once.
    pub(super) fn all(mut self) -> Vec<Mark> {
        self.written.append(&mut self.replaced);
        self.written.sort_unstable();
        self.written.dedup();
        self.written
    }
}

pub(super) fn read(db: &Connection) -> Result<Marks, Failure> {
    let marks = |bytes: Option<Vec<u8>>| bytes.unwrap_or_default().as_chunks().0.iter().copied().map(Mark).collect();
    let read = db.query_row(ABOUT, [], |row| Ok(Marks { written: marks(row.get(1)?), replaced: marks(row.get(2)?) }));
    Ok(read?)
}

fn write(db: &Connection, marks: &Marks) -> Result<(), Failure> {
    let bytes = |marks: &[Mark]| marks.iter().flat_map(|mark| mark.0).collect::<Vec<u8>>();
    execute(db, SET_MARKS, params![bytes(&marks.written), bytes(&marks.replaced)])?;
    Ok(())
}

impl SearchDatabase {
    pub(super) async fn add_marks_now(&self, added: Vec<Mark>) -> Result<(), StoreError> {
        let wanted = added.clone();
        let there = self.readers.run(move |db| {
            let written = read(db)?.written;
            Ok(wanted.iter().all(|mark| written.contains(mark)))
        });
        let there = there.await?;
        if there {
            return Ok(());
        }
        self.write(move |db| {
            let mut marks = read(db)?;
            marks.written.extend(added);
            marks.written.sort_unstable();
            marks.written.dedup();
            write(db, &marks)
        })
        .await
    }

    /// From now on, what was written before is about to be replaced by what has this mark.
    pub(super) async fn begin_replacing(&self, mark: Mark) -> Result<(), StoreError> {
        self.write(move |db| write(db, &Marks { written: vec![mark], replaced: read(db)?.all() })).await
    }

    /// All of that is replaced, and nothing is left of it.
    pub(super) async fn end_replacing(&self) -> Result<(), StoreError> {
        self.write(|db| write(db, &Marks { replaced: Vec::new(), ..read(db)? })).await?;
        self.make_anew().await;
        Ok(())
    }
}
