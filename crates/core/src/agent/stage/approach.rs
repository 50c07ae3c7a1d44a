//! Steps shared by draining and delaying: checking that the grant is still valid, and requesting the reboot.

use jiff::SignedDuration;

use super::Show;
use crate::agent::decision::Act;
use crate::agent::ending::Ending;
use crate::agent::facts::{Facts, SECOND};
use crate::agent::state::Attempt;
use crate::host::Deployment;
use crate::keys;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Cordoned, Grant, Phase};

/// Pause before a busy rpm-ostree is asked again: most transactions of others end within seconds.
const BUSY: SignedDuration = SignedDuration::from_secs(10);

/// Why the granted deployment must not be booted now.
#[derive(Debug, Clone)]
pub(crate) enum Unwanted {
    /// rpm-ostree does not answer, so the pending deployment is not known.
    Unknown,
    /// The grant or the node has changed, for this reason.
    Because(Reason),
}

/// Why the attempt can't proceed in this step.
pub(crate) enum Stop {
    End(Ending),
    Wait(Box<Show>),
}

/// Whether the reboot can be requested now.
pub(crate) enum Asking {
    /// Not before the Node shows it and the grant was read once more.
    NotYet(Show),
    /// Yes, in this step.
    Now(Show),
}

impl Facts<'_> {
    /// The pending deployment, if the grant of `attempt` is still valid for it. `limit` is the end of the drain's time.
    pub(crate) fn stands(
        &self,
        attempt: &Attempt,
        node: &NodeView,
        limit: Time,
    ) -> Result<Deployment, Stop> {
        let pending = match self.still_wanted(attempt, node) {
            Ok(pending) => pending,
            Err(Unwanted::Because(reason)) => return Err(Stop::End(Ending::GivenUp(reason))),
            // rpm-ostree does not answer: wait for it, but not longer than for the drain.
            Err(Unwanted::Unknown) => return Err(self.waits_until(limit, self.unavailable())),
        };
        match self.busy(attempt) {
            Some((reason, _)) if self.now > limit => Err(Stop::End(Ending::GivenUp(reason))),
            Some(_) | None => Ok(pending),
        }
    }

    /// Checks that nothing but pods stands in the way of the reboot.
    pub(crate) fn free(
        &self,
        attempt: &Attempt,
        pending: &Deployment,
        limit: Time,
    ) -> Result<(), Stop> {
        if let Some(reason) = self.obstructed(pending) {
            return Err(self.waits_until(limit, reason));
        }
        match self.busy(attempt).filter(|(_, left)| left.is_positive()) {
            None => Ok(()),
            Some((reason, left)) => {
                let wake = left.min(self.until(limit.later(SECOND)));
                let show = Show::new(Phase::Draining, Some(reason));
                Err(Stop::Wait(Box::new(show.for_at_most(wake))))
            }
        }
    }

    fn waits_until(&self, limit: Time, reason: Reason) -> Stop {
        if self.now > limit {
            return Stop::End(Ending::GivenUp(reason));
        }
        let show = Show::new(Phase::Draining, Some(reason));
        Stop::Wait(Box::new(show.for_at_most(self.until(limit.later(SECOND)))))
    }

    /// The transaction that kept rpm-ostree busy when it was last asked, and how long to wait before asking again.
    fn busy(&self, attempt: &Attempt) -> Option<(Reason, SignedDuration)> {
        let asked = self.seen.asked.as_ref();
        let asked = asked.filter(|asked| asked.id == attempt.grant.progress.id)?;
        let left = asked.at.later(BUSY).since(self.tick);
        Some((asked.busy.clone()?, left))
    }

    /// Requests the reboot, once a live read of the Node shows everything.
    pub(crate) fn ask(&self, pending: &Deployment, live: bool) -> Asking {
        let act = match (self.is_first(pending), pending.staged) {
            _ if self.only_reboots() => Act::Reboot,
            (true, true) => Act::Finalize(pending.clone()),
            (true, false) => Act::Reboot,
            (false, _) => Act::RollBack(pending.clone()),
        };
        self.once_confirmed(act, live)
    }

    /// Carries out an act that leads to the reboot, once a live read shows that the Node announces it.
    pub(crate) fn once_confirmed(&self, act: Act, live: bool) -> Asking {
        let show = Show::new(Phase::Rebooting, None);
        if !live || self.unshown(show.phase, None).is_some() {
            return Asking::NotYet(show.and(Act::Confirm));
        }
        Asking::Now(show.and(act))
    }

    /// The granted deployment, if nothing has changed since the grant was accepted.
    pub(crate) fn still_wanted(
        &self,
        attempt: &Attempt,
        node: &NodeView,
    ) -> Result<Deployment, Unwanted> {
        let progress = &attempt.grant.progress;
        let Some(grant) = granted(attempt, node) else {
            let text = format!("grant {} is no longer in {}", progress.id, keys::REBOOT_OK);
            return unwanted(Reason::new(Code::GrantRevoked, text));
        };
        let accepted = node.agent.progress.value() == Some(progress);
        if !accepted && self.now > grant.deadline {
            return unwanted(Code::GrantExpired);
        }
        if node.paused {
            return unwanted(Code::Paused);
        }
        if let Some(reason) = self.held() {
            return unwanted(reason);
        }
        if attempt.grant.cordoned == Cordoned::Hold
            && let Some(by) = node.cordoned_by_other().filter(|_| !attempt.others_cordon)
        {
            return unwanted(Reason::new(Code::CordonedByOther, by));
        }
        let cordoned = node.agent.owned.value().is_some() || attempt.others_cordon;
        if cordoned && !node.unschedulable {
            return unwanted(Code::Uncordoned);
        }
        self.wanted(attempt)
    }

    /// The pending deployment, if it is the one that the grant is for.
    pub(crate) fn wanted(&self, attempt: &Attempt) -> Result<Deployment, Unwanted> {
        let Some(host) = self.host() else {
            return Err(Unwanted::Unknown);
        };
        if !attempt.keeps_identity() && attempt.is_granted(&host.booted) {
            return unwanted(Code::SoftReboot);
        }
        let wanted = attempt.identity();
        if attempt.baseline.plain && !self.only_reboots() {
            let text = "the reboot is asked for no longer, or an update came that it would boot";
            return unwanted(Reason::new(Code::PendingChanged, text));
        }
        match self.pending() {
            Some(pending) if pending.identity == wanted => Ok(pending.clone()),
            other => {
                let now = other.map_or("nothing".to_owned(), |next| next.identity.to_string());
                let text = format!("granted {wanted}, but a reboot would now boot {now}");
                unwanted(Reason::new(Code::PendingChanged, text))
            }
        }
    }
}

fn unwanted<T>(reason: impl Into<Reason>) -> Result<T, Unwanted> {
    Err(Unwanted::Because(reason.into()))
}

/// The attempt's own grant, if it is still on the Node.
fn granted<'n>(attempt: &Attempt, node: &'n NodeView) -> Option<&'n Grant> {
    let progress = &attempt.grant.progress;
    let same = |grant: &&Grant| {
        grant.id == progress.id
            && grant.identity == progress.identity
            && grant.boot == progress.boot
    };
    node.operator.grant.value().filter(same)
}
