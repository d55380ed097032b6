//! How many files the process may open. Each client has a socket, and many container runtimes begin with a soft limit of
//! 1,024, for old programs that use `select`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, which whoever runs the process has set.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files can't be raised; it limits the clients");
    }
}

/// How many of them may be connections of clients. The rest is for stores, files that are read or written for clients, and
/// what the process calls itself.
pub(crate) fn for_clients() -> usize {
    clients_of(getrlimit(Resource::Nofile).current)
}

fn clients_of(limit: Option<u64>) -> usize {
    limit.map_or(usize::MAX, |limit| usize::try_from(limit - limit / 4).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_a_quarter_for_the_stores() {
        assert_eq!(clients_of(Some(1024)), 768);
        assert_eq!(clients_of(Some(1)), 1);
        assert_eq!(clients_of(None), usize::MAX);
    }

    #[test]
    fn as_many_clients_fit_as_the_hard_limit_allows() {
        let before = getrlimit(Resource::Nofile);
        let low = Rlimit { current: Some(512), maximum: before.maximum };
        setrlimit(Resource::Nofile, low).unwrap();
        raise();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
