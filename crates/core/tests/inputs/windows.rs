//! Windows and blackouts.

use cuo_core::window::{Blackout, Calendar, Window, Windows};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutated::{any_or, config};

const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// More than any zone's offset and its changes together.
const SLACK: SignedDuration = SignedDuration::from_hours(3 * 24);

fn valid() -> Vec<String> {
    [
        "Mon-Fri 22:00 4h Europe/Berlin",
        "Sat,Sun 01:30 90m",
        "23:00 2h",
        "tuesday 00:00 6h30m UTC",
        "Fri-Mon,wed 02:30 167h59m America/New_York",
        "12:00 PT1H30M Pacific/Apia",
        "01:59 1s Antarctica/Troll",
        "00:00 168h Africa/Casablanca",
    ]
    .map(str::to_owned)
    .into()
}

/// Any time there is, near the present and at the ends more often.
fn time() -> impl Strategy<Value = Timestamp> {
    let (first, last) = (Timestamp::MIN, Timestamp::MAX);
    let within = |from: i64, to: i64| {
        (from..=to, 0..1_000_000_000).prop_map(|(second, nano)| {
            Timestamp::new(second, nano).unwrap_or(Timestamp::UNIX_EPOCH)
        })
    };
    let days = 20 * 24 * 3600;
    prop_oneof![
        4 => within(1_790_000_000, 1_830_000_000),
        1 => within(first.as_second(), last.as_second()),
        1 => within(first.as_second(), first.as_second() + days),
        1 => within(last.as_second() - days, last.as_second()),
        1 => select(vec![first, last]),
    ]
}

fn date() -> impl Strategy<Value = Date> {
    let near = time().prop_map(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date());
    prop_oneof![4 => near, 1 => select(vec![Date::MIN, Date::MAX])]
}

fn after(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_window_is_what_it_says_or_says_why_not(text in any_or(valid()), now in time()) {
        match text.parse::<Window>() {
            Err(error) => {
                let said = error.to_string();
                prop_assert!(said.starts_with("window ") && said.contains("expected"), "{}", said);
            }
            Ok(window) => {
                prop_assert_eq!(window.to_string(), text.clone());
                prop_assert_eq!(text.parse(), Ok(window.clone()));
                let windows = Windows::new(vec![window]);
                if let Some(end) = windows.open(now) {
                    prop_assert!(end > now || now == Timestamp::MAX);
                    // As many as are joined, and the one that is open.
                    prop_assert!(end <= after(now, WEEK * 33), "{}", end);
                }
                if let Some(next) = windows.next_opening(now) {
                    prop_assert!(next > now && next <= after(now, WEEK + SLACK), "{}", next);
                    prop_assert!(windows.open(next).is_some_and(|end| end > next));
                }
            }
        }
    }

    #[test]
    fn a_calendar_opens_when_it_says(
        texts in vec(select(valid()), 0..4),
        days in vec((date(), date(), any_or(vec!["UTC".to_owned(), "Europe/Berlin".to_owned(), "Pacific/Apia".to_owned()])), 0..4),
        now in time(),
    ) {
        let windows = texts.iter().map(|text| text.parse().unwrap()).collect();
        let windows = Windows::new(windows);
        let blackouts = days.iter().filter_map(|(from, to, zone)| Blackout::new(*from, *to, zone).ok());
        let calendar = Calendar::new(windows.clone(), blackouts.collect());
        if let Some(end) = calendar.open(now) {
            prop_assert!(windows.open(now).is_some_and(|longest| end <= longest));
            prop_assert!(end > now || now == Timestamp::MAX);
            prop_assert_eq!(calendar.next_opening(now), None);
        } else if let Some(next) = calendar.next_opening(now) {
            prop_assert!(next > now && calendar.open(next).is_some());
        }
    }
}
