//! The line to a service: when it may be used next.

use std::time::Duration;

use cuo_core::backoff::Doubling;
use tokio::time::Instant;
use tracing::{info, warn};

use super::sink::SendError;

/// The pauses after failures in a row.
const AGAIN: Doubling = Doubling::new(Duration::from_secs(5), Duration::from_secs(300));
/// The longest pause that a service is granted which asks for one.
const LONGEST: Duration = Duration::from_secs(900);

/// The line to one service.
#[derive(Debug)]
pub struct Line {
    /// A message is on its way.
    pub busy: bool,
    /// Nothing is sent before.
    pub from: Instant,
    failures: u32,
    told: Option<String>,
}

impl Line {
    /// A line that may be used at once.
    pub fn new(now: Instant) -> Self {
        Self {
            busy: false,
            from: now,
            failures: 0,
            told: None,
        }
    }

    /// Records that a message was sent at `now`, after which the sink `name` has a `pause`.
    pub fn sent(&mut self, name: &str, pause: Duration, now: Instant) {
        self.busy = false;
        self.failures = 0;
        self.from = now + pause;
        if self.told.take().is_some() {
            info!(
                sink = name,
                "notifications ({name}): messages are sent again"
            );
        }
    }

    /// Records that a message was not sent.
    pub fn failed(&mut self, name: &str, error: &SendError, now: Instant) {
        self.busy = false;
        self.failures = self.failures.saturating_add(1);
        let asked = error.wait().unwrap_or_default().min(LONGEST);
        self.from = now + AGAIN.pause(self.failures).max(asked);
        let error = error.to_string();
        if self.told.as_ref() != Some(&error) {
            warn!(
                sink = name,
                "notifications ({name}): a message was not sent: {error}; trying again"
            );
            self.told = Some(error);
        }
    }
}

#[cfg(test)]
mod tests;
