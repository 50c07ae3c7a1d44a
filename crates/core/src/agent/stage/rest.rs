//! No grant is being acted on: announce what is pending, stage updates, and answer a new grant.

use jiff::SignedDuration;

use super::Show;
use crate::agent::decision::Act;
use crate::agent::facts::Facts;
use crate::agent::holds::Hold;
use crate::agent::preflight::Begin;
use crate::agent::rollback::Unwell;
use crate::agent::seen::Staging;
use crate::agent::state::{Accepted, Attempt, Baseline, Exact};
use crate::agent::transitions::Rest;
use crate::control_plane;
use crate::host::{Deployment, Host};
use crate::ids::GrantId;
use crate::look::Mode;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::values::{Cordoned, Grant, Phase, Progress};

/// The result of a step in this stage.
pub(crate) enum Next {
    /// The node stays without a grant, or with one that is not answered yet.
    Stay(Show),
    /// The grant is accepted.
    Accept(Box<Attempt>),
    /// The grant is refused.
    Refuse {
        id: GrantId,
        reason: Reason,
        /// Whether to pause, because the next grant would be refused for the same reason for a while.
        pauses: bool,
    },
}

/// What to do about a grant.
enum Answer {
    /// Wait: the grant can't be judged yet.
    Wait,
    /// Accept it.
    Accept(Box<Attempt>),
    /// Refuse it.
    Refuse(Reason),
    /// Carry this out before deciding.
    After(Act),
    /// Wait for facts: the reason, if it takes long, and when to check again.
    Unknown(Option<Reason>, Option<SignedDuration>),
    /// Refuse it and pause, because the next one would be refused for the same reason for a while.
    BackOff(Reason),
}

/// The step without an accepted grant, and the node's place before it.
pub(crate) fn next(facts: &Facts<'_>) -> (Rest, Next) {
    let unwell = facts.unwell();
    let hold = facts.holds(unwell.as_ref());
    let (place, phase, reason) = facts.place(hold.as_ref(), unwell.as_ref());
    let mut show = facts.show(phase, reason, unwell.as_ref());
    let Some(grant) = facts.open_grant() else {
        return (place, Next::Stay(show));
    };
    let refuse = |reason, pauses| Next::Refuse {
        id: grant.id,
        reason,
        pauses,
    };
    let next = match facts.judge(grant, hold.as_ref()) {
        Answer::Accept(attempt) => Next::Accept(attempt),
        Answer::Refuse(reason) => refuse(reason, false),
        Answer::BackOff(reason) => refuse(reason, true),
        Answer::Wait => Next::Stay(show),
        Answer::After(act) => Next::Stay(show.and(act)),
        Answer::Unknown(reason, again) => {
            show.reason = show.reason.or(reason);
            show.wake = show.wake.into_iter().chain(again).min();
            Next::Stay(show)
        }
    };
    (place, next)
}

