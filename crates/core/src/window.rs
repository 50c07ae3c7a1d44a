//! Reboot windows: the times when nodes may be granted.
//!
//! A window is written as `[DAYS] HH:MM LENGTH [ZONE]`, such as `Mon-Fri 22:00 4h Europe/Berlin`, `Sat,Sun 01:30 90m` or `23:00 2h`.
//! Without days it opens every day, without a zone it is in UTC. It opens at the wall clock's time and stays open for LENGTH of real
//! time, past midnight and past the end of the week if it is that long. Where the clock is put forward over the start, it opens later
//! by as much; where the start comes twice, it opens the first time.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

/// Longest window: after a week it opens again.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many consecutive windows are joined at most.
const JOINED: usize = 32;

/// One window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    text: String,
    days: Days,
    start: Time,
    length: SignedDuration,
    zone: TimeZone,
}

/// Days of the week, Monday first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days([bool; 7]);

/// Why a text is not a valid window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "window {text:?}: {what}; expected \"[DAYS] HH:MM LENGTH [ZONE]\", such as \"Mon-Fri 22:00 4h Europe/Berlin\""
)]
pub struct WindowError {
    text: String,
    what: String,
}

/// A list of windows; an empty one is always open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// A list of these windows.
    pub fn new(windows: Vec<Window>) -> Self {
        Self(windows)
    }

    /// When the window that is open at `now` closes, or `None` if none is open. Windows that overlap or touch count as one.
    pub fn open(&self, now: Timestamp) -> Option<Timestamp> {
        if self.0.is_empty() {
            return Some(Timestamp::MAX);
        }
        let covering = |at: Timestamp| {
            self.0
                .iter()
                .filter_map(|window| window.end_if_open(at))
                .max()
        };
        let mut end = covering(now)?;
        for _ in 0..JOINED {
            match covering(end) {
                Some(further) => end = further,
                None => break,
            }
        }
        Some(end)
    }

    /// When the next window opens after `now`; `None` if there is no window or no such time.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        self.0
            .iter()
            .filter_map(|window| window.next_start(now))
            .min()
    }
}

/// Days on which no window is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blackout {
    from: Timestamp,
    to: Timestamp,
}

impl Blackout {
    /// From the beginning of the day `from` to the end of the day `to`, in the IANA time zone `zone`.
    ///
    /// # Errors
    /// A sentence that says what is invalid: the order of the days, or the zone.
    pub fn new(from: Date, to: Date, zone: &str) -> Result<Self, String> {
        if to < from {
            return Err(format!("{to} is before {from}"));
        }
        let zone = time_zone(zone)?;
        let begin = |day: Date| {
            let start = zone.to_zoned(day.to_datetime(Time::midnight()));
            start.map(|start| start.timestamp())
        };
        let begins = || Ok::<_, jiff::Error>((begin(from)?, begin(to.tomorrow()?)?));
        let (from, to) = begins().map_err(|error| error.to_string())?;
        Ok(Self { from, to })
    }
}

/// Windows, except for the days of blackouts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    windows: Windows,
    blackouts: Vec<Blackout>,
}

/// How many blackouts and windows are examined for the next opening, at most: more than a year of daily ones.
const LOOKED_THROUGH: usize = 1000;

impl Calendar {
    /// Open in `windows`, but not in any of `blackouts`.
    pub fn new(windows: Windows, blackouts: Vec<Blackout>) -> Self {
        Self { windows, blackouts }
    }

    /// When the window that is open at `now` closes, or `None` if none is open.
    pub fn open(&self, now: Timestamp) -> Option<Timestamp> {
        if self.blackout(now).is_some() {
            return None;
        }
        let next = self.blackouts.iter().map(|days| days.from);
        let next = next.filter(|from| *from > now).min();
        let end = self.windows.open(now)?;
        Some(next.map_or(end, |next| next.min(end)))
    }

