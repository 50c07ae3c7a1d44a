//! Pauses after failed calls of the API server.

use std::time::Duration;

use cuo_cluster::{ApiError, LONGEST_ASKED, Retry, scattered};
use cuo_core::backoff::Doubling;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// The first pause after a conflict: long enough for the watch to bring the other write.
pub const CONFLICT: Duration = Duration::from_millis(50);
/// The first pause after a failure.
pub const FIRST: Duration = Duration::from_millis(500);
/// The first pause after a refusal, which lasts until somebody allows the write.
pub const REFUSED: Duration = Duration::from_secs(30);
/// The longest pause of calls that everything depends on.
const LAST: Duration = Duration::from_secs(30);

/// Pauses after failures in a row, depending on the last one.
#[derive(Debug)]
pub struct Pauses {
    /// After a conflict: somebody else's write came first.
    pub conflict: Doubling,
    /// After the API server failed, or did not answer.
    pub failure: Doubling,
    /// After the API server refused.
    pub refusal: Doubling,
    /// The minimum if the API server asks for a pause itself.
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

    /// The same with jitter, and not shorter than the API server asks for.
    pub fn after(&self, error: &ApiError, tries: u32) -> Duration {
        let least = match error.retry_class() {
            Retry::Later(Some(_)) => 1.0,
            Retry::Reread | Retry::Later(None) | Retry::Credentials | Retry::Denied => 0.5,
        };
        scattered(self.whole(error, tries), least)
    }
}

/// For reads, and writes of the ledger: everything depends on them.
const ALL: Pauses = Pauses {
    conflict: Doubling::new(CONFLICT, LAST),
    failure: Doubling::new(FIRST, LAST),
    refusal: Doubling::new(REFUSED, LAST),
    // As often as the API server asks for.
    asked: Doubling::new(FIRST, FIRST),
};

/// A call that failed, with its purpose.
#[derive(Debug)]
pub struct Failed {
    /// What it was for.
    pub what: String,
    /// How it failed.
    pub error: ApiError,
}

impl Failed {
    /// A call for `what` that failed.
    pub fn new(what: String, error: ApiError) -> Self {
        Self { what, error }
    }
}

/// The current pause and the failures behind it.
#[derive(Debug, Default)]
pub struct Pause {
    failures: u32,
    until: Option<Instant>,
    reported: Option<String>,
}

impl Pause {
    /// The end of the pause; `None` if there is none, or it is over.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// Records a successful call.
    pub fn well(&mut self) {
        self.failures = 0;
        if self.reported.take().is_some() {
            info!("the API server answers again");
        }
    }

    /// Records a failed call: pauses, longer each time, with jitter. Calls that were in flight when the pause began do not extend it.
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
            debug!("{text}; reading again");
        } else if self.reported.as_ref() != Some(&text) {
            warn!("{text}; trying again");
            self.reported = Some(text);
        }
    }
}

#[cfg(test)]
mod tests;
