use super::*;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(holder: &str, renewed: &str) -> Record {
    Record {
        holder: holder.to_owned(),
        duration: DURATION,
        renewed: renewed.to_owned(),
    }
}

#[test]
fn a_lease_is_taken_only_from_nobody_or_from_the_silent() {
    let short = Record {
        duration: at(1),
        ..record("a", "t1")
    };
    let cases = [
        (record("", "t1"), 100, Decision::Acquire),
        (record("me", "t1"), 100, Decision::Renew),
        (record("me", "t1"), 1000, Decision::Renew),
        (record("a", "t1"), 100, Decision::Wait(at(15))),
        (record("a", "t1"), 114, Decision::Wait(at(1))),
        (record("a", "t1"), 115, Decision::Acquire),
        (short.clone(), 100, Decision::Wait(at(1))),
        (short, 101, Decision::Acquire),
    ];
    for (record, now, expected) in cases {
        let observed = Observed::after(None, record, at(100));
        assert_eq!(
            decide("me", &observed, at(now)),
            expected,
            "{observed:?} at {now}"
        );
    }
}

#[test]
fn only_a_change_of_the_record_starts_its_time_anew() {
    let first = Observed::after(None, record("a", "t1"), at(100));
    let cases = [
        (record("a", "t1"), 100),
        (record("a", "t2"), 110),
        (record("b", "t1"), 110),
        (record("", "t1"), 110),
    ];
    for (record, since) in cases {
        let next = Observed::after(Some(&first), record.clone(), at(110));
        assert_eq!(
            next,
            Observed {
                record,
                since: at(since)
            }
        );
    }
}

/// Two operators with clocks of their own, one of which stops to be heard after any of its steps.
#[test]
fn two_never_lead_at_the_same_time() {
    for lost_after in 0..20 {
        for start in 0..15 {
            let renewed_at = lost_after * RENEW.as_secs();
            let leads_until = renewed_at + RENEW_DEADLINE.as_secs();
            let mut observed: Option<Observed> = None;
            let mut now = start;
            let taken_at = loop {
                let renewal = now.min(renewed_at) / RENEW.as_secs();
                // The other clock shows a million seconds more.
                let local = at(now + 1_000_000);
                let read = record("a", &renewal.to_string());
                let seen = Observed::after(observed.as_ref(), read, local);
                if decide("b", &seen, local) == Decision::Acquire {
                    break now;
                }
                observed = Some(seen);
                now += RETRY.as_secs();
            };
            assert!(
                taken_at > leads_until,
                "taken at {taken_at}, led until {leads_until}"
            );
            let latest = start.max(renewed_at) + DURATION.as_secs() + 2 * RETRY.as_secs();
            assert!(taken_at <= latest, "taken at {taken_at} only");
        }
    }
}
