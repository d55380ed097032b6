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

/// There would be more of something than a ResourceQuota lets there be.
pub fn is_over_quota(status: &Status) -> bool {
    is_forbidden(status) && status.message.contains("exceeded quota")
}

/// Not acceptable as it is.
pub fn is_invalid(status: &Status) -> bool {
    status.code == 422
}

/// The namespace is being deleted, so that nothing new can be made in it.
pub fn is_of_ending_namespace(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    is_forbidden(status)
        && (causes.any(|cause| cause.reason == "NamespaceTerminating")
            || status.message.contains("it is being terminated"))
}

/// What of the cluster's own rules denied it: a webhook or a policy, with its name. Which code that has is their choice.
pub fn denied_by(status: &Status) -> Option<String> {
    let message = &status.message;
    let quoted = |before: &str, quote: char| {
        let (_, rest) = message.split_once(&format!("{before} {quote}"))?;
        let (name, rest) = rest.split_once(quote)?;
        rest.contains("denied").then(|| format!("{before} {name}"))
    };
    quoted("admission webhook", '"').or_else(|| quoted("ValidatingAdmissionPolicy", '\''))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Status {
        Status { code, message: message.into(), ..Status::default() }
    }

    #[test]
    fn who_denied_something_is_named() {
        let webhook = "admission webhook \"validate.nginx.ingress.kubernetes.io\" denied the request: bad annotation";
        let policy = "deployments.apps \"chat-gateway\" is forbidden: ValidatingAdmissionPolicy 'limits.example.com' with \
                      binding 'all' denied request: no limits";
        for (message, expected) in [
            (webhook, Some("admission webhook validate.nginx.ingress.kubernetes.io")),
            (policy, Some("ValidatingAdmissionPolicy limits.example.com")),
            ("deployments.apps \"chat-gateway\" is forbidden: exceeded quota: small", None),
            ("failed calling webhook \"x\": no endpoints available", None),
        ] {
            assert_eq!(denied_by(&status(422, message)).as_deref(), expected, "{message}");
        }
    }

    #[test]
    fn a_namespace_that_ends_is_told_apart_from_missing_rights() {
        let ends = "configmaps \"a\" is forbidden: unable to create new content in namespace team because it is being terminated";
        assert!(is_of_ending_namespace(&status(403, ends)));
        assert!(!is_of_ending_namespace(&status(403, "configmaps is forbidden: User x cannot create")));
    }
}
