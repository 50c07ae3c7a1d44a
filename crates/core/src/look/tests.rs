use super::*;

const RETRY: Doubling<SignedDuration> = Doubling {
    first: SignedDuration::from_mins(1),
    cap: SignedDuration::from_mins(60),
};
const PERIOD: SignedDuration = SignedDuration::from_hours(6);

/// The pauses in minutes after failures of these codes in a row.
fn pauses(looks: &mut Looks, codes: &[Code]) -> Vec<i64> {
    let mut pause = |code: &Code| looks.ended(Err((*code).into()), &RETRY, PERIOD).as_mins();
    codes.iter().map(&mut pause).collect()
}

#[test]
fn what_passes_is_tried_again_soon_and_what_lasts_once_a_period() {
    let period = PERIOD.as_mins();
    for code in [
        Code::SignatureRefused,
        Code::OlderVersion,
        Code::LayeringConflict,
        Code::OriginUnusable,
        Code::RpmOstreeDenied,
    ] {
        let mut looks = Looks::default();
        assert_eq!(pauses(&mut looks, &[code; 3]), [period; 3], "{code}");
        assert!(looks.failed());
    }
    for code in [
        Code::NetworkFailed,
        Code::DiskFull,
        Code::StageFailed,
        Code::RpmOstreeUnavailable,
        Code::RpmOstreeBusy,
    ] {
        let mut looks = Looks::default();
        let expected = [1, 2, 4, 8, 16, 32, 60, 60];
        assert_eq!(pauses(&mut looks, &[code; 8]), expected, "{code}");
        assert_eq!(looks.reported().map(|reported| reported.code), Some(code));
        let reported = Some(Reason::from(Code::NothingStaged));
        assert_eq!(looks.ended(Ok(reported.clone()), &RETRY, PERIOD), PERIOD);
        assert_eq!(looks.reported(), reported.as_ref());
        assert!(!looks.failed());
        assert_eq!(pauses(&mut looks, &[code]), [1], "{code} after a success");
    }
}

#[test]
fn a_short_period_bounds_every_pause() {
    let (mut looks, period) = (Looks::default(), SignedDuration::from_secs(90));
    for code in [
        Code::NetworkFailed,
        Code::NetworkFailed,
        Code::OriginUnusable,
    ] {
        assert!(looks.ended(Err(code.into()), &RETRY, period) <= period);
    }
}

#[test]
fn a_daemon_that_dies_of_it_again_and_again_is_left_alone() {
    let mut looks = Looks::default();
    let died = Code::RpmOstreeDied;
    assert_eq!(
        pauses(&mut looks, &[died, died, died, died]),
        [1, 2, 360, 360]
    );
    let mut looks = Looks::default();
    let other = Code::NetworkFailed;
    assert_eq!(pauses(&mut looks, &[died, died, other, died]), [1, 2, 4, 8]);
}

/// Half an hour in simulated time.
#[test]
fn somebody_else_at_work_for_half_an_hour_is_waited_for_and_told() {
    let (mut looks, mut minute, mut tries, mut reported) = (Looks::default(), 0, 0, None);
    while minute < 30 {
        minute += looks
            .ended(Err(Code::RpmOstreeBusy.into()), &RETRY, PERIOD)
            .as_mins();
        tries += 1;
        reported = reported.or(looks.reported().map(|_| tries));
    }
    assert_eq!((minute, tries, reported), (31, 5, Some(3)));
    assert_eq!(looks.ended(Ok(None), &RETRY, PERIOD), PERIOD);
    assert_eq!(looks.reported(), None);
}

#[test]
fn the_first_look_comes_after_the_boot_has_settled() {
    let seconds = SignedDuration::from_secs;
    let table = [
        (Some(0), 0.0, 60),
        (Some(20), 0.0, 40),
        (Some(20), 0.5, 70),
        (Some(59), 1.0, 61),
        (Some(60), 1.0, 0),
        (Some(100_000), 0.5, 0),
        (None, 0.5, 0),
    ];
    for (uptime, chance, expected) in table {
        let pause = first(seconds(60), uptime.map(seconds), chance);
        assert_eq!(pause, seconds(expected), "{uptime:?} {chance}");
    }
}

#[test]
fn a_period_is_spread_by_chance_and_by_no_more_than_the_jitter() {
    let (period, jitter) = (SignedDuration::from_hours(6), SignedDuration::from_mins(30));
    let minutes = |chance| spread(period, jitter, chance).as_mins();
    assert_eq!([0.0, 0.5, 1.0].map(minutes), [360, 375, 390]);
    assert_eq!([-1.0, 7.0].map(minutes), [360, 390]);
    let most = spread(SignedDuration::MAX, SignedDuration::MAX, 1.0);
    assert_eq!(most, SignedDuration::MAX);
}

#[test]
fn another_process_goes_on_with_the_pause_of_the_last() {
    let now: Time = "2026-05-01T12:00:00Z".parse().unwrap();
    let longest = SignedDuration::from_hours(6);
    for (next, left) in [
        ("2026-05-01T11:59:59Z", None),
        ("2026-05-01T12:00:00Z", None),
        ("2026-05-01T12:10:00Z", Some(10)),
        ("2026-05-01T18:00:00Z", Some(360)),
        // The clock went back, or the period is shorter now.
        ("2026-05-01T18:00:01Z", None),
    ] {
        let found = resumed(next.parse().unwrap(), now, longest);
        assert_eq!(found, left.map(SignedDuration::from_mins), "{next}");
    }
}

#[test]
fn whatever_a_look_fails_with_by_its_words_is_marked_so() {
    let classes = words::CLASSES.iter().map(|(code, _)| *code);
    let unmarked: Vec<_> = classes
        .chain([words::class("nobody knows this")])
        .filter(|code| !code.is(Attribute::FailsLook))
        .collect();
    assert_eq!(unmarked, []);
}
