use cuo_core::gate::Gate;

use super::*;

const VALID: SignedDuration = SignedDuration::from_mins(10);
const NOW: i64 = 1_000_000;

fn at(minutes: i64) -> Time {
    Time::from_second(NOW + 60 * minutes)
}

fn known(open: bool, until: Option<i64>, reason: &str) -> FoundGate {
    Ok(Gate {
        open,
        until: until.map(at),
        reason: Some(reason.to_owned()),
    })
}

fn spec(open: bool, until: Option<i64>, reason: &str) -> GateSpec {
    GateSpec {
        open,
        until: until.map(at),
        reason: Some(reason.to_owned()),
    }
}

#[test]
fn a_gate_is_written_only_where_it_is_not_as_it_should_be() {
    let open = Verdict::seen(true, "well".into());
    let closed = Verdict::seen(false, "alerts: A".into());
    let opened = Some(spec(true, Some(10), "well"));
    let shut = Some(spec(false, None, "alerts: A"));
    let table = [
        // Missing, or not understood.
        (None, &open, opened.clone()),
        (None, &closed, shut.clone()),
        (
            Some(Err("open: no boolean".to_owned())),
            &closed,
            shut.clone(),
        ),
        // As it should be.
        (Some(known(true, Some(10), "well")), &open, None),
        (Some(known(true, Some(6), "well")), &open, None),
        (Some(known(false, None, "alerts: A")), &closed, None),
        // Half of its time has passed, or all of it.
        (Some(known(true, Some(5), "well")), &open, opened.clone()),
        (Some(known(true, Some(-1), "well")), &open, opened.clone()),
        // Open without an end, or for longer than it may be: it would stay so without the companion.
        (Some(known(true, None, "well")), &open, opened.clone()),
        (Some(known(true, Some(11), "well")), &open, opened.clone()),
        // Somebody else wrote it.
        (Some(known(false, None, "by hand")), &open, opened.clone()),
        (Some(known(true, Some(8), "by hand")), &closed, shut.clone()),
        (
            Some(known(false, Some(8), "alerts: A")),
            &closed,
            shut.clone(),
        ),
        // Other alerts.
        (Some(known(false, None, "alerts: B")), &closed, shut),
        (Some(known(true, Some(9), "other")), &open, opened),
    ];
    for (known, verdict, expected) in table {
        let found = next(known.as_ref(), verdict, VALID, at(0));
        assert_eq!(found, expected, "{known:?} {verdict:?}");
    }
}

#[test]
fn a_reason_is_as_long_as_it_may_be() {
    let fits = "ä".repeat(256);
    assert_eq!(Verdict::seen(true, fits.clone()).reason, fits);
    let long = Verdict::unseen(false, "ä".repeat(257));
    assert_eq!(long.reason, format!("{}…", "ä".repeat(255)));
    assert!(long.unknown && !long.open);
}

#[test]
fn a_look_is_as_old_as_the_wall_clock_says() {
    let now = Timestamp::from_second(NOW).unwrap();
    let every = SignedDuration::from_secs(30);
    let table = [
        (0, true),
        (30, true),
        (31, false),
        (3600, false),
        (-1, true),
        (-31, false),
    ];
    for (age, expected) in table {
        let seen = Timestamp::from_second(NOW - age).unwrap();
        assert_eq!(fresh(seen, every, now), expected, "{age}");
    }
}
