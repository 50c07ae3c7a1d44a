//! Reboot windows: when nodes may be granted.
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
/// How many windows that follow on one another are joined, at most.
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

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "window {text:?}: {what}; expected \"[DAYS] HH:MM LENGTH [ZONE]\", such as \"Mon-Fri 22:00 4h Europe/Berlin\""
)]
pub struct WindowError {
    text: String,
    what: String,
}

/// All windows; without any, it is always open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// These windows.
    pub fn new(windows: Vec<Window>) -> Self {
        Self(windows)
    }

    /// When what is open at `now` closes, or `None` if nothing is open. Windows that overlap or touch count as one.
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

/// Days on which nothing opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blackout {
    from: Timestamp,
    to: Timestamp,
}

impl Blackout {
    /// From the beginning of the day `from` to the end of the day `to`, in the IANA time zone `zone`.
    ///
    /// # Errors
    /// Says what makes no sense.
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

/// Windows, less the days on which they stay closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    windows: Windows,
    blackouts: Vec<Blackout>,
}

/// How many blackouts and windows are looked through for the next opening, at most: more than a year of daily ones.
const LOOKED_THROUGH: usize = 1000;

impl Calendar {
    /// Open in `windows`, but not in any of `blackouts`.
    pub fn new(windows: Windows, blackouts: Vec<Blackout>) -> Self {
        Self { windows, blackouts }
    }

    /// When what is open at `now` closes, or `None` if nothing is open.
    pub fn open(&self, now: Timestamp) -> Option<Timestamp> {
        if self.blackout(now).is_some() {
            return None;
        }
        let next = self.blackouts.iter().map(|days| days.from);
        let next = next.filter(|from| *from > now).min();
        let end = self.windows.open(now)?;
        Some(next.map_or(end, |next| next.min(end)))
    }

