//! Which of several operators leads: decided from a lease that is read and replaced with a compare-and-swap.
//!
//! A leader stops leading [`RENEW_DEADLINE`] after the beginning of its last successful renewal. Others take the lease only once they have
//! seen it unchanged for its whole [`DURATION`], measured on their own clock from when they first saw it so. Clocks of different hosts are
//! never compared; their rates must agree within the ratio of the two times.
//!
//! Leadership only avoids double work. It does not make grants safe: the ledger's compare-and-swap does.

use std::time::Duration;

/// How long a lease is valid after its last renewal.
pub const DURATION: Duration = Duration::from_secs(15);

/// How long after its last successful renewal a leader may still act.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// How often the leader renews.
pub const RENEW: Duration = Duration::from_secs(4);

/// How often the others check the lease, and how soon a failed renewal is retried.
pub const RETRY: Duration = Duration::from_secs(2);

/// The lease as read from the API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// The holder's name; empty if nobody holds the lease.
    pub holder: String,
    /// How long the lease is valid after each renewal.
    pub duration: Duration,
    /// The time of the last renewal as its holder wrote it. It is only compared for equality.
    pub renewed: String,
}

/// A lease, and since when it has been unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The lease as read.
    pub record: Record,
    /// When it was first seen like this, on this process's monotonic clock, as the time since a fixed instant.
    pub since: Duration,
}

impl Observed {
    /// The observation after `record` was read at `now`; `before` is the previous one.
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
    /// Renew it: this operator holds it.
    Renew,
    /// Wait at least this long: somebody else holds it.
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
