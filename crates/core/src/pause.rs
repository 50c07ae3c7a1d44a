//! Pauses that double while something goes on to fail.

use std::time::Duration;

/// `first` after no failure before, twice as much with each one, and never more than `most`.
pub fn doubled(first: Duration, failures: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(31)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (first, most) = (Duration::from_millis(500), Duration::from_secs(30));
        let pauses = [0, 1, 2, 5, 6, 31, 32, u32::MAX].map(|n| doubled(first, n, most));
        let whole = [500, 1000, 2000, 16_000, 30_000, 30_000, 30_000, 30_000];
        assert_eq!(pauses, whole.map(Duration::from_millis));
        assert_eq!(doubled(Duration::MAX, 3, Duration::MAX), Duration::MAX);
        assert_eq!(doubled(most, 0, first), first);
    }
}