    /// When it opens, if it is closed at `now`; `None` if it is open, or never opens again.
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
            .filter_map(|start| Some((start, start.checked_add(self.length).ok()?)))
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

/// Counted from Monday; three letters or the whole name, in any case.
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn windows(texts: &[&str]) -> Windows {
        Windows::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn open_until() {
        // 2026-11-23 is a Monday.
        let cases: &[(&[&str], &str, Option<&str>)] = &[
            (
                &[],
                "2026-11-23T12:00:00Z",
                Some("9999-12-30T22:00:00.999999999Z"),
            ),
            (&["22:00 4h"], "2026-11-23T21:59:59Z", None),
            (
                &["22:00 4h"],
                "2026-11-23T22:00:00Z",
                Some("2026-11-24T02:00:00Z"),
            ),
            (
                &["22:00 4h"],
                "2026-11-24T01:59:59Z",
                Some("2026-11-24T02:00:00Z"),
            ),
            (&["22:00 4h"], "2026-11-24T02:00:00Z", None),
            (
                &["Sun 22:00 4h"],
                "2026-11-23T01:00:00Z",
                Some("2026-11-23T02:00:00Z"),
            ),
            (&["Mon-Fri 22:00 1h"], "2026-11-22T22:30:00Z", None),
            (
                &["Fri-Mon 22:00 1h"],
                "2026-11-22T22:30:00Z",
                Some("2026-11-22T23:00:00Z"),
            ),
            (
                &["22:00 1h", "22:30 1h", "23:30 30m"],
                "2026-11-23T22:00:00Z",
                Some("2026-11-24T00:00:00Z"),
            ),
            (
                &["mon 00:00 168h"],
                "2026-11-29T23:59:00Z",
                Some("2027-07-12T00:00:00Z"),
            ),
            (
                &["02:00 1h Europe/Berlin"],
                "2026-11-23T01:00:00Z",
                Some("2026-11-23T02:00:00Z"),
            ),
            // The night in which Berlin's clock goes from 02:00 to 03:00: 02:30 comes as 03:30, and lasts as long as ever.
            (&["02:30 1h Europe/Berlin"], "2026-03-29T01:29:00Z", None),
            (
                &["02:30 1h Europe/Berlin"],
                "2026-03-29T01:30:00Z",
                Some("2026-03-29T02:30:00Z"),
            ),
            (
                &["01:00 3h Europe/Berlin"],
                "2026-03-29T02:59:00Z",
                Some("2026-03-29T03:00:00Z"),
            ),
            // The night in which it goes from 03:00 back to 02:00: only the first 02:30 counts.
            (
                &["02:30 30m Europe/Berlin"],
                "2026-10-25T00:30:00Z",
                Some("2026-10-25T01:00:00Z"),
            ),
            (&["02:30 30m Europe/Berlin"], "2026-10-25T01:30:00Z", None),
            (
                &["Sun 01:30 1h America/New_York"],
                "2026-11-01T05:30:00Z",
                Some("2026-11-01T06:30:00Z"),
            ),
            (
                &["Sun 02:30 1h America/New_York"],
                "2026-03-08T07:30:00Z",
                Some("2026-03-08T08:30:00Z"),
            ),
        ];
        for (texts, now, expected) in cases {
            assert_eq!(
                windows(texts).open(time(now)),
                expected.map(time),
                "{texts:?} at {now}"
            );
        }
    }

    #[test]
    fn next_opening() {
        let cases: &[(&[&str], &str, Option<&str>)] = &[
            (&[], "2026-11-23T12:00:00Z", None),
            (
                &["22:00 4h"],
                "2026-11-23T22:00:00Z",
                Some("2026-11-24T22:00:00Z"),
            ),
            (
                &["Mon 22:00 4h"],
                "2026-11-23T22:00:00Z",
                Some("2026-11-30T22:00:00Z"),
            ),
            (
                &["Wed 10:00 1h", "Tue 09:00 1h"],
                "2026-11-23T12:00:00Z",
                Some("2026-11-24T09:00:00Z"),
            ),
            (
                &["00:30 1h Pacific/Auckland"],
                "2026-11-23T12:00:00Z",
                Some("2026-11-24T11:30:00Z"),
            ),
        ];
        for (texts, now, expected) in cases {
            assert_eq!(
                windows(texts).next_opening(time(now)),
                expected.map(time),
                "{texts:?} at {now}"
            );
        }
    }

    fn calendar(texts: &[&str], blackouts: &[(&str, &str, &str)]) -> Calendar {
        let blackout = |(from, to, zone): &(&str, &str, &str)| {
            Blackout::new(from.parse().unwrap(), to.parse().unwrap(), zone).unwrap()
        };
        Calendar::new(windows(texts), blackouts.iter().map(blackout).collect())
    }

    #[test]
    fn blackouts_close_windows_and_what_is_always_open() {
        type Days = &'static [(&'static str, &'static str, &'static str)];
        const XMAS: Days = &[("2026-12-24", "2026-12-26", "Europe/Berlin")];
        const TWO: Days = &[
            ("2026-12-24", "2026-12-26", "UTC"),
            ("2026-12-27", "2026-12-27", "UTC"),
        ];
        // The day on which Berlin's clock is put back has 25 hours.
        const LONG: Days = &[("2026-10-25", "2026-10-25", "Europe/Berlin")];
        type Case<'a> = (
            &'a [&'a str],
            Days,
            &'a str,
            Option<&'a str>,
            Option<&'a str>,
        );
        let cases: &[Case<'_>] = &[
            (
                &[],
                XMAS,
                "2026-12-23T22:59:59Z",
                Some("2026-12-23T23:00:00Z"),
                None,
            ),
            (
                &[],
                XMAS,
                "2026-12-23T23:00:00Z",
                None,
                Some("2026-12-26T23:00:00Z"),
            ),
            (
                &[],
                TWO,
                "2026-12-25T00:00:00Z",
                None,
                Some("2026-12-28T00:00:00Z"),
            ),
            (
                &["22:00 4h"],
                TWO,
                "2026-12-23T22:30:00Z",
                Some("2026-12-24T00:00:00Z"),
                None,
            ),
            // The window of the last day goes on when the blackout ends.
            (
                &["22:00 4h"],
                TWO,
                "2026-12-26T22:30:00Z",
                None,
                Some("2026-12-28T00:00:00Z"),
            ),
            (
                &["22:00 1h"],
                TWO,
                "2026-12-26T22:30:00Z",
                None,
                Some("2026-12-28T22:00:00Z"),
            ),
            (
                &[],
                LONG,
                "2026-10-24T22:00:00Z",
                None,
                Some("2026-10-25T23:00:00Z"),
            ),
        ];
        for (texts, blackouts, now, open, next) in cases {
            let found = calendar(texts, blackouts);
            let now = time(now);
            let expected = (open.map(time), next.map(time));
            let seen = (found.open(now), found.next_opening(now));
            assert_eq!(seen, expected, "{texts:?} less {blackouts:?} at {now}");
        }
    }

    #[test]
    fn a_blackout_that_makes_no_sense_is_told() {
        let (first, second) = ("2026-12-24".parse().unwrap(), "2026-12-25".parse().unwrap());
        let wrong = Blackout::new(second, first, "UTC").unwrap_err();
        assert_eq!(wrong, "2026-12-24 is before 2026-12-25");
        let wrong = Blackout::new(first, second, "Mars/Base").unwrap_err();
        assert_eq!(wrong, "\"Mars/Base\" is no IANA time zone");
    }

    #[test]
    fn what_is_no_window_is_told() {
        let cases = [
            ("", "the start is missing"),
            ("Mon", "the start is missing"),
            ("22:00", "the length is missing"),
            ("Mon 22:00", "the length is missing"),
            ("Moon 22:00 1h", "\"Moon\" is no day of the week"),
            ("Mon-Foo 22:00 1h", "\"Foo\" is no day of the week"),
            ("25:00 1h", "start \"25:00\" is not HH:MM"),
            ("2:00 1h", "start \"2:00\" is not HH:MM"),
            ("23:61 1h", "start \"23:61\" is not HH:MM"),
            ("14", "\"14\" is no day of the week"),
            (
                "22:00 -1h",
                "the length must be more than nothing and at most 7 days (168h)",
            ),
            (
                "22:00 0s",
                "the length must be more than nothing and at most 7 days (168h)",
            ),
            (
                "22:00 169h",
                "the length must be more than nothing and at most 7 days (168h)",
            ),
            ("22:00 1h Mars/Base", "\"Mars/Base\" is no IANA time zone"),
            (
                "22:00 1h UTC extra",
                "there is more than a zone after the length",
            ),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Window>().unwrap_err();
            assert_eq!(error.what, expected, "{text}");
            assert!(error.to_string().contains("expected"), "{error}");
        }
        assert!(
            "22:00 soon"
                .parse::<Window>()
                .unwrap_err()
                .what
                .starts_with("length \"soon\":")
        );
    }

    proptest! {
        /// In UTC, where every day is alike, a window is what counting minutes says.
        #[test]
        fn as_counted_minute_by_minute(days in 1_u8..128, start in 0_i64..1440, length in 1_i64..10_080, now in 0_i64..20_160) {
            let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
            let listed: Vec<_> = (0..7).filter(|day| days & (1 << day) != 0).map(|day| names[day]).collect();
            let text = format!("{} {:02}:{:02} {length}m", listed.join(","), start / 60, start % 60);
            let found = windows(&[&text]);
            // 2026-11-23, a Monday; minutes from there.
            let monday = time("2026-11-23T00:00:00Z").as_second();
            let minute = |count: i64| Timestamp::from_second(monday + count * 60).unwrap();
            let starts: Vec<_> = (-21..42)
                .filter(|day: &i64| days & (1 << day.rem_euclid(7)) != 0)
                .map(|day| day * 1440 + start)
                .collect();
            let open = starts.iter().any(|start| (*start..start + length).contains(&now));
            prop_assert_eq!(found.open(minute(now)).is_some(), open);
            let next = starts.iter().copied().find(|start| *start > now);
            prop_assert_eq!(found.next_opening(minute(now)), next.map(minute));
        }
    }
}
