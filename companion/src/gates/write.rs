//! What a gate is to be, and whether that has to be written.

use cuo_coordination::gate::GateSpec;
use cuo_core::gate::FoundGate;
use cuo_core::time::Time;
use jiff::{SignedDuration, Timestamp};

use crate::text::short;

/// As many characters a gate's reason may have (`UpdateGate`'s schema).
const REASON: usize = 256;

/// What a look at a gate's condition came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the gate is to be open.
    pub open: bool,
    /// Why, in at most [`REASON`] characters. It has no clock in it.
    pub reason: String,
    /// The condition could not be looked at.
    pub unknown: bool,
}

impl Verdict {
    /// Open or closed, because of what was seen.
    pub fn seen(open: bool, reason: String) -> Self {
        Self {
            open,
            reason: short(&reason, REASON),
            unknown: false,
        }
    }

    /// Open or closed although nothing was seen.
    pub fn unseen(open: bool, reason: String) -> Self {
        Self {
            unknown: true,
            ..Self::seen(open, reason)
        }
    }
}

/// Whether a look as of `seen` still says at `now` what is there, for a gate that is looked at each `every`. Both are by the wall clock: a
/// host that was suspended has timers that do not know of it. A clock that was set back says nothing of the age.
pub fn fresh(seen: Timestamp, every: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(seen).abs() <= every
}

/// What has to be written at `now` for the gate to be as `verdict` says, if anything: an open gate is opened again once half of the time
/// that it stays open has passed.
pub fn next(
    known: Option<&FoundGate>,
    verdict: &Verdict,
    valid_for: SignedDuration,
    now: Time,
) -> Option<GateSpec> {
    let until = verdict.open.then(|| now.later(valid_for));
    let spec = GateSpec {
        open: verdict.open,
        until,
        reason: Some(verdict.reason.clone()),
    };
    let Some(Ok(known)) = known else {
        return Some(spec);
    };
    if known.open != spec.open || known.reason != spec.reason {
        return Some(spec);
    }
    let fine = match (known.until, until) {
        (None, None) => true,
        // Neither about to end, nor later than it would be written now, as after a clock was set back.
        (Some(known), Some(until)) => known.since(now) * 2 > valid_for && known <= until,
        (Some(_), None) | (None, Some(_)) => false,
    };
    (!fine).then_some(spec)
}

#[cfg(test)]
mod tests;
