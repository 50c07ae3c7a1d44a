//! No grant is being acted on: announce, stage, and answer a grant that comes.

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

/// What follows.
pub(crate) enum Next {
    /// The node stays without a grant, or with one that is not answered yet.
    Stay(Show),
    /// The grant is accepted.
    Accept(Box<Attempt>),
    /// The grant is refused.
    Refuse {
        id: GrantId,
        reason: Reason,
        /// It would be the same for a while.
        pauses: bool,
    },
}

/// What a grant is answered with.
enum Answer {
    /// Not yet: something is still to be seen.
    Wait,
    /// It can be acted on.
    Accept(Box<Attempt>),
    /// It can't.
    Refuse(Reason),
    /// Not before this was done.
    After(Act),
    /// Not before more is known; the reason if that lasts, and when to look again.
    Unknown(Option<Reason>, Option<SignedDuration>),
    /// It can't, and it would be the same for a while.
    BackOff(Reason),
}

/// The step without an accepted grant, and where the node is before it.
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

    /// Where the node is, and what it says of that.
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
            // A deployment that somebody else made is left as it is: no further check would come that could take the failure back.
            (Some(pending), None) => {
                let looked = self.looked().filter(|_| self.is_ours(pending));
                let reported = self.occupied().or_else(|| self.at_risk(pending));
                let reported = reported.or_else(|| self.cordoned_by_other());
                (Rest::Waiting, Phase::Waiting, reported.or(looked))
            }
            (None, _) if self.seen.staging == Staging::Lasting => {
                (Rest::Staging, Phase::Staging, held())
            }
            // Without a pending deployment nothing is held back, but what goes wrong is reported.
            (None, _) => (Rest::Idle, Phase::Idle, held().or_else(|| self.looked())),
        }
    }

    /// What anybody could boot is no less at risk because something else holds.
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

    /// What to do with a grant that was not answered yet.
    fn judge(&self, grant: &Grant, hold: Option<&Hold>) -> Answer {
        if self.now > grant.deadline {
            return Answer::Refuse(Code::GrantExpired.into());
        }
        let Some(host) = self.host().filter(|_| self.seen.staging == Staging::Idle) else {
            return Answer::Wait;
        };
        // It could not be finalized, and the drain would be for nothing. Most work of others is over before the grant is.
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

    /// The attempt that begins with `grant`, which is for `pending`.
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
            twin: others.any(|other| other.identity == pending.identity),
            back: host.others.iter().any(|other| other.id == pending.id),
            // What was away or broken by then is not counted against the update.
            members: pods.map(|pods| control_plane::ready(pods, &node.name)),
        };
        Attempt::new(Accepted::new(grant, progress), baseline)
    }
}
