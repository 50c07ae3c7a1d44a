//! Pauses that double while something keeps failing.

use std::time::Duration;

use jiff::SignedDuration;

/// How long to pause after each failure in a row: `first`, then twice as long each time, and never longer than `cap`. Timers take
/// unsigned durations, and decisions signed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Doubling<D = Duration> {
    /// The pause after the first failure.
    pub first: D,
    /// The longest pause.
    pub cap: D,
}

/// Limits the number of doublings, so that the shift can't overflow; every cap is reached before.
const MOST: u32 = 30;

impl<D> Doubling<D> {
    /// Pauses from `first` to `cap`.
    pub const fn new(first: D, cap: D) -> Self {
        Self { first, cap }
    }
}

impl Doubling<Duration> {
    /// The pause after failure number `tries`, counted from 1.
    pub fn pause(&self, tries: u32) -> Duration {
        let factor = 1 << tries.saturating_sub(1).min(MOST);
        self.first.saturating_mul(factor).min(self.cap)
    }
}

impl Doubling<SignedDuration> {
    /// The pause after failure number `tries`, counted from 1.
    pub fn pause(&self, tries: u32) -> SignedDuration {
        let factor = 1 << tries.saturating_sub(1).min(MOST);
        self.first.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests;
