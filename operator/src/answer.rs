//! Answers of the API server that are no success.
//!
//! They are told apart by their HTTP code, but for conflicts of server-side apply. The reason in the body is missing where something in
//! front of the API server answers, and for kinds that the API server does not know.

use std::error::Error;

use kube::core::Status;

/// There is no such object, or no such kind.
pub fn is_not_found(status: &Status) -> bool {
    status.code == 404
}

/// Somebody was faster.
pub fn is_conflict(status: &Status) -> bool {
    status.code == 409
}

/// Somebody else manages a field that was applied with another value.
pub fn is_managed_by_another(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    is_conflict(status) && causes.any(|cause| cause.reason == "FieldManagerConflict")
}

/// Not allowed.
pub fn is_forbidden(status: &Status) -> bool {
    status.code == 403
}

/// Not acceptable as it is.
pub fn is_invalid(status: &Status) -> bool {
    status.code == 422
}

/// An error with its causes, in one line.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    // This error repeats itself in several forms when it is printed.
    if let Some(kube::Error::Api(status)) = error.downcast_ref() {
        return format!("{} ({})", status.message, status.code);
    }
    match error.source() {
        Some(cause) => {
            let (text, cause) = (error.to_string(), describe(cause));
            if text.contains(&cause) { text } else { format!("{text}: {cause}") }
        }
        None => error.to_string(),
    }
}