impl Facts<'_> {
    fn show(&self, phase: Phase, reason: Option<Reason>, unwell: Option<&Unwell>) -> Show {
        let settled = match unwell {
            Some(Unwell::Settling(until)) => Some(self.until(*until)),
            Some(Unwell::Unhealthy(_)) | None => None,
        };
        let pause = self.pause().map(|backoff| self.until(backoff.until));
        let act = match self.settings.mode {
            Mode::Stage | Mode::Check if !self.may_look() => Act::Wait,
            Mode::Stage => Act::Stage,
            Mode::Check => Act::Check,
        };
        Show {
            phase,
            reason,
            act,
            wake: pause.into_iter().chain(settled).min(),
        }
    }

    /// The node's place, with the phase and reason to show.
    fn place(&self, hold: Option<&Hold>, unwell: Option<&Unwell>) -> (Rest, Phase, Option<Reason>) {
        let pending = self.pending();
        let leaves = self.way_back().is_some();
        if let Some(Unwell::Unhealthy(sick)) = unwell
            && (pending.is_none() || leaves && hold.is_none())
        {
            let place = match leaves {
                true => Rest::AwaitingRollback,
                false => Rest::Failed,
            };
            return (place, Phase::Failed, Some(self.unhealthy_because(sick)));
        }
        let held = || hold.map(|hold| hold.reason.clone());
        match (pending, hold) {
            (Some(pending), Some(hold)) => {
                let place = match hold.is_pause {
                    true => Rest::BackingOff,
                    false => Rest::Held,
                };
                (place, Phase::Held, Some(self.held_because(hold, pending)))
            }
            (Some(pending), None) if self.not_yet(pending) => (Rest::Staged, Phase::Staged, None),
            // No look would follow that could clear an earlier failure, because somebody else's deployment is not replaced.
            (Some(pending), None) => {
                let looked = self.looked().filter(|_| self.is_ours(pending));
                let reported = self.occupied().or_else(|| self.at_risk(pending));
                let reported = reported
                    .or_else(|| self.cordoned_by_other())
                    .or_else(|| self.reboot_requested());
                (Rest::Waiting, Phase::Waiting, reported.or(looked))
            }
            (None, _) if self.seen.staging == Staging::Lasting => {
                (Rest::Staging, Phase::Staging, held())
            }
            // Nothing is held without a pending deployment, but problems are reported.
            (None, _) => (Rest::Idle, Phase::Idle, held().or_else(|| self.looked())),
        }
    }

    /// The reason to show for `hold`. It adds that the deployment is unlocked, since any reboot boots that in spite of the hold.
    fn held_because(&self, hold: &Hold, pending: &Deployment) -> Reason {
        let reason = &hold.reason;
        match self.at_risk(pending) {
            None => reason.clone(),
            Some(risk) => {
                let text = format!("{}; {}", reason.message, risk.message);
                Reason::new(reason.code, text)
            }
        }
    }

    /// What to do about a grant that has not been answered.
    fn judge(&self, grant: &Grant, hold: Option<&Hold>) -> Answer {
        if self.now > grant.deadline {
            return Answer::Refuse(Code::GrantExpired.into());
        }
        let Some(host) = self.host().filter(|_| self.seen.staging == Staging::Idle) else {
            return Answer::Wait;
        };
        // A busy rpm-ostree could not finalize, so the drain would be in vain. Most work of others ends before the grant expires.
        if hold.is_none() && self.seen.busy {
            return Answer::Wait;
        }
        let matching = self
            .pending()
            .filter(|pending| pending.identity == grant.identity);
        let Some(pending) = matching.filter(|_| grant.boot == self.seen.boot) else {
            return Answer::Refuse(Code::GrantMismatch.into());
        };
        if let Some(hold) = hold {
            return Answer::Refuse(hold.reason.clone());
        }
        let Some(node) = self.node() else {
            return Answer::Wait;
        };
        if let Some(by) = node.cordoned_by_other()
            && grant.cordoned == Cordoned::Hold
        {
            return Answer::BackOff(Reason::new(Code::CordonedByOther, by));
        }
        if let Ok(pods) = &self.seen.pods
            && !node.control_plane
            && !control_plane::parts(pods, &node.name).is_empty()
        {
            return Answer::Refuse(Code::ControlPlaneFound.into());
        }
        match self.may_begin(grant, node) {
            Begin::Now => Answer::Accept(Box::new(self.accepts(grant, (host, pending), node))),
            Begin::After(act) => Answer::After(act),
            Begin::Unknown(reason, wake) => Answer::Unknown(reason, wake),
            Begin::No(reason) => Answer::BackOff(reason),
        }
    }

    /// The attempt that `grant`, which is for `pending`, begins.
    fn accepts(
        &self,
        grant: &Grant,
        (host, pending): (&Host, &Deployment),
        node: &NodeView,
    ) -> Attempt {
        let progress = Progress {
            id: grant.id,
            identity: grant.identity,
            boot: self.seen.boot,
            accepted: self.now,
        };
        let mut others = host.others.iter();
        let pods = self.seen.pods.as_ref().ok();
        let baseline = Baseline {
            from: Some(host.booted.identity),
            between: Some([Exact::from(&host.booted), Exact::from(pending)]),
            uptime: self.seen.uptime,
            was_there: others.any(|other| other.identity == pending.identity),
            back: host.others.iter().any(|other| other.id == pending.id),
            plain: self.only_reboots(),
            // Pods that were missing before are not blamed on the update.
            members: pods.map(|pods| control_plane::ready(pods, &node.name)),
        };
        Attempt::new(Accepted::new(grant, progress), baseline)
    }
}
