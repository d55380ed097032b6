//! The bus between nodes: a channel per node.

use async_trait::async_trait;
use sentinel_domain::{
    nodes::{Letter, NodeId},
    ports::{BusListener, NodeBus, StoreError},
    time::Timestamp,
};

use super::{
    Redis, port,
    subscriber::{Subscriber, framed},
};

impl Redis {
    fn channel_of(&self, node: &NodeId) -> String {
        self.key(&format!("node:{{{node}}}"))
    }
}

#[async_trait]
impl NodeBus for Redis {
    async fn send(&self, letters: &[(NodeId, Letter)]) -> Result<(), StoreError> {
        let mut commands = Vec::with_capacity(letters.len());
        for (to, letter) in letters {
            let json = serde_json::to_vec(letter).map_err(StoreError::unavailable)?;
            commands.push(self.publish(&self.channel_of(to), &framed(json)));
        }
        port(self.run(commands)).await.map(drop)
    }

    async fn listen(&self, node: &NodeId, listener: Box<dyn BusListener>) {
        self.subscribe(self.channel_of(node), Letters { listener }).await;
    }
}

/// Reads letters.
struct Letters {
    listener: Box<dyn BusListener>,
}

#[async_trait]
impl Subscriber for Letters {
    async fn received(&mut self, payload: &[u8]) -> bool {
        match serde_json::from_slice(payload) {
            Ok(letter) => self.listener.received(letter).await,
            Err(error) => {
                // A newer version may say what this one does not understand: the inboxes have it.
                tracing::warn!(%error, "a letter of another node is not understood");
                self.listener.interrupted(Timestamp::now()).await
            }
        }
    }

    async fn interrupted(&mut self, since: Timestamp) -> bool {
        self.listener.interrupted(since).await
    }
}
