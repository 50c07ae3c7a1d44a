//! Pauses after calls of the API server that failed.

use std::time::Duration;

use cuo_cluster::{ApiError, LONGEST_ASKED, Retry, scattered};
use cuo_core::backoff::Doubling;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// The first pause after somebody else's write won: long enough for the watch to bring it.
pub const CONFLICT: Duration = Duration::from_millis(50);
/// The first pause after a failure.
pub const FIRST: Duration = Duration::from_millis(500);
/// The first pause after a refusal: that takes somebody who allows it.
pub const REFUSED: Duration = Duration::from_secs(30);
/// The longest pause of all calls that everything depends on.
const LAST: Duration = Duration::from_secs(30);

/// How long to pause after failures in a row, by what the last one was.
#[derive(Debug)]
pub struct Pauses {
    /// Somebody else's write came first.
    pub conflict: Doubling,
    /// The API server failed, or did not answer.
    pub failure: Doubling,
    /// The API server refused.
    pub refusal: Doubling,
    /// The least, where the API server asks for a pause of its own choice.
    pub asked: Doubling,
}

impl Pauses {
    /// The pause after failure number `tries` in a row, counted from 1.
    pub fn whole(&self, error: &ApiError, tries: u32) -> Duration {
        match error.retry_class() {
            Retry::Reread => self.conflict.pause(tries),
            Retry::Later(Some(asked)) => asked.min(LONGEST_ASKED).max(self.asked.pause(tries)),
            Retry::Later(None) | Retry::Credentials => self.failure.pause(tries),
            Retry::Denied => self.refusal.pause(tries),
        }
    }

    /// The same, not in step with others, and not earlier than the API server asks for.
    pub fn after(&self, error: &ApiError, tries: u32) -> Duration {
        let least = match error.retry_class() {
            Retry::Later(Some(_)) => 1.0,
            Retry::Reread | Retry::Later(None) | Retry::Credentials | Retry::Denied => 0.5,
        };
        scattered(self.whole(error, tries), least)
    }
}

/// After reads, and writes of the ledger: everything depends on them.
const ALL: Pauses = Pauses {
    conflict: Doubling::new(CONFLICT, LAST),
    failure: Doubling::new(FIRST, LAST),
    refusal: Doubling::new(REFUSED, LAST),
    // As often as it is asked for.
    asked: Doubling::new(FIRST, FIRST),
};

/// Whether to pause, after which failures.
#[derive(Debug, Default)]
pub struct Pause {
    failures: u32,
    until: Option<Instant>,
    reported: Option<String>,
}

impl Pause {
    /// Until when; `None` if there is no pause, or no longer.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// A call succeeded.
    pub fn well(&mut self) {
        self.failures = 0;
        if self.reported.take().is_some() {
            info!("the API server answers again");
        }
    }

    /// A call failed: pauses, longer each time, and not in step with others. Calls that were under way when a pause began say nothing new.
    pub fn failed(&mut self, what: &str, error: &ApiError) {
        let now = Instant::now();
        let on = self.until(now);
        if on.is_none() {
            self.failures = self.failures.saturating_add(1);
        }
        let pause = ALL.after(error, self.failures);
        self.until = on.max(Some(now + pause));
        let text = format!("{what}: {error}");
        if error.retry_class() == Retry::Reread {
            debug!("{text}; it is read again");
        } else if self.reported.as_ref() != Some(&text) {
            warn!("{text}; it is tried again");
            self.reported = Some(text);
        }
    }
}

#[cfg(test)]
mod tests;
