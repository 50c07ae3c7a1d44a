//! The reboot was requested, or was about to be: from then to the end of this boot.

use super::Show;
use super::approach::{Asking, Unwanted};
use crate::agent::decision::Act;
use crate::agent::ending::Ending;
use crate::agent::facts::{Facts, SECOND, cordoned};
use crate::agent::seen::{Asked, NodeSeen};
use crate::agent::state::{Attempt, Request};
use crate::drain::left;
use crate::host::Deployment;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{DrainMode, Phase};

/// How often rpm-ostree is asked to finalize while the host stays up.
const FINALIZATIONS: u32 = 3;

/// The result of a step in this stage.
pub(crate) enum Next {
    /// The host may go down at any time, or needs a person.
    Stay(Show),
    /// The process that requested the reboot is gone, and the reboot is requested once more.
    Reboot(Show),
    /// No reboot is in progress, and the drain has to be checked again before the next request.
    Drain,
    /// The host has booted.
    Verify,
    /// The grant is given up.
    End(Ending),
}

/// The step of an attempt whose reboot was requested by `request`.
pub(crate) fn next(facts: &Facts<'_>, attempt: &Attempt, request: &Request) -> Next {
    if facts.has_booted_since(attempt) {
        return Next::Verify;
    }
    let NodeSeen::Present { view, live } = &facts.seen.node else {
        // A reboot that was requested comes without further calls.
        return stay(None);
    };
    let asked = facts.seen.asked.as_ref();
    match asked.filter(|asked| asked.id == attempt.grant.progress.id) {
        None => resumes(facts, (attempt, request), (view, *live)),
        Some(asked) if asked.busy.is_some() => Next::Drain,
        Some(asked) => match &asked.refused {
            Some(reason) => gives_up(reason.clone()),
            None => waits(facts, attempt, asked, (view, *live)),
        },
    }
}

fn stay(reason: Option<Reason>) -> Next {
    Next::Stay(Show::new(Phase::Rebooting, reason))
}

fn gives_up(reason: Reason) -> Next {
    Next::End(Ending::GivenUp(reason))
}

/// A person has to look, and the host may still go down.
fn needs_person(reason: Reason) -> Next {
    Next::Stay(Show::new(Phase::Failed, Some(reason)))
}

/// The step after this process requested the reboot, which nobody refused.
fn waits(
    facts: &Facts<'_>,
    attempt: &Attempt,
    asked: &Asked,
    (node, live): (&NodeView, bool),
) -> Next {
    let last = asked.again.unwrap_or(asked.at);
    let nothing = facts.came_to_nothing(attempt, asked);
    let left = last.later(facts.settings.shutdown).since(facts.tick);
    if left.is_positive() && !nothing {
        return Next::Stay(Show::new(Phase::Rebooting, None).for_at_most(left));
    }
    let pending = match facts.still_wanted(attempt, node) {
        Ok(pending) => pending,
        Err(Unwanted::Because(reason)) if nothing => return gives_up(reason),
        Err(why) => {
            let gone = facts.tick.since(last);
            let gone = gone.saturating_sub(facts.settings.shutdown);
            return unwanted(facts, why, facts.now.later(-gone));
        }
    };
    match facts.once_more(pending, asked) {
        None => needs_person(Code::RebootDidNotHappen.into()),
        Some(act) => match facts.once_confirmed(act, live) {
            Asking::NotYet(show) | Asking::Now(show) => Next::Stay(show),
        },
    }
}

/// The step if the process that requested the reboot, or was about to, is gone. Asking again is safe while the grant is valid.
fn resumes(
    facts: &Facts<'_>,
    (attempt, request): (&Attempt, &Request),
    (node, live): (&NodeView, bool),
) -> Next {
    let patience = facts.limit(request.at, request.up, facts.settings.shutdown);
    let pending = match facts.still_wanted(attempt, node) {
        Ok(pending) => pending,
        Err(why) => return unwanted(facts, why, patience),
    };
    if let Some(reason) = facts.obstructed(&pending) {
        return unwanted(facts, Unwanted::Because(reason), patience);
    }
    let policy = &attempt.grant.drain;
    if policy.mode != DrainMode::None && facts.now > patience && !facts.seen.busy {
        // Nobody has watched the cordon since.
        match &facts.seen.pods {
            Err(why) if why.is_empty() => return stay(None),
            Ok(pods) if left(pods, policy, cordoned(node)).is_empty() => {}
            Err(_) | Ok(_) => return Next::Drain,
        }
    }
    match facts.ask(&pending, live) {
        Asking::NotYet(show) => Next::Stay(show),
        Asking::Now(show) => Next::Reboot(show),
    }
}

/// The step if the requested reboot is not wanted any more, or its target is unknown. It may still happen until `patience`, and while
/// rpm-ostree is at work. After that no reboot is in progress: logind would have announced the shutdown.
fn unwanted(facts: &Facts<'_>, why: Unwanted, patience: Time) -> Next {
    let (reason, patience, known) = match why {
        Unwanted::Because(reason) => (reason, patience, true),
        Unwanted::Unknown => {
            let patience = patience.later(facts.settings.shutdown);
            (facts.unavailable(), patience, false)
        }
    };
    if reason.code == Code::SoftReboot {
        // The reboot in progress turned out to be this soft reboot.
        return gives_up(reason);
    }
    if facts.now <= patience {
        let wake = facts.until(patience.later(SECOND));
        return Next::Stay(Show::new(Phase::Rebooting, Some(reason)).for_at_most(wake));
    }
    if !known {
        return needs_person(reason);
    }
    if facts.seen.busy {
        return stay(Some(Code::RpmOstreeBusy.into()));
    }
    // The host may still go down, unless rpm-ostree has not begun: its first step is to unlock the deployment.
    let locked = facts.pending().is_some_and(|next| facts.locked(next));
    if reason.code == Code::GrantRevoked && !locked {
        return needs_person(Code::RebootDidNotHappen.into());
    }
    // Whoever withdrew the grant or changed the pending deployment did so while the host was up.
    gives_up(reason)
}

impl Facts<'_> {
    /// Whether rpm-ostree went away before it began: it unlocks the staged deployment first, and that is still locked.
    fn came_to_nothing(&self, attempt: &Attempt, asked: &Asked) -> bool {
        let rests = asked.unheard && !self.seen.busy && asked.times < FINALIZATIONS;
        let pending = self.wanted(attempt);
        rests && pending.is_ok_and(|pending| self.locked(&pending))
    }

    /// How to request the reboot again: through rpm-ostree while the deployment may be locked, since any other reboot would drop it, else
    /// through logind, and that only once. `None` after enough tries.
    fn once_more(&self, pending: Deployment, asked: &Asked) -> Option<Act> {
        if asked.again.is_some() {
            return None;
        }
        let survey = self.seen.survey.as_ref().ok();
        let noted = survey.and_then(|survey| survey.locked(&pending));
        let unlocked = noted.map_or(asked.unlocked, |locked| !locked);
        let first = self.is_first(&pending) || self.only_reboots();
        match first && (unlocked || !pending.staged) {
            true => Some(Act::Reboot),
            false if asked.times >= FINALIZATIONS => None,
            false if first => Some(Act::Finalize(pending)),
            false => Some(Act::RollBack(pending)),
        }
    }
}
