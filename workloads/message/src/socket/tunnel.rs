//! Two connections joined: what comes on one goes out on the other.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, copy, split},
    time::timeout,
};

use super::connections::OpenLine;

/// How long the second direction may go on when the first has ended. A WebSocket that is closed is closed both ways,
/// and the other end may be gone without a word.
const FAREWELL: Duration = Duration::from_secs(2);

/// Carries bytes both ways until one end is closed, or the line is cut.
pub(super) async fn join<A, B>(client: A, peer: B, open: OpenLine)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (client_in, client_out) = split(client);
    let (peer_in, peer_out) = split(peer);
    let both = async {
        let (up, down) = (carry(client_in, peer_out), carry(peer_in, client_out));
        tokio::pin!(up, down);
        let (ended, rest) = tokio::select! {
            ended = &mut up => (ended, timeout(FAREWELL, down).await),
            ended = &mut down => (ended, timeout(FAREWELL, up).await),
        };
        if let Err(error) = ended.and(rest.unwrap_or(Ok(()))) {
            tracing::debug!(%error, "a tunnel to another replica broke");
        }
    };
    tokio::select! {
        () = both => {}
        () = open.line.token().cancelled() => {}
    }
}

async fn carry<A: AsyncRead, B: AsyncWrite>(mut from: ReadHalf<A>, mut to: WriteHalf<B>) -> io::Result<()> {
    copy(&mut from, &mut to).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::socket::connections::{Carries, Connections};

    #[tokio::test]
    async fn bytes_go_both_ways_until_one_end_closes() {
        let connections = Arc::new(Connections::default());
        let (mut client, near) = duplex(64);
        let (mut peer, far) = duplex(64);
        let joined = tokio::spawn(join(near, far, connections.open(Carries::Foreign).unwrap()));
        client.write_all(b"ping").await.unwrap();
        let mut four = [0; 4];
        peer.read_exact(&mut four).await.unwrap();
        peer.write_all(&four).await.unwrap();
        client.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"ping");
        // The peer does not close its end, as one that is gone would not.
        drop(client);
        joined.await.unwrap();
        assert_eq!(peer.read(&mut four).await.unwrap(), 0);
        assert!(connections.is_empty());
    }

    #[tokio::test]
    async fn a_process_that_stops_cuts_it() {
        let connections = Arc::new(Connections::default());
        let ((mut client, near), (_peer, far)) = (duplex(64), duplex(64));
        let joined = tokio::spawn(join(near, far, connections.open(Carries::Foreign).unwrap()));
        connections.cut_all();
        joined.await.unwrap();
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
    }
}
