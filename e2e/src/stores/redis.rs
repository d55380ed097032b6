//! Redis from Debian, with its append-only file, so that what it acknowledged survives its end.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Store;
use super::engine::{Engine, Launch, Port};
use super::set::Set;
use crate::host::packages::{Needed, needed};
use crate::host::{command, folders};

const PATIENCE: Duration = Duration::from_secs(2);

/// Redis.
#[derive(Debug)]
pub struct Redis;

impl Engine for Redis {
    fn packages(&self) -> &'static [Needed] {
        const PACKAGES: &[Needed] = &[needed("redis-server", "redis-server")];
        PACKAGES
    }

    fn ports(&self) -> &'static [Port] {
        &[("redis", 16379)]
    }

    fn launch(&self, set: &Set) -> Result<Launch> {
        let folder = set.folder(Store::Redis)?;
        let config = config(set.port("redis")?, &folder.display().to_string(), set.password());
        let file = folder.join("redis.conf");
        folders::write_changed(&file, &config)?;
        let program = command::find("redis-server").context("redis-server is not installed")?;
        let argv = vec![program.display().to_string(), file.display().to_string()];
        Ok(Launch { argv, config, ..Launch::default() })
    }

    fn answers(&self, set: &Set) -> Result<()> {
        let connection = TcpStream::connect(set.address(Store::Redis)?)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        write!(&connection, "AUTH {}\r\nPING\r\n", set.password())?;
        let mut lines = BufReader::new(&connection).lines();
        for expected in ["+OK", "+PONG"] {
            let line = lines.next().context("it closed the connection")??;
            if line != expected {
                bail!("it says {line}");
            }
        }
        Ok(())
    }

    fn exports(&self, set: &Set) -> Result<Vec<(&'static str, String)>> {
        let url = format!("redis://:{}@{}", set.password(), set.address(Store::Redis)?);
        Ok(vec![("SENTINEL_TEST_REDIS", url)])
    }
}

fn config(port: u16, folder: &str, password: &str) -> String {
    format!(
        "bind 127.0.0.1
port {port}
dir \"{folder}\"
requirepass {password}
appendonly yes
appendfsync everysec
save \"\"
maxmemory 128mb
maxmemory-policy noeviction
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_it_acknowledged_and_asks_for_the_password() {
        let config = config(16379, "/state/dev/redis", "secret");
        for line in ["bind 127.0.0.1", "port 16379", "requirepass secret", "appendonly yes", "dir \"/state/dev/redis\""]
        {
            assert!(config.lines().any(|found| found == line), "{line}");
        }
    }
}
