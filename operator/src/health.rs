//! What the probes of the pod are reported.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A loop that was silent for this long is stuck: it turns at least once a minute, and each call in it has a deadline.
const STUCK: Duration = Duration::from_secs(300);

/// How the loop is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    turned: Instant,
    missing: Option<String>,
}

/// Told by the loop.
#[derive(Debug)]
pub struct Health(watch::Sender<State>);

/// Asked by the HTTP server.
#[derive(Debug, Clone)]
pub struct Probe(watch::Receiver<State>);

/// A loop that has not begun yet.
pub fn health() -> (Health, Probe) {
    let (sender, receiver) = watch::channel(State {
        turned: Instant::now(),
        missing: Some("the nodes have not been listed yet".to_owned()),
    });
    (Health(sender), Probe(receiver))
}

impl Health {
    /// The loop turns; `missing` is what it lacks to know the nodes as they are.
    pub fn turned(&self, missing: Option<String>) {
        self.0.send_replace(State {
            turned: Instant::now(),
            missing,
        });
    }
}

impl Probe {
    /// The loop turns.
    ///
    /// # Errors
    /// Since when it does not.
    pub fn alive(&self, now: Instant) -> Result<(), String> {
        let silent = now.saturating_duration_since(self.0.borrow().turned);
        if silent < STUCK {
            return Ok(());
        }
        Err(format!("the loop has been stuck for {}s", silent.as_secs()))
    }

    /// The nodes are known as they are, so that this process could lead at any time.
    ///
    /// # Errors
    /// What is missing.
    pub fn ready(&self) -> Result<(), String> {
        match &self.0.borrow().missing {
            None => Ok(()),
            Some(missing) => Err(missing.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
