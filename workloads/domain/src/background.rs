//! Work in the background that a process can't do without.

use std::{panic::AssertUnwindSafe, process};

use futures::FutureExt as _;

/// The exit code of Rust programs that panic.
const PANICKED: i32 = 101;

/// `work`, which must not be missing: if it panics, the process ends. Whatever runs the process starts it anew, and
/// nothing that was acknowledged is lost. One that goes on without would look healthy while it shows nobody what it takes.
pub async fn vital(name: &'static str, work: impl Future<Output = ()>) {
    // Nothing of this process uses what the work leaves behind.
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!(work = name, "work in the background panicked; the process ends, to be started anew");
        process::exit(PANICKED);
    }
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    const IN_CHILD: &str = "SENTINEL_TEST_VITAL_WORK_PANICS";

    /// Runs itself in a process of its own, as it ends its process.
    #[test]
    fn a_process_ends_with_work_that_panics() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        if env::var_os(IN_CHILD).is_some() {
            runtime.block_on(async {
                let work = tokio::spawn(vital("a trial", async { panic!("it fails") }));
                // What panics in its own task would be seen here, and the process would go on.
                let _ = work.await;
            });
            return;
        }
        let test = "background::tests::a_process_ends_with_work_that_panics";
        let child =
            Command::new(env::current_exe().unwrap()).args(["--exact", test]).env(IN_CHILD, "1").output().unwrap();
        assert_eq!(child.status.code(), Some(PANICKED), "{child:?}");
        assert!(String::from_utf8_lossy(&child.stdout).contains("running 1 test"), "{child:?}");
        runtime.block_on(vital("one that ends", async {}));
    }
}
