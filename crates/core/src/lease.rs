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
mod tests;
