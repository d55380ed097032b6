//! Whether stores of somebody else can be reached: by a connection, without a word of their protocols. It is a first hint:
//! services may reach what the operator cannot, and whether a store can be used, the Jobs of the platform tell.
//!
//! Who writes a resource chooses the addresses, so they tell no more than that something answers, and nothing of what only
//! the operator's own machine can reach.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{api::Store, endpoint::Endpoint, steps::validate::ValidChat};

/// How long an endpoint has for its answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why an endpoint was not reached. Not why a connection failed: that would tell what listens where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not written as an endpoint.
    Malformed,
    /// There is no such name, or nobody who knows it.
    Unknown,
    /// No name server told, in time or at all: it may be known a moment later.
    Late,
    /// It is an address that means another machine for each who uses it.
    Own,
    /// No connection.
    Silent,
}

impl Trouble {
    /// Whether it is of no use to try it from elsewhere.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Malformed | Self::Unknown)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Malformed => "is not host:port",
            Self::Unknown => "has a name that cannot be looked up",
            Self::Late => "has a name that no name server tells now",
            Self::Own => {
                "is an address of the machine that connects to it (loopback, link-local), which for the operator is its own: \
                 it is not tried"
            }
            Self::Silent => "does not answer",
        })
    }
}

/// An endpoint of an external store, and why it could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// As the resource has it.
    pub endpoint: String,
    /// None when it answered.
    pub trouble: Option<Trouble>,
}

/// What was found of each external store.
pub type Probes = BTreeMap<Store, Vec<Probed>>;

/// Which addresses are connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// All but those of the operator's own machine.
    #[default]
    Others,
    /// Those of its own machine, too. For tests.
    Own,
}

/// Connects to every endpoint of every external store, all at once.
pub async fn probe(chat: &ValidChat, reach: Reach) -> Probes {
    let external = Store::ALL.into_iter().filter_map(|store| Some((store, chat.external(store)?)));
    let stores = external.map(async |(store, external)| {
        let endpoints = external.endpoints.iter().map(async |endpoint| {
            let trouble = connect(endpoint, &chat.namespace, reach).await.err();
            Probed { endpoint: endpoint.clone(), trouble }
        });
        (store, join_all(endpoints).await)
    });
    join_all(stores).await.into_iter().collect()
}

/// What `host` is looked up as, first what is tried first: as pods in `namespace` would. The operator's own pod is in another
/// one, for whose Services it would take the names of Services, and of pods behind them, that are written without theirs.
fn names(host: &str, namespace: &str) -> Vec<String> {
    let is_relative = host.bytes().filter(|byte| *byte == b'.').count() <= 1 && !host.ends_with('.');
    let is_of_machine = host.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost");
    let in_namespace = (is_relative && !is_of_machine).then(|| format!("{host}.{namespace}.svc"));
    in_namespace.into_iter().chain([host.to_owned()]).collect()
}

/// Whether name servers know that there is no such name, or no address of it. All else may be otherwise a moment later. The
/// standard library keeps nothing of that but the words of the C library, which are these of glibc, BSD and musl.
fn is_unknown(error: &io::Error) -> bool {
    let words = error.to_string();
    let known = ["not known", "No address associated", "does not resolve", "has no usable address"];
    known.into_iter().any(|known| words.contains(known))
}

/// Addresses of a host, looked up once: between two answers a name could come to mean another machine.
async fn addresses(endpoint: &Endpoint, namespace: &str) -> Result<Vec<SocketAddr>, Trouble> {
    let look_up = async {
        let mut trouble = Trouble::Unknown;
        for name in names(&endpoint.host, namespace) {
            match lookup_host((name.as_str(), endpoint.port)).await.map(Vec::from_iter) {
                Ok(found) if !found.is_empty() => return Ok(found),
                Ok(_) => {}
                Err(error) if is_unknown(&error) => {}
                // As resolvers do, with the next name: a server that knows the cluster's names only is like that.
                Err(_) => trouble = Trouble::Late,
            }
        }
        Err(trouble)
    };
    timeout(PATIENCE, look_up).await.unwrap_or(Err(Trouble::Late))
}

