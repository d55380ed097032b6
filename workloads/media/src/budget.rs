//! Memory that many requests share. What uses some holds its part until it is done, also when nobody waits for it any
//! more: a thread that reads a picture goes on after the client went away.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinError,
};

const KIBI: u64 = 1024;

/// A number of bytes that many share; whoever wants more than is left waits.
pub(crate) struct Budget {
    left: Arc<Semaphore>,
    all: u32,
}

/// A part of a [`Budget`], given back when its last copy is dropped.
pub(crate) type Share = Arc<OwnedSemaphorePermit>;

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let all = kibibytes(bytes);
        Self { left: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Takes bytes, or all there are if there are fewer; `None` only when the budget is gone.
    pub(crate) async fn take(&self, bytes: u64) -> Option<Share> {
        let permit = Arc::clone(&self.left).acquire_many_owned(kibibytes(bytes).min(self.all)).await;
        permit.ok().map(Arc::new)
    }

    /// Lets nobody take anything any more.
    #[cfg(test)]
    pub(crate) fn end(&self) {
        self.left.close();
    }
}

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(KIBI).max(1)).unwrap_or(u32::MAX)
}

/// Does work on a thread that may wait. It has `held` until it ends, whether or not this future still waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    held: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let task = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(held);
        done
    });
    task.await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_holds_its_share_until_it_ends_though_nobody_waits_for_it() {
        let budget = Budget::new(10 * KIBI);
        let share = budget.take(6 * KIBI + 1).await.unwrap();
        let ((begun, has_begun), (finish, may_finish)) = (mpsc::channel(), mpsc::channel::<()>());
        let waiting = tokio::spawn(blocking(share, move || {
            begun.send(()).unwrap();
            may_finish.recv().unwrap();
        }));
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(budget.left.available_permits(), 3, "the thread still has it");
        finish.send(()).unwrap();
        budget.take(10 * KIBI).await.unwrap();
    }
}
