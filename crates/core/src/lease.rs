//! Which of several operators leads: decided from a lease that is read and replaced with a compare-and-swap.
//!
//! A leader stops to lead [`RENEW_DEADLINE`] after the beginning of its last successful renewal. Others take the lease only once they have
//! seen it unchanged for its whole [`DURATION`], counted on their own clock from when they first saw it so. Clocks of different hosts are
//! never compared; only their rates must agree, within the ratio of the two times.
//!
//! Leading is about not working twice. No grant is safe because of it: that is the ledger's compare-and-swap.

use std::time::Duration;

/// How long a lease holds that its holder does not renew.
pub const DURATION: Duration = Duration::from_secs(15);

/// How long after its last successful renewal a leader may still act.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// How often a leader renews.
pub const RENEW: Duration = Duration::from_secs(4);

/// How often everybody else looks, and how soon a failed renewal is tried again.
pub const RETRY: Duration = Duration::from_secs(2);

/// The lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Who holds it; empty if nobody does.
    pub holder: String,
    /// How long it holds from each renewal on.
    pub duration: Duration,
    /// When it was last renewed, as its holder wrote it: only compared for being the same.
    pub renewed: String,
}

/// A lease, and since when it has looked like this.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observed {
    /// How it looks.
    pub record: Record,
    /// When it was first seen so, on this process' monotonic clock, as the time since any fixed instant.
    pub since: Duration,
}

impl Observed {
    /// What is known after `record` was read at `now`, having known `before`.
    pub fn after(before: Option<&Self>, record: Record, now: Duration) -> Self {
        let since = match before {
            Some(before) if before.record == record => before.since,
            _ => now,
        };
        Self { record, since }
    }
}

/// What to do with the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Take it: nobody holds it, or its holder has not renewed it in time.
    Acquire,
    /// It is ours: renew it.
    Renew,
    /// Somebody else holds it, and at least for this long.
    Wait(Duration),
}

/// What `me` does with the lease at `now`.
pub fn decide(me: &str, observed: &Observed, now: Duration) -> Decision {
    let Record {
        holder, duration, ..
    } = &observed.record;
    if holder == me {
        return Decision::Renew;
    }
    let left = (observed.since + *duration).saturating_sub(now);
    if holder.is_empty() || left.is_zero() {
        Decision::Acquire
    } else {
        Decision::Wait(left)
    }
}

#[cfg(test)]
mod tests {
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
}
