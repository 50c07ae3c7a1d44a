//! Delays that grow after each failure, with jitter.

use std::time::Duration;

use cuo_core::backoff::Doubling;

/// The longest pause that is accepted when asked for. A webhook or a proxy could ask for any, and after five minutes one more call does no
/// harm.
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

/// `pause` multiplied by a random factor between `least` and `least` plus one half, so that clients spread out; with 1.0 none is early.
pub fn scattered(pause: Duration, least: f64) -> Duration {
    pause.mul_f64(least + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests;
