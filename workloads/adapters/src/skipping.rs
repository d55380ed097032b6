//! Rebuilds of a search index go on after a message that can't be read or that the engine refuses.

use sentinel_domain::{
    ids::MessageId,
    ports::{RebuildProgress, StoreError},
};

/// Notes that a message is skipped, if the error is about what it says; any other is given back and ends the rebuild. The log
/// tells of the first why: errors name keys and tables, never what was written.
pub(crate) fn skip(progress: &RebuildProgress, message: MessageId, error: StoreError) -> Result<(), StoreError> {
    if !error.is_about_content() {
        return Err(error);
    }
    if progress.skip(message) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(%message, error, "a message can't be read and is left out of the search index");
    }
    Ok(())
}

/// Notes that the engine refuses a message for what its entry is. The log tells of the first why.
pub(crate) fn refuse(progress: &RebuildProgress, message: MessageId, error: &(dyn std::error::Error + 'static)) {
    if progress.refuse(message) {
        tracing::warn!(%message, error, "the search engine refuses a message, which is left out of the search index");
    }
}
