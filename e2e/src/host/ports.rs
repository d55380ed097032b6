//! Free ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// How many ports after the preferred one are tried before any free one is taken.
const NEIGHBOURS: u16 = 100;

/// The first free port from `preferred` on; failing that, any.
pub fn free_from(preferred: u16) -> Result<u16> {
    let wanted = preferred..=preferred.saturating_add(NEIGHBOURS);
    match wanted.into_iter().find(|port| is_free(*port)) {
        Some(port) => Ok(port),
        None => any_free(),
    }
}

/// Any free port.
pub fn any_free() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("no free port on 127.0.0.1")?.port())
}

/// Whether nobody listens on the port of 127.0.0.1.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ports_are_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(!is_free(port));
        assert_ne!(free_from(port).unwrap(), port);
    }

    #[test]
    fn a_free_preference_is_kept() {
        let port = any_free().unwrap();
        assert_eq!(free_from(port).unwrap(), port);
    }
}
