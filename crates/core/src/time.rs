//! Time as decisions know it: two clocks, each with one resolution, whoever reads it and whoever writes down what it showed.
//!
//! What is shown to people, kept in files or on objects is the wall clock's, to the second ([`Time`]). It may be set at any time, so pauses
//! within one process go by a clock that only goes forward ([`Tick`]). Neither type can hold more than its resolution: a time that was
//! noted is never later than one that is read after it.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The wall clock's time, to the second: UTC, written as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(Timestamp);

impl Time {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(Timestamp::UNIX_EPOCH);

    /// So many seconds after [`Time::EPOCH`]; the end of time where that is beyond it.
    pub fn from_second(second: i64) -> Self {
        let far = if second < 0 {
            Self::first()
        } else {
            Self::last()
        };
        Timestamp::from_second(second).map_or(far, Self)
    }

    fn first() -> Self {
        Timestamp::MIN.into()
    }

    /// The end of time.
    pub fn last() -> Self {
        Timestamp::MAX.into()
    }

    /// `span` later, or earlier if it is negative; the end of time where that is beyond it.
    #[must_use]
    pub fn later(self, span: SignedDuration) -> Self {
        match self.0.saturating_add(span) {
            Ok(time) => time.into(),
            Err(_) if span.is_negative() => Self::first(),
            Err(_) => Self::last(),
        }
    }

    /// How much later this is than `earlier`; negative if it is not.
    pub fn since(self, earlier: Self) -> SignedDuration {
        self.0.duration_since(earlier.0)
    }

    /// The same for the libraries.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Time {
    /// Without the fraction of a second.
    fn from(time: Timestamp) -> Self {
        // Every whole second between two timestamps is one.
        let second = time.as_nanosecond().div_euclid(1_000_000_000);
        let second = i64::try_from(second).unwrap_or(0);
        Self(Timestamp::from_second(second).unwrap_or(time))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Timestamp>().map(Self::from)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self::from)
    }
}

/// What a process's own clock showed, which only goes forward: to the millisecond, since a moment that is the same throughout the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tick(u64);

impl Tick {
    /// That moment.
    pub const START: Self = Self(0);

    /// So long after that moment.
    pub fn after(span: std::time::Duration) -> Self {
        Self(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    /// `span` later; the end of time where that is beyond it.
    #[must_use]
    pub fn later(self, span: SignedDuration) -> Self {
        // Rounded up, so that a pause is never shorter than it was meant to be.
        let nanoseconds = u128::try_from(span.as_nanos()).unwrap_or(0);
        let more = u64::try_from(nanoseconds.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(more))
    }

    /// How much later this is than `earlier`; nothing if it is not.
    pub fn since(self, earlier: Self) -> SignedDuration {
        let milliseconds = self.0.saturating_sub(earlier.0);
        SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }
}

/// Both clocks, read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now {
    /// For deadlines, and for people.
    pub time: Time,
    /// For pauses.
    pub tick: Tick,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_time_holds_whole_seconds_wherever_it_comes_from() {
        let text = "2026-11-23T21:00:00.999Z";
        let whole: Time = "2026-11-23T21:00:00Z".parse().unwrap();
        let read: Time = serde_json::from_str(&format!("{text:?}")).unwrap();
        let stamp: Timestamp = text.parse().unwrap();
        assert_eq!([text.parse().unwrap(), read, stamp.into()], [whole; 3]);
        assert_eq!(whole.to_string(), "2026-11-23T21:00:00Z");
        let written = serde_json::to_string(&whole).unwrap();
        assert_eq!(written, "\"2026-11-23T21:00:00Z\"");
        let before: Timestamp = "1969-12-31T23:59:59.5Z".parse().unwrap();
        assert_eq!(Time::from(before), Time::from_second(-1));
        let half = SignedDuration::from_millis(1500);
        assert_eq!(whole.later(half).since(whole), seconds(1));
    }

    #[test]
    fn beyond_the_end_of_time_there_is_its_end() {
        let (first, last) = (Time::first(), Time::last());
        assert!(first < Time::EPOCH && Time::EPOCH < last);
        let cases = [
            (Time::from_second(i64::MAX), last),
            (Time::from_second(i64::MIN), first),
            (last.later(seconds(1)), last),
            (Time::EPOCH.later(SignedDuration::MAX), last),
            (first.later(seconds(-1)), first),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_pause_is_never_shorter_than_it_was_meant_to_be() {
        let tick = Tick::after(Duration::from_micros(1_999));
        assert_eq!(tick, Tick(1));
        let cases = [(0, 1), (1, 2), (1_000_000, 2), (1_000_001, 3)];
        for (nanoseconds, expected) in cases {
            let until = tick.later(SignedDuration::from_nanos(nanoseconds));
            assert_eq!(until, Tick(expected), "{nanoseconds}");
        }
        assert_eq!(tick.later(SignedDuration::MAX), Tick(u64::MAX));
        assert_eq!(tick.later(seconds(-1)), tick);
        assert_eq!(tick.later(seconds(2)).since(tick), seconds(2));
        assert_eq!(tick.since(tick.later(seconds(2))), SignedDuration::ZERO);
    }
}
