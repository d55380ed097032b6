//! What to write to the index and what to ask it for, by what it says that its terms were written with.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sentinel_domain::{
    config::SearchMode,
    ports::{SearchIndex, StoreError},
    search::{Mark, Query, SearchKeys, Term},
};

/// How long what the index said is taken for true. A rebuild waits longer before it begins.
const TRUE_FOR: Duration = Duration::from_secs(2);

/// How far an index is what the configuration wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// All terms are written with the newest key, in the mode of the configuration.
    Current,
    /// Some terms are of an older key or of the other mode. They are found all the same; a rebuild makes them anew.
    Outdated,
    /// A rebuild has begun and is not through. All is found meanwhile.
    HalfMade,
    /// Some terms are of a key that is not in the keys folder: what has them can't be found.
    Unreadable,
}

impl Freshness {
    /// What somebody should do about it, for people; `None` when there is nothing to do.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Current => None,
            Self::Outdated => Some(
                "the search index has terms of an older key or of another search mode, which are still found; make it \
                 anew (POST /admin/reindex or `sentinel reindex`) before you take the old key away",
            ),
            Self::HalfMade => Some(
                "a rebuild of the search index has begun and is not through; when none is running, start another (POST \
                 /admin/reindex or `sentinel reindex`), which goes on with it",
            ),
            Self::Unreadable => Some(
                "the search index has terms of a key that is not in the keys folder, so searches are refused; put the \
                 key back, or make the index anew (POST /admin/reindex or `sentinel reindex`)",
            ),
        }
    }
}

/// The terms of an index.
pub(crate) struct IndexTerms {
    index: Arc<dyn SearchIndex>,
    keys: Arc<SearchKeys>,
    // Neither is locked while the index is asked: of an index that does not answer each would wait for all before it.
    seen: Mutex<Option<(Instant, Vec<Mark>)>>,
    announced: Mutex<Option<Instant>>,
}

impl IndexTerms {
    pub(crate) fn new(index: Arc<dyn SearchIndex>, keys: Arc<SearchKeys>) -> Self {
        Self { index, keys, seen: Mutex::new(None), announced: Mutex::new(None) }
    }

    /// The mode of what is written.
    pub(crate) fn mode(&self) -> SearchMode {
        self.keys.mode()
    }

    /// The mark of what is written.
    pub(crate) fn mark(&self) -> Mark {
        self.keys.mark()
    }

    /// The terms of a text.
    pub(crate) fn of_text(&self, text: &str) -> Vec<Term> {
        self.keys.terms(text)
    }

    /// Says to the index with what it is about to be written; to be called before each write. That is said again and
    /// again, because a rebuild by another process may have begun.
    pub(crate) async fn announce(&self) -> Result<(), StoreError> {
        if lock(&self.announced).is_some_and(|at| at.elapsed() < TRUE_FOR) {
            return Ok(());
        }
        let begun = Instant::now();
        let mut marks = match self.index.marks().await? {
            Some(_) => Vec::new(),
            // Of a version that did not keep marks.
            None => self.keys.possible_marks(),
        };
        marks.push(self.keys.mark());
        self.index.add_marks(marks).await?;
        *lock(&self.announced) = Some(begun);
        Ok(())
    }

    /// What to ask the index for, and whether all that it has can be asked for.
    pub(crate) async fn asked(&self, query: &Query) -> Result<(Vec<Vec<Term>>, Freshness), StoreError> {
        let marks = self.marks().await?;
        Ok((self.keys.asked_of(query, &marks), self.judge(&marks)))
    }

    /// How far the index is what the configuration wants, as of now.
    pub(crate) async fn freshness(&self) -> Result<Freshness, StoreError> {
        let freshness = self.judge(&self.look().await?);
        if freshness == Freshness::Current && self.index.is_half_made().await? {
            return Ok(Freshness::HalfMade);
        }
        Ok(freshness)
    }

    fn judge(&self, marks: &[Mark]) -> Freshness {
        if !marks.iter().all(|mark| self.keys.knows(*mark)) {
            Freshness::Unreadable
        } else if marks.iter().any(|mark| *mark != self.keys.mark()) {
            Freshness::Outdated
        } else {
            Freshness::Current
        }
    }

    async fn marks(&self) -> Result<Vec<Mark>, StoreError> {
        let seen = lock(&self.seen).clone();
        if let Some((at, marks)) = seen
            && at.elapsed() < TRUE_FOR
        {
            return Ok(marks);
        }
        let begun = Instant::now();
        let marks = self.look().await?;
        *lock(&self.seen) = Some((begun, marks.clone()));
        Ok(marks)
    }

    async fn look(&self) -> Result<Vec<Mark>, StoreError> {
        Ok(self.index.marks().await?.unwrap_or_else(|| self.keys.possible_marks()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
