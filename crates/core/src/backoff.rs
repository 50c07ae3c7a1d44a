//! Pauses that double while something keeps failing.

use std::time::Duration;

use jiff::SignedDuration;

/// How long to pause after each failure in a row: `first`, then twice as long each time, and never longer than `cap`. Timers take
/// unsigned durations, and decisions signed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Doubling<D = Duration> {
    /// After the first failure.
    pub first: D,
    /// At most.
    pub cap: D,
}

/// More doublings than any cap has room for.
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
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let millis = |count: u32| Duration::from_millis(count.into());
        let signed = |duration| SignedDuration::try_from(duration).unwrap();
        let (first, cap) = (millis(500), millis(30_000));
        let longest = SignedDuration::MAX.unsigned_abs();
        let cases = [
            (first, cap, 0, first),
            (first, cap, 1, first),
            (first, cap, 2, millis(1000)),
            (first, cap, 3, millis(2000)),
            (first, cap, 6, millis(16_000)),
            (first, cap, 7, cap),
            (first, cap, 32, cap),
            (first, cap, 33, cap),
            (first, cap, u32::MAX, cap),
            (cap, first, 1, first),
            (longest, longest, 4, longest),
        ];
        for (first, cap, tries, expected) in cases {
            let doubling = Doubling::new(first, cap);
            assert_eq!(doubling.pause(tries), expected, "{doubling:?}, {tries}");
            let doubling = Doubling::new(signed(first), signed(cap));
            assert_eq!(
                doubling.pause(tries),
                signed(expected),
                "{doubling:?}, {tries}"
            );
        }
        let longest = Doubling::new(Duration::MAX, Duration::MAX);
        assert_eq!(longest.pause(4), Duration::MAX);
    }
}
