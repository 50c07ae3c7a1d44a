//! The way back: a host that does not become healthy with an update leaves it again where its configuration says so, by a reboot that
//! is granted like any other.
//!
//! The node answers the grant of the update, which frees the slot, and stays cordoned. That the identity which runs is on the list of
//! failures as unhealthy is all that anything here goes by, so it holds across restarts and a lost file. Until a grant names what ran
//! before, nothing on the host changes; only then is rpm-ostree asked to put that deployment first.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::health::Health;
use super::state::State;
use crate::host::{Deployment, Host};
use crate::identity::Identity;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::PodChecks;

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

    /// `identity` became healthy here after all.
    pub(super) fn recovered(&mut self, identity: &Identity) {
        let failures = &mut self.failed.identities;
        failures.retain(|failure| failure.identity != *identity || failure.code != Code::Unhealthy);
    }
}

impl Facts<'_> {
    /// What runs is known to be unhealthy here.
    pub(super) fn ails(&self) -> bool {
        self.host().is_some_and(|host| self.state.ails(host))
    }

    /// What this host wants to go back to.
    pub(super) fn way_back(&self) -> Option<&Deployment> {
        way_back(self.state, self.host()?, &self.settings.health)
    }

    /// How a node is that gave its slot back unhealthy; `None` if nothing is wrong with what runs.
    pub(super) fn ailment(&self) -> Option<Ailment> {
        match self.recovery() {
            Recovery::Sound | Recovery::Recovered(_) => None,
            Recovery::Unknown => Some(Ailment::Sick(Code::NodeNotReady.into())),
            Recovery::Sick(reason) | Recovery::TooLate(reason) => Some(Ailment::Sick(reason)),
            Recovery::Settles { until, .. } => Some(Ailment::Settles(until)),
        }
    }

    /// Whether a node that gave its slot back is still unhealthy.
    pub(super) fn recovery(&self) -> Recovery {
        let Some(host) = self.host().filter(|host| self.state.ails(host)) else {
            return Recovery::Sound;
        };
        let Some(node) = self.node() else {
            return Recovery::Unknown;
        };
        let none = Ailing::default();
        let ailing = self.state.ailing.as_ref().unwrap_or(&none);
        if let Some(reason) = self.sick(node, &ailing.pods, None) {
            return Recovery::Sick(reason);
        }
        if let Some((good, until)) = self.watched(ailing.good) {
            return Recovery::Settles { good, until };
        }
        if host.pending.is_some() && self.way_back().is_some() {
            let text = "it became healthy after rpm-ostree was told to go back";
            return Recovery::TooLate(Reason::new(Code::Unhealthy, text));
        }
        Recovery::Recovered(host.booted.identity)
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

/// What becomes of a node that gave its slot back unhealthy.
pub(super) enum Recovery {
    /// Nothing is wrong with what runs.
    Sound,
    /// The Node is not known.
    Unknown,
    /// Unhealthy as ever.
    Sick(Reason),
    /// Healthy since `good`, and watched until then before that is trusted.
    Settles { good: Time, until: Time },
    /// Healthy, but the next boot boots what ran before.
    TooLate(Reason),
    /// Healthy with this again.
    Recovered(Identity),
}

/// How a node is that gave its slot back unhealthy.
pub(super) enum Ailment {
    /// Unhealthy as ever.
    Sick(Reason),
    /// Healthy, and watched until then before that is trusted.
    Settles(Time),
}
