//! The line to a service: when it may be used next.

use std::time::Duration;

use cuo_core::backoff::Doubling;
use tokio::time::Instant;
use tracing::{info, warn};

use super::message::TemplateError;
use super::sink::SendError;

/// The pauses after failures in a row.
const AGAIN: Doubling = Doubling::new(Duration::from_secs(5), Duration::from_secs(300));
/// The longest pause that a service is granted which asks for one.
const LONGEST: Duration = Duration::from_secs(900);

/// A delivery that the service refuses for good is dropped after so many tries: it holds those behind it, for about half an hour by then.
const TRIES: u32 = 10;

/// The line to one service.
#[derive(Debug)]
pub struct Line {
    /// A message is on its way.
    pub busy: bool,
    /// Nothing is sent before.
    pub from: Instant,
    failures: u32,
    told: Option<String>,
    /// The first piece of news of a delivery that was refused for good, and how often.
    refused: Option<(u64, u32)>,
    /// It was said that a template can't be filled in.
    unfilled: bool,
}

impl Line {
    /// A line that may be used at once.
    pub fn new(now: Instant) -> Self {
        Self {
            busy: false,
            from: now,
            failures: 0,
            told: None,
            refused: None,
            unfilled: false,
        }
    }

    /// Records that a message was sent at `now`, after which the sink `name` has a `pause`.
    pub fn sent(&mut self, name: &str, pause: Duration, now: Instant) {
        self.busy = false;
        self.failures = 0;
        self.refused = None;
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

    /// Whether to drop the delivery that begins with this piece of news, after it failed with `error`. If so, the next one begins anew.
    pub fn gives_up(&mut self, name: &str, first: u64, error: &SendError) -> bool {
        if !error.is_permanent() {
            return false;
        }
        let known = self.refused.filter(|(news, _)| *news == first);
        let tries = known.map_or(0, |(_, tries)| tries) + 1;
        let over = tries >= TRIES;
        self.refused = (!over).then_some((first, tries));
        if over {
            warn!(
                sink = name,
                "notifications ({name}): a message was dropped: it was refused {tries} times: {error}"
            );
            self.failures = 0;
        }
        over
    }

    /// Says once that a template can't be filled in.
    pub fn unfilled(&mut self, error: &TemplateError) {
        if !self.unfilled {
            warn!("{error}; the message is sent without templates");
            self.unfilled = true;
        }
    }
}

#[cfg(test)]
mod tests;
