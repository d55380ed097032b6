//! Which replica of the message service a process is, and how session ids name one.
//!
//! Engine.IO keeps a session in the process that opened it. No load balancer can be relied on to send its requests
//! there: native clients drop cookies, and whole offices share an address. So the id that a client is given begins
//! with the number of the replica, `<ordinal>.<id>`: gateways read it, and so does whichever replica gets the request.

use axum::http::uri::{Authority, InvalidUri};
use sentinel_domain::config::PlatformConfig;
use socketioxide::socket::Sid;

const PLACEHOLDER: &str = "{ordinal}";
/// What an Engine.IO handshake begins with; the session id follows.
const HANDSHAKE: &[u8] = br#"0{"sid":""#;

/// Why a process can't tell which replica it is.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The name of the pod is not known.
    #[error("the pod's name is not known: set the environment variable POD_NAME")]
    NoName,
    /// The name of the pod does not end in a number.
    #[error("the pod's name {0:?} does not end in a number: the message service has to be a StatefulSet")]
    Name(String),
    /// The template has no place for the number.
    #[error("messagePeers {0:?} has no {{ordinal}}")]
    NoPlaceholder(String),
    /// What the template gives is no `host:port`.
    #[error("messagePeers {template:?} gives no host:port")]
    Address {
        /// What was configured.
        template: String,
        /// What is wrong with it.
        source: Option<InvalidUri>,
    },
}

/// One of several replicas of the message service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    ordinal: u16,
    peers: String,
}

/// Whose session a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This process.
    Here(Sid),
    /// The replica with this number.
    Peer(u16),
}

impl Replica {
    /// The replica with this number. `peers` is how they reach each other: `host:port` with `{ordinal}` in it.
    pub fn new(ordinal: u16, peers: &str) -> Result<Self, ReplicaError> {
        if !peers.contains(PLACEHOLDER) {
            return Err(ReplicaError::NoPlaceholder(peers.to_owned()));
        }
        let replica = Self { ordinal, peers: peers.to_owned() };
        let bad = |source| ReplicaError::Address { template: peers.to_owned(), source };
        match replica.address_of(ordinal) {
            Ok(address) if address.port_u16().is_some() => Ok(replica),
            Ok(_) => Err(bad(None)),
            Err(error) => Err(bad(Some(error))),
        }
    }

    /// What a configuration and the name of the pod (the environment variable `POD_NAME`) say; `None` when there is
    /// only one process.
    pub fn of(config: &PlatformConfig, pod_name: Option<&str>) -> Result<Option<Self>, ReplicaError> {
        let Some(peers) = &config.message_peers else { return Ok(None) };
        let name = pod_name.ok_or(ReplicaError::NoName)?;
        let ordinal = name.rsplit_once('-').and_then(|(_, ordinal)| parse_ordinal(ordinal));
        Self::new(ordinal.ok_or_else(|| ReplicaError::Name(name.to_owned()))?, peers).map(Some)
    }

    /// Where a replica is reached.
    pub(super) fn address_of(&self, ordinal: u16) -> Result<Authority, InvalidUri> {
        self.peers.replace(PLACEHOLDER, &ordinal.to_string()).parse()
    }

    /// Whose session an id names; `None` when it can be nobody's.
    pub(super) fn owner(&self, sid: &str) -> Option<Owner> {
        let (ordinal, sid) = sid.split_once('.')?;
        let (ordinal, sid) = (parse_ordinal(ordinal)?, sid.parse().ok()?);
        Some(if ordinal == self.ordinal { Owner::Here(sid) } else { Owner::Peer(ordinal) })
    }

    /// A handshake with the number of this replica put before its session id; `None` for anything else.
    pub(super) fn named(&self, handshake: &[u8]) -> Option<Vec<u8>> {
        let rest = handshake.strip_prefix(HANDSHAKE)?;
        Some([HANDSHAKE, self.ordinal.to_string().as_bytes(), b".", rest].concat())
    }
}

/// Reads a number exactly as it is written into names and ids: no sign, no zeros in front.
fn parse_ordinal(text: &str) -> Option<u16> {
    let ordinal = text.parse::<u16>().ok()?;
    (ordinal.to_string() == text).then_some(ordinal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEERS: &str = "chat-message-{ordinal}.chat-message-pods.team.svc:8080";

    fn config(peers: Option<&str>) -> PlatformConfig {
        let config = r#"{"listen":"0.0.0.0:1","adminListen":"0.0.0.0:2","keysDir":"/k"}"#;
        PlatformConfig { message_peers: peers.map(str::to_owned), ..serde_json::from_str(config).unwrap() }
    }

    #[test]
    fn the_pods_name_tells_the_number() {
        let of = |name| Replica::of(&config(Some(PEERS)), name);
        assert_eq!(of(Some("chat-message-12")).unwrap(), Some(Replica::new(12, PEERS).unwrap()));
        assert_eq!(Replica::of(&config(None), Some("chat-message-12")).unwrap(), None);
        assert!(matches!(of(None), Err(ReplicaError::NoName)));
        for bad in ["chat", "chat-message-", "chat-message-7d9f8b-x2x", "chat-message-01", "chat-message-70000"] {
            assert!(matches!(of(Some(bad)), Err(ReplicaError::Name(_))), "{bad}");
        }
    }

    #[test]
    fn a_template_gives_the_address_of_each_replica() {
        let replica = Replica::new(0, PEERS).unwrap();
        assert_eq!(replica.address_of(3).unwrap().as_str(), "chat-message-3.chat-message-pods.team.svc:8080");
        assert!(matches!(Replica::new(0, "chat-message:8080"), Err(ReplicaError::NoPlaceholder(_))));
        for bad in ["chat-{ordinal}", "chat {ordinal}:80", "http://chat-{ordinal}:80/x", "chat-{ordinal}:port"] {
            assert!(matches!(Replica::new(0, bad), Err(ReplicaError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn an_id_names_its_owner() {
        let replica = Replica::new(2, PEERS).unwrap();
        let sid = Sid::new();
        assert_eq!(replica.owner(&format!("2.{sid}")), Some(Owner::Here(sid)));
        assert_eq!(replica.owner(&format!("0.{sid}")), Some(Owner::Peer(0)));
        for bad in
            ["{}", ".{}", "1.", "-1.{}", "+2.{}", "02.{}", "2.{}x", "2.2.{}", "2./{}", "99999999999.{}", "%32.{}"]
        {
            let bad = bad.replace("{}", sid.as_str());
            assert_eq!(replica.owner(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_handshake_gets_the_number() {
        let replica = Replica::new(7, PEERS).unwrap();
        let named = replica.named(br#"0{"sid":"abc","upgrades":["websocket"]}"#).unwrap();
        assert_eq!(named, br#"0{"sid":"7.abc","upgrades":["websocket"]}"#);
        assert_eq!(replica.named(br#"{"code":1}"#), None);
    }
}