    /// The next opening, if no window is open at `now`; `None` if one is open, or none opens again.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        if self.open(now).is_some() {
            return None;
        }
        let mut at = now;
        for _ in 0..LOOKED_THROUGH {
            at = match self.blackout(at) {
                Some(end) => end,
                None => self.windows.next_opening(at)?,
            };
            if self.open(at).is_some() {
                return Some(at);
            }
        }
        None
    }

    /// When the blackout that covers `at` ends.
    fn blackout(&self, at: Timestamp) -> Option<Timestamp> {
        let days = self.blackouts.iter();
        let covering = days.filter(|days| days.from <= at && at < days.to);
        covering.map(|days| days.to).max()
    }
}

impl Window {
    /// The starts around `at`: on the days from `from` to `to` days after it.
    fn starts(&self, at: Timestamp, from: i64, to: i64) -> impl Iterator<Item = Timestamp> {
        let today = Zoned::new(at, self.zone.clone()).date();
        (from..=to).filter_map(move |offset| {
            let day = today.checked_add(offset.days()).ok()?;
            let opens =
                self.days.0[usize::from(day.weekday().to_monday_zero_offset().unsigned_abs())];
            let start = self
                .zone
                .to_ambiguous_timestamp(day.to_datetime(self.start))
                .compatible()
                .ok()?;
            opens.then_some(start)
        })
    }

    fn end_if_open(&self, at: Timestamp) -> Option<Timestamp> {
        self.starts(at, -8, 1)
            // An end out of the range of timestamps becomes the last timestamp.
            .map(|start| {
                let end = start.checked_add(self.length);
                (start, end.unwrap_or(Timestamp::MAX))
            })
            .filter(|(start, end)| *start <= at && at < *end)
            .map(|(_, end)| end)
            .max()
    }

    fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        self.starts(now, -1, 8).find(|start| *start > now)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|what| WindowError {
            text: text.to_owned(),
            what,
        })
    }
}

fn parse(text: &str) -> Result<Window, String> {
    let words: Vec<_> = text.split_whitespace().collect();
    let with_days = words.first().is_some_and(|word| !word.contains(':'));
    let (days, rest) = match words.split_first() {
        Some((first, rest)) if with_days => (parse_days(first)?, rest),
        _ => (Days([true; 7]), &words[..]),
    };
    let (start, length, zone) = match rest {
        [start, length] => (start, length, "UTC"),
        [start, length, zone] => (start, length, *zone),
        [] => return Err("the start is missing".into()),
        [_] => return Err("the length is missing".into()),
        _ => return Err("there is more than a zone after the length".into()),
    };
    let length: SignedDuration = length
        .parse()
        .map_err(|error| format!("length {length:?}: {error}"))?;
    if length <= SignedDuration::ZERO || length > LONGEST {
        return Err("the length must be more than nothing and at most 7 days (168h)".into());
    }
    Ok(Window {
        text: text.to_owned(),
        days,
        start: parse_start(start)?,
        length,
        zone: time_zone(zone)?,
    })
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    let found = TimeZoneDatabase::bundled().get(name);
    found.map_err(|_| format!("{name:?} is no IANA time zone"))
}

fn parse_start(text: &str) -> Result<Time, String> {
    let wrong = || format!("start {text:?} is not HH:MM");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| {
        let two = digits.len() == 2 && digits.bytes().all(|c| c.is_ascii_digit());
        if two { digits.parse::<i8>().ok() } else { None }
    };
    let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

fn parse_days(text: &str) -> Result<Days, String> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let mut at = first;
        loop {
            days[at] = true;
            if at == last {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    Ok(Days(days))
}

/// Parses a day, counted from Monday: three letters or the whole name, in any case.
fn day(text: &str) -> Result<usize, String> {
    const NAMES: [&str; 7] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    let lower = text.to_lowercase();
    let found = NAMES
        .iter()
        .position(|name| *name == lower || name[..3] == lower);
    found.ok_or_else(|| format!("{text:?} is no day of the week"))
}

#[cfg(test)]
mod tests;
