//! Waiting longer after each failure, and not in step with everybody else.

use std::time::Duration;

use cuo_core::backoff::Doubling;

/// The longest pause that anybody may ask for. A webhook, or a proxy on the way, can ask for any; and after five minutes, one call more costs
/// nobody anything.
pub const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Delays after failures in a row.
#[derive(Debug)]
pub(crate) struct Backoff {
    delays: Doubling,
    tries: u32,
}

impl Backoff {
    /// Delays from `first` up to `last`.
    pub const fn new(first: Duration, last: Duration) -> Self {
        Self {
            delays: Doubling::new(first, last),
            tries: 0,
        }
    }

    /// The next delay: between half of it and all of it, so that a thousand nodes do not come back at the same instant.
    pub fn delay(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        scattered(self.delays.pause(self.tries), 0.5)
    }

    /// Starts over with the shortest delay.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// `pause` times something between `least` and half a time more, so that not all come back at once: with 1.0 nobody does so earlier.
pub fn scattered(pause: Duration, least: f64) -> Duration {
    pause.mul_f64(least + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests;
