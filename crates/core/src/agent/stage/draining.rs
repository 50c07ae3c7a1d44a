//! A grant was accepted: the node is cordoned, and its pods leave.

use super::Show;
use super::approach::{Asking, Stop};
use crate::agent::decision::DrainNews;
use crate::agent::drain::Drain;
use crate::agent::ending::Ending;
use crate::agent::facts::Facts;
use crate::agent::seen::NodeSeen;
use crate::agent::state::Attempt;
use crate::node::NodeView;
use crate::time::Time;
use crate::values::Phase;

/// The result of a step in this stage.
pub(crate) enum Next {
    /// The drain is not over.
    Stay(Show),
    /// Nothing has to leave since this time, and the pool demands a delay.
    Delay(Time),
    /// The reboot is requested.
    Reboot(Show),
    /// Somebody else rebooted the host.
    Verify,
    /// The grant is given up.
    End(Ending),
}

/// The step of an attempt that is being drained, and the progress of the drain.
pub(crate) fn next(facts: &Facts<'_>, attempt: &Attempt) -> (Next, DrainNews) {
    let nothing = DrainNews::default();
    if facts.has_booted_since(attempt) {
        return (Next::Verify, nothing);
    }
    match &facts.seen.node {
        NodeSeen::Present { view, live } => drains(facts, attempt, view, *live),
        NodeSeen::Absent => (Next::End(Ending::deleted()), nothing),
        // Without the API server a drain can't continue, and nothing reboots.
        NodeSeen::Unknown(_) => (Next::Stay(Show::new(Phase::Draining, None)), nothing),
    }
}

fn drains(facts: &Facts<'_>, attempt: &Attempt, node: &NodeView, live: bool) -> (Next, DrainNews) {
    let limit = facts.ladder(attempt).all;
    let pending = match facts.stands(attempt, node, limit) {
        Ok(pending) => pending,
        Err(stop) => return (stop.into(), DrainNews::default()),
    };
    let (drain, news) = facts.drain(attempt, node, None);
    let next = match drain {
        Drain::Goes {
            reason, act, wake, ..
        } => Next::Stay(Show {
            phase: Phase::Draining,
            reason,
            act,
            wake,
        }),
        Drain::Stuck(reason, pods) => Next::End(Ending::DrainStuck(reason, pods)),
        Drain::Clear if !attempt.grant.drain.delay().is_zero() => Next::Delay(facts.now),
        Drain::Clear => match facts.free(attempt, &pending, limit) {
            Err(stop) => stop.into(),
            Ok(()) => facts.ask(&pending, live).into(),
        },
    };
    (next, news)
}

impl From<Stop> for Next {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::End(ending) => Self::End(ending),
            Stop::Wait(show) => Self::Stay(*show),
        }
    }
}

impl From<Asking> for Next {
    fn from(asking: Asking) -> Self {
        match asking {
            Asking::NotYet(show) => Self::Stay(show),
            Asking::Now(show) => Self::Reboot(show),
        }
    }
}
