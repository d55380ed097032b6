//! Progress for people: what is being done, and how long it took.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

/// Prints, as `print!`, but does not mind a reader that has gone (`… | head`): the work goes on.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout(), $($argument)*);
    }};
}

/// Prints one line for each step. On a terminal the running step is shown until its result replaces it.
#[derive(Debug)]
pub struct Report {
    terminal: bool,
    started: Instant,
}

/// What a step found: it did something, or everything was already as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The step changed something.
    Done,
    /// Nothing had to be done.
    Unchanged,
}

impl Default for Report {
    fn default() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), started: Instant::now() }
    }
}

impl Report {
    /// Runs a step that always does something.
    pub fn step<T>(&self, what: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
        self.run(what, || action().map(|value| (value, Outcome::Done)))
    }

    /// Runs a step that may find its work already done.
    pub fn check(&self, what: &str, action: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
        self.run(what, || action().map(|outcome| (outcome, outcome)))
    }

    /// A line for a step that ran beside others and took `took`.
    pub fn beside(&self, what: &str, took: Duration, result: Result<Outcome>) -> Result<Outcome> {
        self.clear();
        show(what, took, result.map(|outcome| (outcome, outcome)))
    }

    /// A line between steps, for what takes long enough that people ask.
    pub fn note(&self, text: &str) {
        self.clear();
        say!("· {text}\n");
    }

    /// Time since this run began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn run<T>(&self, what: &str, action: impl FnOnce() -> Result<(T, Outcome)>) -> Result<T> {
        if self.terminal {
            say!("… {what}");
            // A lost progress line is no reason to stop.
            let _ = std::io::stdout().flush();
        }
        let begin = Instant::now();
        let result = action();
        self.clear();
        show(what, begin.elapsed(), result)
    }

    fn clear(&self) {
        if self.terminal {
            say!("\r\x1b[2K");
        }
    }
}

fn show<T>(what: &str, took: Duration, result: Result<(T, Outcome)>) -> Result<T> {
    let took = seconds(took);
    match result {
        Ok((value, Outcome::Done)) => {
            say!("✓ {what}  {took}\n");
            Ok(value)
        }
        Ok((value, Outcome::Unchanged)) => {
            say!("✓ {what}  {took} (unchanged)\n");
            Ok(value)
        }
        Err(error) => {
            say!("✗ {what}  {took}\n");
            Err(error)
        }
    }
}

/// `8.2s`, or `3m05s` above two minutes.
pub fn seconds(duration: Duration) -> String {
    if duration.as_secs() >= 120 {
        format!("{}m{:02}s", duration.as_secs() / 60, duration.as_secs() % 60)
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(8_240)), "8.2s");
        assert_eq!(seconds(Duration::from_secs(185)), "3m05s");
    }

    #[test]
    fn a_failed_step_keeps_its_error() {
        let error = Report::default().step("fails", || -> Result<()> { anyhow::bail!("because") });
        assert_eq!(error.unwrap_err().to_string(), "because");
    }
}
