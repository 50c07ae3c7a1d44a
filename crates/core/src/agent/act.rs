//! A grant was accepted under this boot: cordon, drain, finalize, reboot.

use jiff::SignedDuration;

use super::drain::{Drain, SECOND, cordoned};
use super::state::Attempt;
use super::{Act, Asked, NodeSeen, Step, Work};
use crate::drain::left;
use crate::host::Deployment;
use crate::keys;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Cordoned, DrainMode, Grant, Phase};

/// Pause before rpm-ostree is asked again that was at work for somebody else: most such work is over within seconds.
const BUSY: SignedDuration = SignedDuration::from_secs(10);

/// How often rpm-ostree is asked to finalize while nothing comes of it.
const FINALIZATIONS: u32 = 3;

impl Work<'_> {
    /// The step with an accepted grant, before the boot.
    pub(super) fn act(self, attempt: Attempt) -> Step {
        match (&self.seen.node, attempt.requested) {
            (NodeSeen::Present { view, live }, None) => self.approach(&attempt, view, *live),
            (NodeSeen::Present { view, live }, Some(_)) => self.reboot(attempt, view, *live),
            (NodeSeen::Absent, None) => {
                let text = "the Node was deleted while its grant was being acted on";
                self.abort(Reason::new(Code::GrantRevoked, text))
            }
            // Without the API server a drain can't go on, and nothing reboots; a reboot that was asked for comes by itself.
            (NodeSeen::Unknown(_), None) => self.publish(Phase::Draining, None),
            (NodeSeen::Unknown(_) | NodeSeen::Absent, Some(_)) => {
                self.publish(Phase::Rebooting, None)
            }
        }
    }

    /// From acceptance to the moment before the reboot is asked for.
    fn approach(mut self, attempt: &Attempt, node: &NodeView, live: bool) -> Step {
        let limit = self.ladder(attempt).all;
        self.note_cordon(node);
        let pending = match self.still_wanted(attempt, node) {
            Ok(pending) => pending,
            Err(Some(reason)) => return self.abort(reason),
            // rpm-ostree does not tell: wait for it, but not for ever.
            Err(None) => {
                let reason = self.unavailable();
                if self.now > limit {
                    return self.abort(reason);
                }
                let wake = Some(self.until(limit.later(SECOND)));
                return self.publish_or(Phase::Draining, Some(reason), Act::Wait, wake);
            }
        };
        let busy = self.busy(attempt);
        if let Some((reason, _)) = busy.clone().filter(|_| self.now > limit) {
            return self.abort(reason);
        }
        match self.drained(attempt, node) {
            Drain::Done => {}
            Drain::Goes { reason, act, wake } => {
                return self.publish_or(Phase::Draining, reason, act, wake);
            }
            Drain::Blocked(reason, pods) => return self.abort_drain(reason, pods),
        }
        let until = self.until(limit.later(SECOND));
        let blocked = self.obstructed(&pending).map(|reason| (reason, until));
        let busy = busy.filter(|(_, left)| left.is_positive());
        match blocked.or(busy) {
            Some((reason, _)) if self.now > limit => self.abort(reason),
            Some((reason, left)) => {
                let wake = Some(left.min(until));
                self.publish_or(Phase::Draining, Some(reason), Act::Wait, wake)
            }
            None => self.ask(&pending, live),
        }
    }

    /// Asks for the reboot, once the live Node shows everything.
    fn ask(self, pending: &Deployment, live: bool) -> Step {
        let (now, uptime, first) = (self.now, self.seen.uptime, self.is_first(pending));
        let mut shown = self.publish_or(Phase::Rebooting, None, Act::Confirm, None);
        if shown.act != Act::Confirm || !live {
            return shown;
        }
        // On disk first.
        if let Some(attempt) = &mut shown.state.attempt {
            (attempt.requested, attempt.requested_up) = (Some(now), uptime);
        }
        shown.act = match (first, pending.staged) {
            (true, true) => Act::Finalize(pending.clone()),
            (true, false) => Act::Reboot,
            (false, _) => Act::RollBack(pending.clone()),
        };
        shown
    }

    /// With whom rpm-ostree was busy when it was asked, and how long it is left alone from now on.
    fn busy(&self, attempt: &Attempt) -> Option<(Reason, SignedDuration)> {
        let asked = self.seen.asked.as_ref();
        let asked = asked.filter(|asked| asked.id == attempt.progress.id)?;
        let left = asked.at.later(BUSY).since(self.tick);
        Some((asked.busy.clone()?, left))
    }

    /// Why a reboot now would not do what was granted.
    pub(super) fn obstructed(&self, pending: &Deployment) -> Option<Reason> {
        let survey = self.seen.survey.as_ref().ok();
        self.inhibited()
            .or_else(|| survey?.other_reboot())
            .or_else(|| self.would_lose(pending))
    }

    /// Why rpm-ostree does not tell.
    pub(super) fn unavailable(&self) -> Reason {
        let why = self.seen.host.as_ref().err().map_or("", String::as_str);
        Reason::new(Code::RpmOstreeUnavailable, why)
    }

    /// The deployment that the grant is for, if everything still stands as it was accepted. `Err(None)`: not known now.
    fn still_wanted(
        &self,
        attempt: &Attempt,
        node: &NodeView,
    ) -> Result<Deployment, Option<Reason>> {
        let id = attempt.progress.id;
        let grant = granted(attempt, node).ok_or_else(|| {
            let text = format!("grant {id} is no longer in {}", keys::REBOOT_OK);
            Some(Reason::new(Code::GrantRevoked, text))
        })?;
        let accepted = node.agent.progress.value() == Some(&attempt.progress);
        if !accepted && self.now > grant.deadline {
            return Err(Some(Code::GrantExpired.into()));
        }
        if node.paused {
            return Err(Some(Code::Paused.into()));
        }
        if let Some(reason) = self.held() {
            return Err(Some(reason));
        }
        if attempt.cordoned == Cordoned::Hold
            && let Some(by) = node.cordoned_by_other().filter(|_| !attempt.foreign)
        {
            return Err(Some(Reason::new(Code::CordonedByOther, by)));
        }
        let cordoned = node.agent.owned.value().is_some() || attempt.foreign;
        if cordoned && !node.unschedulable {
            return Err(Some(Code::Uncordoned.into()));
        }
        self.wanted(attempt)
    }

    /// The pending deployment, if it is the one that the grant is for. `Err(None)`: not known now.
    fn wanted(&self, attempt: &Attempt) -> Result<Deployment, Option<Reason>> {
        let host = self.seen.host.as_ref().map_err(|_| None)?;
        if !attempt.keeps_identity() && attempt.is_granted(&host.booted) {
            return Err(Some(Code::SoftReboot.into()));
        }
        let pending = self.pending().cloned();
        let now = pending
            .as_ref()
            .map_or("nothing".to_owned(), |pending| pending.identity.to_string());
        pending
            .filter(|pending| pending.identity == attempt.progress.identity)
            .ok_or_else(|| {
                let text = format!(
                    "granted {}, but a reboot would now boot {now}",
                    attempt.progress.identity
                );
                Some(Reason::new(Code::PendingChanged, text))
            })
    }

    /// A reboot would boot it, once it is finalized where that is to be done. What a host goes back to is not, at first.
    fn is_first(&self, pending: &Deployment) -> bool {
        let first = self.host().and_then(|host| host.pending.as_ref());
        first.is_some_and(|first| first.id == pending.id)
    }

    /// From the request to the end of this boot.
    fn reboot(self, attempt: Attempt, node: &NodeView, live: bool) -> Step {
        let asked = self.seen.asked.as_ref();
        let asked = match asked.filter(|asked| asked.id == attempt.progress.id) {
            None => return self.resume(&attempt, node, live),
            Some(asked) if asked.busy.is_some() => return self.approach(&attempt, node, live),
            Some(asked) => asked,
        };
        if let Some(reason) = &asked.refused {
            return self.abort(reason.clone());
        }
        let last = asked.again.unwrap_or(asked.at);
        let nothing = self.came_to_nothing(&attempt, asked);
        let left = last.later(self.settings.shutdown).since(self.tick);
        if left.is_positive() && !nothing {
            return self.publish_or(Phase::Rebooting, None, Act::Wait, Some(left));
        }
        let pending = match self.still_wanted(&attempt, node) {
            Ok(pending) => pending,
            Err(Some(reason)) if nothing => return self.abort(reason),
            Err(why) => {
                let gone = self.tick.since(last).saturating_sub(self.settings.shutdown);
                let patience = self.now.later(-gone);
                return self.unwanted(why, patience);
            }
        };
        let Some(act) = self.once_more(pending, asked) else {
            return self.publish(Phase::Failed, Some(Code::RebootDidNotHappen.into()));
        };
        let mut step = self.publish_or(Phase::Rebooting, None, Act::Confirm, None);
        if step.act == Act::Confirm && live {
            step.act = act;
        }
        step
    }

    /// rpm-ostree went away without an answer, and what is staged is still locked: it unlocks first, so it had not begun.
    fn came_to_nothing(&self, attempt: &Attempt, asked: &Asked) -> bool {
        let rests = asked.unheard && !self.seen.busy && asked.times < FINALIZATIONS;
        let pending = self.wanted(attempt);
        rests && pending.is_ok_and(|pending| self.locked(&pending))
    }

    /// The process that asked, or was about to, is gone. Asking again is safe while the grant stands.
    fn resume(self, attempt: &Attempt, node: &NodeView, live: bool) -> Step {
        let since = attempt.requested.unwrap_or(self.now);
        let patience = self.limit(since, attempt.requested_up, self.settings.shutdown);
        let pending = match self.still_wanted(attempt, node) {
            Ok(pending) => pending,
            Err(why) => return self.unwanted(why, patience),
        };
        if let Some(reason) = self.obstructed(&pending) {
            return self.unwanted(Some(reason), patience);
        }
        let drains = attempt.drain.mode != DrainMode::None;
        if drains && self.now > patience && !self.seen.busy {
            // Nobody has watched the cordon since.
            match &self.seen.pods {
                Err(why) if why.is_empty() => return self.publish(Phase::Rebooting, None),
                Ok(pods) if left(pods, &attempt.drain, cordoned(node)).is_empty() => {}
                Err(_) | Ok(_) => return self.approach(attempt, node, live),
            }
        }
        self.ask(&pending, live)
    }

    /// What was asked for is not wanted any more, or not known (`None`). It may come all the same until `patience`, and while rpm-ostree
    /// is at work; after that nothing is under way, for logind would tell of a shutdown.
    fn unwanted(self, why: Option<Reason>, patience: Time) -> Step {
        let known = why.is_some();
        let patience = match known {
            true => patience,
            false => patience.later(self.settings.shutdown),
        };
        let reason = why.unwrap_or_else(|| self.unavailable());
        if reason.code == Code::SoftReboot {
            // Whatever was under way has come to this.
            return self.abort(reason);
        }
        if self.now <= patience {
            let wake = Some(self.until(patience.later(SECOND)));
            return self.publish_or(Phase::Rebooting, Some(reason), Act::Wait, wake);
        }
        if known && self.seen.busy {
            return self.publish(Phase::Rebooting, Some(Code::RpmOstreeBusy.into()));
        }
        match reason.code {
            // Whether it still goes down nobody knows, unless rpm-ostree has not even begun: it unlocks first.
            Code::GrantRevoked if !self.pending().is_some_and(|next| self.locked(next)) => {
                self.publish(Phase::Failed, Some(Code::RebootDidNotHappen.into()))
            }
            _ if !known => self.publish(Phase::Failed, Some(reason)),
            // Whoever took the node back, or changed what it would boot, did so while it was up.
            _ => self.abort(reason),
        }
    }

    /// How to ask for the reboot again: rpm-ostree, as long as what is staged may be locked, since any other reboot would drop it; else
    /// logind, and logind only once. `None`: it was tried often enough.
    fn once_more(&self, pending: Deployment, asked: &Asked) -> Option<Act> {
        if asked.again.is_some() {
            return None;
        }
        let survey = self.seen.survey.as_ref().ok();
        let noted = survey.and_then(|survey| survey.locked(&pending));
        let unlocked = noted.map_or(asked.unlocked, |locked| !locked);
        let first = self.is_first(&pending);
        match first && (unlocked || !pending.staged) {
            true => Some(Act::Reboot),
            false if asked.times >= FINALIZATIONS => None,
            false if first => Some(Act::Finalize(pending)),
            false => Some(Act::RollBack(pending)),
        }
    }
}

/// The attempt's own grant, if it still stands on the Node.
fn granted<'n>(attempt: &Attempt, node: &'n NodeView) -> Option<&'n Grant> {
    let Attempt { progress, .. } = attempt;
    let same = |grant: &&Grant| {
        grant.id == progress.id
            && grant.identity == progress.identity
            && grant.boot == progress.boot
    };
    node.operator.grant.value().filter(same)
}
