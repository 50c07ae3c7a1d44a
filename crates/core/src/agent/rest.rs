//! No grant is being acted on: announce, stage, and answer a grant that comes.

use jiff::SignedDuration;

use super::drain::Begin;
use super::rollback::Ailment;
use super::state::{Attempt, Backoff, Exact, Intent};
use super::{Act, NodeSeen, Staging, Step, Work, target};
use crate::control_plane;
use crate::host::{Deployment, Host};
use crate::identity::GrantId;
use crate::look::Mode;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::values::{Cordoned, Field, Grant, Outcome, Phase, Progress, RebootResult};

impl Work<'_> {
    /// The step without an accepted grant.
    pub(super) fn rest(mut self) -> Step {
        self.claim();
        let ailment = self.ailment();
        let settled = match &ailment {
            Some(Ailment::Settles(until)) => Some(self.until(*until)),
            Some(Ailment::Sick(_)) | None => None,
        };
        let mut hold = self.holds(&ailment);
        let (mut first, mut unknown, mut again) = (None, None, None);
        if let Some(grant) = self.open_grant() {
            match self.judge(grant, hold.as_ref()) {
                Answer::Wait => {}
                Answer::After(act) => first = Some(act),
                Answer::Unknown(reason, wake) => (unknown, again) = (reason, wake),
                Answer::BackOff(reason) => {
                    let code = reason.code;
                    self.refuse(grant.id, code);
                    self.state.back_off(reason, &self.settings.retry, self.now);
                    hold = self.holds(&ailment);
                }
                Answer::Accept(attempt) => {
                    self.state.attempt = Some((*attempt).clone());
                    return self.act(*attempt);
                }
                Answer::Refuse(code) => self.refuse(grant.id, code),
            }
        }
        let (phase, reason) = self.show(hold, &ailment);
        let act = match self.settings.mode {
            _ if !self.may_look() => Act::Wait,
            Mode::Stage => Act::Stage,
            Mode::Check => Act::Check,
        };
        let (act, reason) = (first.unwrap_or(act), reason.or(unknown));
        if act == Act::Stage {
            self.state.staging = self.host().map(|host| Intent {
                boot: self.seen.boot,
                before: host.pending.as_ref().unwrap_or(&host.booted).id.clone(),
            });
        }
        let pause = self.pause().map(|backoff| self.until(backoff.until));
        let wake = pause.into_iter().chain(settled).chain(again).min();
        self.publish_or(phase, reason, act, wake)
    }

    fn refuse(&mut self, id: GrantId, code: Code) {
        self.state.result = Some(RebootResult {
            id,
            outcome: Outcome::Refused,
            code: Some(code.older().into()),
            at: self.now,
        });
    }

    pub(super) fn locked(&self, pending: &Deployment) -> bool {
        let survey = self.seen.survey.as_ref().ok();
        survey.and_then(|survey| survey.locked(pending)) == Some(true)
    }

    pub(super) fn host(&self) -> Option<&Host> {
        self.seen.host.as_ref().ok()
    }

    /// What a granted reboot would boot.
    pub(super) fn pending(&self) -> Option<&Deployment> {
        target(&self.state, self.host()?, &self.settings.health)
    }

    /// Why this node does not want to reboot now, though it may have to.
    fn holds(&self, ailment: &Option<Ailment>) -> Option<Reason> {
        if let Err(why) = &self.seen.host {
            return Some(Reason::new(Code::RpmOstreeUnavailable, why));
        }
        let leaves = self.way_back().is_some();
        self.operator_trouble()
            .or_else(|| self.node()?.paused.then(|| Code::Paused.into()))
            .or_else(|| self.held())
            .or_else(|| {
                let why = self.seen.survey.as_ref().err()?;
                Some(Reason::new(Code::UnitsUnknown, why))
            })
            .or_else(|| match ailment {
                Some(Ailment::Settles(_)) if leaves => Some(Code::Settling.into()),
                // It is to leave what is wrong.
                Some(Ailment::Sick(_)) if leaves => None,
                _ => self.unfit(),
            })
            .or_else(|| self.failed_before())
            .or_else(|| {
                let backoff = self.pause()?;
                Some(backoff.reason.clone())
            })
            .or_else(|| {
                // Until rpm-ostree is done nothing is missed that follows what it stages.
                let reason = self.obstructed(self.pending()?)?;
                (reason.code != Code::RpmOstreeBusy).then_some(reason)
            })
            .or_else(|| self.unready().filter(|_| !leaves))
    }

    /// Why what is there now can't be replaced, or not by what is pending.
    fn unfit(&self) -> Option<Reason> {
        self.booting().or_else(|| self.older()).or_else(|| {
            // What does not run before the boot would be counted against the update after it.
            let survey = self.seen.survey.as_ref().ok()?;
            survey.inactive(&self.settings.health.units)
        })
    }

    /// What is pending failed on this host.
    fn failed_before(&self) -> Option<Reason> {
        let pending = self.pending()?;
        let text = match self.state.failed.find(&pending.identity) {
            Some(failed) => {
                let code = failed.code.known();
                let how = code.and_then(|code| self.unwritten(code, &failed.identity));
                let how = how.unwrap_or_else(|| failed.code.means().to_owned());
                format!("{} failed here: {how}", failed.identity)
            }
            None if self.state.spoiled.as_ref() == Some(&pending.id) => {
                format!("the deployment {} failed here", pending.id)
            }
            None => {
                let left = self.left_before(pending);
                return left.or_else(|| self.lost_too_often(&pending.identity));
            }
        };
        Some(Reason::new(Code::IdentityFailed, text))
    }

    /// The kubelet does not say that the node can take pods.
    fn unready(&self) -> Option<Reason> {
        let node = self.node()?;
        let text = match (node.ready, node.kubelet_boot == Some(self.seen.boot)) {
            (true, true) => return None,
            (true, false) => "the kubelet has not reported since this boot",
            (false, _) => "the Node is not Ready",
        };
        Some(Reason::new(Code::NodeNotReady, text))
    }

    /// The agent's own update turned out to be a step back. rpm-ostree guards branches and images against that; this does not depend on
    /// it. The next look replaces it once there is something newer.
    fn older(&self) -> Option<Reason> {
        let (booted, pending) = (&self.host()?.booted, self.pending()?);
        (self.is_ours(pending) && pending.published < booted.published).then(|| {
            let text = format!(
                "what the host follows has gone back from {} to {}",
                booted.version, pending.version
            );
            Reason::new(Code::OlderVersion, text)
        })
    }

    /// Who holds shutdown up.
    pub(super) fn inhibited(&self) -> Option<Reason> {
        match &self.seen.inhibitors {
            Err(why) => Some(Reason::new(
                Code::Inhibited,
                format!("logind does not tell: {why}"),
            )),
            Ok(inhibitors) => {
                let first = inhibitors.first()?;
                Some(Reason::new(
                    Code::Inhibited,
                    format!("{} holds shutdown up: {}", first.who, first.why),
                ))
            }
        }
    }

    /// What to do with a grant that was not answered yet.
    fn judge(&self, grant: &Grant, hold: Option<&Reason>) -> Answer {
        if self.now > grant.deadline {
            return Answer::Refuse(Code::GrantExpired);
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
            return Answer::Refuse(Code::GrantMismatch);
        };
        if let Some(hold) = hold {
            return Answer::Refuse(hold.code);
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
            return Answer::Refuse(Code::ControlPlaneFound);
        }
        match self.may_begin(grant, node) {
            Begin::Now => {}
            Begin::After(act) => return Answer::After(act),
            Begin::Unknown(reason, wake) => return Answer::Unknown(reason, wake),
            Begin::No(reason) => return Answer::BackOff(reason),
        }
        Answer::Accept(Box::new(Attempt {
            progress: Progress {
                id: grant.id,
                identity: grant.identity,
                boot: self.seen.boot,
                accepted: self.now,
            },
            drain: grant.drain.clone(),
            from: Some(host.booted.identity),
            uptime: self.seen.uptime,
            between: Some([Exact::from(&host.booted), Exact::from(pending)]),
            twin: host
                .others
                .iter()
                .any(|other| other.identity == pending.identity),
            back: host.others.iter().any(|other| other.id == pending.id),
            requested: None,
            requested_up: None,
            good: None,
            pods: grant.pods.clone(),
            cordoned: grant.cordoned,
            foreign: false,
            members: self.members(node),
            drained: None,
        }))
    }

    fn show(&self, hold: Option<Reason>, ailment: &Option<Ailment>) -> (Phase, Option<Reason>) {
        let lasting = self.seen.staging == Staging::Lasting;
        let pending = self.pending();
        if let Some(Ailment::Sick(sick)) = ailment
            && (pending.is_none() || self.way_back().is_some() && hold.is_none())
        {
            return (Phase::Failed, Some(self.ails_because(sick)));
        }
        match (pending, hold) {
            (Some(pending), Some(reason)) => {
                // What anybody could boot is no less at risk because something else holds.
                let reason = match self.at_risk(pending) {
                    Some(risk) => {
                        let text = format!("{}; {}", reason.message, risk.message);
                        Reason::new(reason.code, text)
                    }
                    None => reason,
                };
                (Phase::Held, Some(reason))
            }
            (Some(pending), None) if self.not_yet(pending) => (Phase::Staged, None),
            // A deployment that somebody else made is left as it is: no further check would come that could take the failure back.
            (Some(pending), None) => {
                let looked = self.looked().filter(|_| self.is_ours(pending));
                let told = self.occupied().or_else(|| self.at_risk(pending));
                let told = told.or_else(|| self.cordoned_by_other());
                (Phase::Waiting, told.or(looked))
            }
            (None, hold) if lasting => (Phase::Staging, hold),
            // Without a pending deployment nothing is held back, but what goes wrong is told.
            (None, hold) => (Phase::Idle, hold.or_else(|| self.looked())),
        }
    }

    /// Only told: what it is worth is in the grant.
    fn cordoned_by_other(&self) -> Option<Reason> {
        let by = self.node()?.cordoned_by_other()?;
        Some(Reason::new(Code::CordonedByOther, by))
    }

    /// The boot is not complete. What is staged now would be in the way of a host that is about to fall back.
    fn booting(&self) -> Option<Reason> {
        self.seen.survey.as_ref().ok()?.boot_incomplete()
    }

    /// Nothing locks what waits, and no call of rpm-ostree does it afterwards. To stage it anew would lose what else was changed with it,
    /// such as kernel arguments, so it is announced and left as it is.
    fn at_risk(&self, pending: &Deployment) -> Option<Reason> {
        self.seen.survey.as_ref().ok()?.at_risk(pending)
    }

    /// The agent itself made rpm-ostree stage it, so it may be replaced by a newer one. What is not staged any more was chosen by
    /// somebody: a rollback leads to what the agent once staged.
    pub(super) fn is_ours(&self, pending: &Deployment) -> bool {
        pending.staged && self.state.ours.as_ref() == Some(&pending.id)
    }

    /// What is to be told of the looks for updates: that one is put off, or what came of the last.
    fn looked(&self) -> Option<Reason> {
        let put_off = (self.seen.check_due && self.metered()).then(|| Code::Metered.into());
        // Said by an agent that was to stage nothing, and is configured anew.
        let past =
            |told: &Reason| told.code == Code::UpdateAvailable && self.settings.mode != Mode::Check;
        let found = self.seen.looked.as_ref().filter(|told| !past(told));
        put_off.or_else(|| found.cloned())
    }

    /// A look may end in a download.
    fn metered(&self) -> bool {
        let survey = self.seen.survey.as_ref();
        survey.is_ok_and(|survey| survey.metered)
    }

    /// Whether rpm-ostree may be made to look for an update now. A pending deployment that somebody else made is left as it is, and so
    /// is our own once a slot is being prepared for it.
    fn may_look(&self) -> bool {
        let wanted = self.seen.check_due
            && self.seen.staging == Staging::Idle
            && self.seen.survey.is_ok()
            && self.booting().is_none()
            // rpm-ostree does not go back while something is staged.
            && self.way_back().is_none()
            && !self.metered()
            && self.held().is_none();
        let replaceable = match (self.host(), self.pending()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(_), Some(pending)) => {
                let free = match &self.seen.node {
                    NodeSeen::Present { view, .. } => {
                        self.open_grant().is_none()
                            && matches!(view.operator.reserved, Field::Absent)
                    }
                    NodeSeen::Unknown(_) | NodeSeen::Absent => false,
                };
                // What failed is booted by nobody.
                let failed = self.state.failed.find(&pending.identity).is_some()
                    || self.state.spoiled.as_ref() == Some(&pending.id);
                (self.is_ours(pending) || failed) && free
            }
        };
        wanted && replaceable
    }

    /// The pause that is still on. One that is because of a cordon ends with it.
    fn pause(&self) -> Option<&Backoff> {
        let uncordoned = || {
            let by = self.node().map(NodeView::cordoned_by_other);
            by == Some(None)
        };
        let backoff = self.state.backoff.as_ref();
        backoff.filter(|backoff| {
            let over = backoff.reason.code == Code::CordonedByOther && uncordoned();
            backoff.until > self.now && !over
        })
    }
}

/// What a grant is answered with.
enum Answer {
    /// Not yet: something is still to be seen.
    Wait,
    /// It can be acted on.
    Accept(Box<Attempt>),
    /// It can't.
    Refuse(Code),
    /// Not before this was done.
    After(Act),
    /// Not before more is known; the reason if that lasts, and when to look again.
    Unknown(Option<Reason>, Option<SignedDuration>),
    /// It can't, and it would be the same for a while.
    BackOff(Reason),
}
