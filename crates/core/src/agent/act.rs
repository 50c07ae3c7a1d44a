//! A grant was accepted under this boot: cordon, drain, finalize, reboot.

use jiff::{SignedDuration, Timestamp};

use super::drain::{Drain, SECOND};
use super::state::Attempt;
use super::{Act, Asked, NodeSeen, Step, Work};
use crate::drain::later;
use crate::host::Deployment;
use crate::keys;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::values::{Grant, Phase};

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
                return self.publish_or(
                    Phase::Draining,
                    Some(reason),
                    Act::Wait,
                    Some(later(limit, SECOND)),
                );
            }
        };
        if let Some((reason, _)) = self.busy(attempt).filter(|_| self.now > limit) {
            return self.abort(reason);
        }
        let blocked = match self.drained(attempt, node) {
            Drain::Done => self
                .inhibited()
                .or_else(|| self.would_lose(&pending))
                .or_else(|| {
                    let (reason, until) = self.busy(attempt)?;
                    (self.now <= until).then_some(reason)
                }),
            Drain::Goes { reason, act, wake } => {
                return self.publish_or(Phase::Draining, reason, act, wake);
            }
            Drain::Blocked(reason) => return self.abort(reason),
        };
        match blocked {
            Some(reason) if self.now > limit => self.abort(reason),
            Some(reason) => self.publish_or(
                Phase::Draining,
                Some(reason),
                Act::Wait,
                Some(later(limit, SECOND)),
            ),
            None => {
                let (now, first) = (self.now, self.is_first(&pending));
                let shown = self.publish_or(Phase::Rebooting, None, Act::Confirm, None);
                if shown.act == Act::Confirm && live {
                    request(shown, &pending, first, now)
                } else {
                    shown
                }
            }
        }
    }

    /// With whom rpm-ostree was busy when it was asked, and until when it is left alone.
    fn busy(&self, attempt: &Attempt) -> Option<(Reason, Timestamp)> {
        let asked = self.seen.asked.as_ref();
        let asked = asked.filter(|asked| asked.id == attempt.progress.id)?;
        Some((asked.busy.clone()?, later(asked.at, BUSY)))
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
        let cordoned = node.agent.owned.value().is_some() || attempt.foreign;
        if cordoned && !node.unschedulable {
            return Err(Some(Code::Uncordoned.into()));
        }
        self.wanted(attempt)
    }

    /// The pending deployment, if it is the one that the grant is for. `Err(None)`: not known now.
    fn wanted(&self, attempt: &Attempt) -> Result<Deployment, Option<Reason>> {
        self.seen.host.as_ref().map_err(|_| None)?;
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
        let asked = self
            .seen
            .asked
            .as_ref()
            .filter(|asked| asked.id == attempt.progress.id && asked.busy.is_none());
        let Some(asked) = asked else {
            // The process that asked, or was about to, is gone, or could not. Asking again is safe while the grant stands.
            return self.approach(&attempt, node, live);
        };
        if let Some(reason) = &asked.refused {
            return self.abort(reason.clone());
        }
        let last = asked.again.unwrap_or(asked.at);
        let patience = self.limit(last, asked.uptime, self.settings.shutdown);
        if self.now <= patience {
            return self.publish_or(
                Phase::Rebooting,
                None,
                Act::Wait,
                Some(later(patience, SECOND)),
            );
        }
        // Nothing is under way: logind would tell of a shutdown.
        if granted(&attempt, node).is_none() {
            return self.publish(Phase::Failed, Some(Code::RebootDidNotHappen.into()));
        }
        let act = match self.once_more(&attempt, asked) {
            Ok(act) => act,
            Err(Some(reason)) if reason.code == Code::PendingChanged => return self.abort(reason),
            Err(Some(reason)) => return self.publish(Phase::Failed, Some(reason)),
            Err(None) => {
                let reason = self.unavailable();
                return self.publish(Phase::Rebooting, Some(reason));
            }
        };
        let mut step = self.publish_or(Phase::Rebooting, None, Act::Confirm, None);
        if step.act == Act::Confirm && live {
            step.act = act;
        }
        step
    }

    /// How to ask for the reboot again: rpm-ostree, as long as what is staged may be locked, since any other reboot would drop it; else
    /// logind, and logind only once. `Err(None)`: not known now.
    fn once_more(&self, attempt: &Attempt, asked: &Asked) -> Result<Act, Option<Reason>> {
        let did_not_happen = || Some(Code::RebootDidNotHappen.into());
        if asked.again.is_some() {
            return Err(did_not_happen());
        }
        let pending = self.wanted(attempt)?;
        let survey = self.seen.survey.as_ref().ok();
        let noted = survey.and_then(|survey| survey.locked(&pending));
        let unlocked = noted.map_or(asked.unlocked, |locked| !locked);
        let first = self.is_first(&pending);
        match first && (unlocked || !pending.staged) {
            true => Ok(Act::Reboot),
            false if asked.times >= FINALIZATIONS => Err(did_not_happen()),
            false if first => Ok(Act::Finalize(pending)),
            false => Ok(Act::RollBack(pending)),
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

/// The live Node still carries the grant: on disk first, then to rpm-ostree, or to logind where only the reboot is left. `first`: the
/// next boot would boot it.
fn request(mut step: Step, pending: &Deployment, first: bool, now: Timestamp) -> Step {
    if let Some(attempt) = &mut step.state.attempt {
        attempt.requested = Some(now);
    }
    step.act = match (first, pending.staged) {
        (true, true) => Act::Finalize(pending.clone()),
        (true, false) => Act::Reboot,
        (false, _) => Act::RollBack(pending.clone()),
    };
    step
}