async fn connect(text: &str, namespace: &str, reach: Reach) -> Result<(), Trouble> {
    let endpoint = Endpoint::parse(text).ok_or(Trouble::Malformed)?;
    let addresses = addresses(&endpoint, namespace).await?;
    if reach == Reach::Others && addresses.iter().any(|address| is_own(address.ip())) {
        return Err(Trouble::Own);
    }
    match timeout(PATIENCE, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Trouble::Silent),
    }
}

/// Whether an address means another machine for each who uses it, as that of the machine itself does, or no machine at all.
/// On link-local ones clouds tell machines their credentials.
pub fn is_own(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            // All of 0.0.0.0/8 is "this host on this network".
            ip.is_loopback() || ip.is_link_local() || ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast()
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn addresses_of_the_operators_own_machine_are_told_from_others() {
        for own in [
            "127.0.0.1",
            "127.8.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "febf::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(is_own(own.parse().unwrap()), "{own}");
        }
        for other in ["10.0.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fd00::1", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert!(!is_own(other.parse().unwrap()), "{other}");
        }
    }

    #[tokio::test]
    async fn nothing_is_told_of_what_listens_on_the_operators_own_machine() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (open_port, closed_port) = (open.local_addr().unwrap().port(), closed.local_addr().unwrap().port());
        drop(closed);
        for port in [open_port, closed_port] {
            for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "http://127.0.0.1"] {
                let endpoint = format!("{host}:{port}");
                assert_eq!(connect(&endpoint, "team", Reach::Others).await, Err(Trouble::Own), "{endpoint}");
            }
        }
        let accepted = timeout(Duration::from_millis(200), open.accept()).await;
        assert!(accepted.is_err(), "nobody connected");
        assert_eq!(connect(&format!("127.0.0.1:{open_port}"), "team", Reach::Own).await, Ok(()));
        assert_eq!(connect(&format!("127.0.0.1:{closed_port}"), "team", Reach::Own).await, Err(Trouble::Silent));
    }

    #[test]
    fn names_are_looked_up_as_pods_of_the_chat_do() {
        for (host, expected) in [
            ("db", vec!["db.team.svc", "db"]),
            ("kafka-0.kafka", vec!["kafka-0.kafka.team.svc", "kafka-0.kafka"]),
            ("db.stores", vec!["db.stores.team.svc", "db.stores"]),
            ("db.stores.svc", vec!["db.stores.svc"]),
            ("db.example.com", vec!["db.example.com"]),
            ("example.", vec!["example."]),
            ("fd00::1", vec!["fd00::1"]),
            ("::1", vec!["::1"]),
            ("10.0.0.1", vec!["10.0.0.1"]),
            ("localhost", vec!["localhost"]),
        ] {
            assert_eq!(names(host, "team"), expected, "{host}");
        }
    }

    #[test]
    fn a_name_server_that_cannot_tell_now_is_told_from_a_name_that_is_not_there() {
        for (words, expected) in [
            ("Name or service not known", true),
            ("No address associated with hostname", true),
            ("nodename nor servname provided, or not known", true),
            ("Name does not resolve", true),
            ("Temporary failure in name resolution", false),
            ("Non-recoverable failure in name resolution", false),
            ("Try again", false),
        ] {
            let error = io::Error::other(format!("failed to lookup address information: {words}"));
            assert_eq!(is_unknown(&error), expected, "{words}");
        }
        assert!(!is_unknown(&io::Error::from(io::ErrorKind::OutOfMemory)));
    }

    #[test]
    fn only_what_nobody_could_connect_to_is_not_worth_a_try_from_elsewhere() {
        for (trouble, is_final) in [
            (Trouble::Malformed, true),
            (Trouble::Unknown, true),
            (Trouble::Late, false),
            (Trouble::Own, false),
            (Trouble::Silent, false),
        ] {
            assert_eq!(trouble.is_final(), is_final, "{trouble}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_reached_by_anybody_is_told_from_what_the_operator_does_not_reach() {
        // Of a name that is none, no server is asked.
        for (endpoint, is_final) in
            [("nowhere..invalid:5432", true), ("db.example.com:99999", true), ("127.0.0.1:1", false)]
        {
            let trouble = connect(endpoint, "team", Reach::Others).await.unwrap_err();
            assert_eq!(trouble.is_final(), is_final, "{endpoint}: {trouble}");
        }
    }
}
