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
mod tests;
