//! Time in decisions: two clocks, each with one resolution, wherever it is read or stored.
//!
//! Times that people see, or that are kept in files or on objects, are the wall clock's, in whole seconds ([`Time`]). It may be set at any
//! time, so pauses within one process use a monotonic clock ([`Tick`]). Neither type can hold more than its resolution: a time that was
//! stored is never later than one that is read after it.

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

    /// The time `second` seconds after [`Time::EPOCH`]; [`Time::last`] where that is out of range.
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

    /// The last time that the type can hold.
    pub fn last() -> Self {
        Timestamp::MAX.into()
    }

    /// The time `span` later, or earlier if it is negative; [`Time::last`] where that is out of range.
    #[must_use]
    pub fn later(self, span: SignedDuration) -> Self {
        match self.0.saturating_add(span) {
            Ok(time) => time.into(),
            Err(_) if span.is_negative() => Self::first(),
            Err(_) => Self::last(),
        }
    }

    /// How much later this is than `earlier`; negative if it is earlier.
    pub fn since(self, earlier: Self) -> SignedDuration {
        self.0.duration_since(earlier.0)
    }

    /// The same as a timestamp of the time library.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Time {
    /// Drops the fraction of a second.
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

/// The monotonic clock's time: milliseconds since a moment that is fixed for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tick(u64);

impl Tick {
    /// The moment that it counts from.
    pub const START: Self = Self(0);

    /// The tick `span` after [`Tick::START`].
    pub fn after(span: std::time::Duration) -> Self {
        Self(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    /// The tick `span` later; the last one where that is out of range.
    #[must_use]
    pub fn later(self, span: SignedDuration) -> Self {
        // Rounded up, so that a pause is never shorter than it was meant to be.
        let nanoseconds = u128::try_from(span.as_nanos()).unwrap_or(0);
        let more = u64::try_from(nanoseconds.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(more))
    }

    /// How much later this is than `earlier`; zero if it is not later.
    pub fn since(self, earlier: Self) -> SignedDuration {
        let milliseconds = self.0.saturating_sub(earlier.0);
        SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }
}

/// Both clocks, read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now {
    /// The wall clock, for deadlines and for people.
    pub time: Time,
    /// The monotonic clock, for pauses.
    pub tick: Tick,
}

#[cfg(test)]
mod tests;
