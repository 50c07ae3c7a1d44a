//! The state that the pod's probes report.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A loop without a turn for this long is stuck: it turns at least once a minute, and each of its calls has a deadline.
const STUCK: Duration = Duration::from_secs(300);

/// The state of the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    turned: Instant,
    missing: Option<String>,
}

/// The loop's side, which sets the state.
#[derive(Debug)]
pub struct Health(watch::Sender<State>);

/// The HTTP server's side, which reads the state.
#[derive(Debug, Clone)]
pub struct Probe(watch::Receiver<State>);

/// The state of a loop that has not begun yet; `missing` is what it has yet to learn.
pub fn health(missing: &str) -> (Health, Probe) {
    let (sender, receiver) = watch::channel(State {
        turned: Instant::now(),
        missing: Some(missing.to_owned()),
    });
    (Health(sender), Probe(receiver))
}

impl Health {
    /// Records a turn of the loop; `missing` is what it does not know of the cluster, if anything.
    pub fn turned(&self, missing: Option<String>) {
        self.0.send_replace(State {
            turned: Instant::now(),
            missing,
        });
    }
}

impl Probe {
    /// Whether the loop turns.
    ///
    /// # Errors
    /// A sentence on how long it has not, if it is stuck.
    pub fn alive(&self, now: Instant) -> Result<(), String> {
        let silent = now.saturating_duration_since(self.0.borrow().turned);
        if silent < STUCK {
            return Ok(());
        }
        Err(format!("the loop has been stuck for {}s", silent.as_secs()))
    }

    /// Whether the cluster is known, so that this process could lead at any time.
    ///
    /// # Errors
    /// What is not known yet.
    pub fn ready(&self) -> Result<(), String> {
        match &self.0.borrow().missing {
            None => Ok(()),
            Some(missing) => Err(missing.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
