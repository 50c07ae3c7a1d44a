//! The way back: a host that does not become healthy with an update leaves it again where its configuration says so, by a reboot that
//! is granted like any other.
//!
//! The node answers the grant of the update, which frees the slot, and stays cordoned. That the release which runs is on the list of
//! failures as unhealthy is all that anything here goes by, so it holds across restarts and a lost file. Until a grant names what ran
//! before, nothing on the host changes; only then is rpm-ostree asked to put that deployment first.

use super::facts::Facts;
use super::state::Unhealthy;
use super::target::way_back;
use crate::host::Deployment;
use crate::ids::ReleaseId;
use crate::reason::{Code, Reason};
use crate::time::Time;

impl Facts<'_> {
    /// What runs is known to be unhealthy here.
    pub(super) fn is_unhealthy(&self) -> bool {
        self.host()
            .is_some_and(|host| self.state.is_unhealthy(host))
    }

    /// What this host wants to go back to.
    pub(super) fn way_back(&self) -> Option<&Deployment> {
        way_back(self.state, self.host()?, &self.settings.health)
    }

    /// How a node is that gave its slot back unhealthy; `None` if nothing is wrong with what runs.
    pub(super) fn unwell(&self) -> Option<Unwell> {
        match self.recovery() {
            Recovery::Sound | Recovery::Recovered(_) => None,
            Recovery::Unknown => Some(Unwell::Unhealthy(Code::NodeNotReady.into())),
            Recovery::Unhealthy(reason) | Recovery::TooLate(reason) => {
                Some(Unwell::Unhealthy(reason))
            }
            Recovery::Settling { until, .. } => Some(Unwell::Settling(until)),
        }
    }

    /// Whether a node that gave its slot back is still unhealthy.
    pub(super) fn recovery(&self) -> Recovery {
        let Some(host) = self.host().filter(|host| self.state.is_unhealthy(host)) else {
            return Recovery::Sound;
        };
        let Some(node) = self.node() else {
            return Recovery::Unknown;
        };
        let none = Unhealthy::default();
        let unhealthy = self.state.unhealthy.as_ref().unwrap_or(&none);
        if let Some(reason) = self.unhealthy(node, &unhealthy.pods, None) {
            return Recovery::Unhealthy(reason);
        }
        if let Some((good, until)) = self.watched(unhealthy.good) {
            return Recovery::Settling { good, until };
        }
        if host.pending.is_some() && self.way_back().is_some() {
            let text = "it became healthy after rpm-ostree was told to go back";
            return Recovery::TooLate(Reason::new(Code::Unhealthy, text));
        }
        Recovery::Recovered(host.booted.identity)
    }

    /// Why the node shows itself as failed.
    pub(super) fn unhealthy_because(&self, sick: &Reason) -> Reason {
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
    Unhealthy(Reason),
    /// Healthy since `good`, and watched until then before that is trusted.
    Settling { good: Time, until: Time },
    /// Healthy, but the next boot boots what ran before.
    TooLate(Reason),
    /// Healthy with this again.
    Recovered(ReleaseId),
}

/// How a node is that gave its slot back unhealthy.
pub(super) enum Unwell {
    /// Unhealthy as ever.
    Unhealthy(Reason),
    /// Healthy, and watched until then before that is trusted.
    Settling(Time),
}
