//! The drain is over, and the pool demands a delay before the reboot.

use super::Show;
use super::approach::{Asking, Stop};
use crate::agent::decision::DrainNews;
use crate::agent::drain::Drain;
use crate::agent::ending::Ending;
use crate::agent::facts::Facts;
use crate::agent::seen::NodeSeen;
use crate::agent::state::Attempt;
use crate::host::Deployment;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::Phase;

/// The result of a step in this stage.
pub(crate) enum Next {
    /// The delay, counted from `since`, is not over.
    Stay { since: Time, show: Show },
    /// New pods have to leave.
    Drain,
    /// The reboot is requested.
    Reboot(Show),
    /// Somebody else rebooted the host.
    Verify,
    /// The grant is given up.
    End(Ending),
}

/// The step of an attempt whose drain ended at `since`, and the progress of the drain.
pub(crate) fn next(facts: &Facts<'_>, attempt: &Attempt, since: Time) -> (Next, DrainNews) {
    let nothing = DrainNews::default();
    if facts.has_booted_since(attempt) {
        return (Next::Verify, nothing);
    }
    match &facts.seen.node {
        NodeSeen::Present { view, live } => delays(facts, attempt, since, (view, *live)),
        NodeSeen::Absent => (Next::End(Ending::deleted()), nothing),
        // Without the API server nothing reboots.
        NodeSeen::Unknown(_) => {
            let show = Show::new(Phase::Draining, None);
            (Next::Stay { since, show }, nothing)
        }
    }
}

fn delays(
    facts: &Facts<'_>,
    attempt: &Attempt,
    since: Time,
    (node, live): (&NodeView, bool),
) -> (Next, DrainNews) {
    let stay = |show| Next::Stay { since, show };
    let limit = facts.ladder(attempt).all;
    let pending = match facts.stands(attempt, node, limit) {
        Ok(pending) => pending,
        Err(Stop::Wait(show)) => return (stay(*show), DrainNews::default()),
        Err(Stop::End(ending)) => return (Next::End(ending), DrainNews::default()),
    };
    // If the clock was set back, the delay counts from now, and the drain as not over yet.
    let ended = Some(since).filter(|since| *since <= facts.now);
    let since = ended.unwrap_or(facts.now);
    let stay = |show| Next::Stay { since, show };
    let (drain, news) = facts.drain(attempt, node, ended);
    let next = match drain {
        Drain::Goes { pods: true, .. } => Next::Drain,
        Drain::Goes {
            reason, act, wake, ..
        } => stay(Show {
            phase: Phase::Draining,
            reason,
            act,
            wake,
        }),
        Drain::Stuck(reason, pods) => Next::End(Ending::DrainStuck(reason, pods)),
        Drain::Clear => match facts.rest_of_delay(attempt, since) {
            Some(show) => stay(show),
            None => leaves(facts, attempt, (since, limit), (&pending, live)),
        },
    };
    (next, news)
}

/// The step after the delay.
fn leaves(
    facts: &Facts<'_>,
    attempt: &Attempt,
    (since, limit): (Time, Time),
    (pending, live): (&Deployment, bool),
) -> Next {
    match facts.free(attempt, pending, limit) {
        Err(Stop::End(ending)) => Next::End(ending),
        Err(Stop::Wait(show)) => Next::Stay { since, show: *show },
        Ok(()) => match facts.ask(pending, live) {
            Asking::NotYet(show) => Next::Stay { since, show },
            Asking::Now(show) => Next::Reboot(show),
        },
    }
}

impl Facts<'_> {
    /// What the node shows until the delay is over; `None` once it is.
    fn rest_of_delay(&self, attempt: &Attempt, since: Time) -> Option<Show> {
        let until = since.later(attempt.grant.drain.delay());
        (self.now < until).then(|| {
            let text = format!("the reboot comes at {until}");
            let reason = Reason::new(Code::DrainDelay, text);
            Show::new(Phase::Draining, Some(reason)).for_at_most(self.until(until))
        })
    }
}
