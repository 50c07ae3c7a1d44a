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
