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
        // No time is later than this one.
        (
            &["20:00 4h"],
            "9999-12-30T21:00:00Z",
            Some("9999-12-30T22:00:00.999999999Z"),
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
