//! The way back: a host that does not become healthy with an update leaves it again where its configuration says so, by a reboot that
//! is granted like any other.
//!
//! The node answers the grant of the update, which frees the slot, and stays cordoned. That the identity which runs is on the list of
//! failures as unhealthy is all that anything here goes by, so it holds across restarts and a lost file. Until a grant names what ran
//! before, nothing on the host changes; only then is rpm-ostree asked to put that deployment first.

use serde::{Deserialize, Serialize};

use super::state::{Attempt, State};
use super::{Health, Step, Work};
use crate::host::{Deployment, Host};
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Outcome, PodChecks};

/// A node that is not healthy and has given its slot back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ailing {
    /// What the grant of the update asked of its pods.
    pub pods: PodChecks,
    /// Since when it has been healthy after all.
    pub good: Option<Time>,
}

/// What a granted reboot would boot: what any reboot would boot, or else what an unhealthy host goes back to.
pub fn target<'h>(state: &State, host: &'h Host, health: &Health) -> Option<&'h Deployment> {
    let pending = host.pending.as_ref();
    pending.or_else(|| way_back(state, host, health))
}

/// What the unhealthy host goes back to. What is staged stands in its way, and is somebody else's wish.
pub(super) fn way_back<'h>(
    state: &State,
    host: &'h Host,
    health: &Health,
) -> Option<&'h Deployment> {
    let left = &host.booted.identity;
    let ailing = health.rollback && state.ails(host);
    // As rpm-ostree chooses it: the first after the booted one. Once that was done, it is the first of all.
    let next = host.pending.as_ref().or_else(|| host.others.first());
    next.filter(|next| {
        let bad = state.failed.find(&next.identity).is_some();
        ailing && !next.staged && next.identity != *left && !bad
    })
}

impl State {
    /// What runs is known to be unhealthy here.
    pub(super) fn ails(&self, host: &Host) -> bool {
        let failure = self.failed.find(&host.booted.identity);
        failure.is_some_and(|failure| failure.code == Code::Unhealthy)
    }
}

impl Work<'_> {
    /// What runs is known to be unhealthy here.
    pub(super) fn ails(&self) -> bool {
        self.host().is_some_and(|host| self.state.ails(host))
    }

    /// What this host wants to go back to.
    pub(super) fn way_back(&self) -> Option<&Deployment> {
        way_back(&self.state, self.host()?, &self.settings.health)
    }

    /// The update is given up, and its slot with it: the way back takes one of its own, without a pause.
    pub(super) fn turns_back(mut self, attempt: &Attempt) -> Step {
        self.state.ailing = Some(Ailing {
            pods: attempt.pods.clone(),
            good: None,
        });
        self.answer(Outcome::Failed, Some(Code::Unhealthy.into()));
        self.state.backoff = None;
        self.rest()
    }

    /// Looks whether a node that gave its slot back is still unhealthy, and why; `None` if nothing is wrong with what runs.
    pub(super) fn ailment(&mut self) -> Option<Ailment> {
        if !self.ails() {
            self.state.ailing = None;
            return None;
        }
        let Some(node) = self.node() else {
            return Some(Ailment::Sick(Code::NodeNotReady.into()));
        };
        let mut ailing = self.state.ailing.take().unwrap_or_default();
        let sick = self.sick(node, &ailing.pods, None);
        if let Some(reason) = sick {
            ailing.good = None;
            self.state.ailing = Some(ailing);
            return Some(Ailment::Sick(reason));
        }
        if let Some((good, until)) = self.watched(ailing.good) {
            ailing.good = Some(good);
            self.state.ailing = Some(ailing);
            return Some(Ailment::Settles(until));
        }
        let host = self.host()?;
        let identity = host.booted.identity;
        if host.pending.is_some() && self.way_back().is_some() {
            let text = "it became healthy after rpm-ostree was told to go back";
            self.state.ailing = Some(ailing);
            return Some(Ailment::Sick(Reason::new(Code::Unhealthy, text)));
        }
        self.recovered(&identity);
        // Whoever waits for this version to be tried counts from now.
        let result = self.state.result.as_mut();
        let given_up = result.filter(|result| result.gave(Code::Unhealthy));
        if let Some(result) = given_up {
            result.at = self.now;
        }
        None
    }

    /// Why the node shows itself as failed.
    pub(super) fn ails_because(&self, sick: &Reason) -> Reason {
        match self.way_back() {
            None => Reason::new(Code::Unhealthy, sick.to_string()),
            Some(back) => {
                let text = format!(
                    "it is to go back to {} ({}): {sick}",
                    back.version,
                    back.identity.short()
                );
                Reason::new(Code::RollbackWanted, text)
            }
        }
    }
}

/// How a node is that gave its slot back unhealthy.
pub(super) enum Ailment {
    /// Unhealthy as ever.
    Sick(Reason),
    /// Healthy, and watched until then before that is trusted.
    Settles(Time),
}
