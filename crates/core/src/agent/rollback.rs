//! The way back: if the configuration says so, a host that does not become healthy with an update goes back to what it ran before, by a
//! reboot that is granted like any other.
//!
//! The node answers the grant of the update, which frees the slot, and stays cordoned. This module relies only on the list of failures,
//! where the running release is noted as unhealthy, so it works after restarts and with a lost state file. Nothing on the host changes
//! until a grant names the release that ran before; then rpm-ostree is asked to put that deployment first.

use super::facts::Facts;
use super::state::Unhealthy;
use super::target::way_back;
use crate::host::Deployment;
use crate::ids::ReleaseId;
use crate::reason::{Code, Reason};
use crate::time::Time;

impl Facts<'_> {
    /// Whether the running release is known to be unhealthy on this host.
    pub(super) fn is_unhealthy(&self) -> bool {
        self.host()
            .is_some_and(|host| self.state.is_unhealthy(host))
    }

    /// The rollback target, if the host wants to go back.
    pub(super) fn way_back(&self) -> Option<&Deployment> {
        way_back(self.state, self.host()?, &self.settings.health)
    }

    /// The health of a node that gave its slot back unhealthy; `None` if the running release is healthy.
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
            let text = "it became healthy after rpm-ostree was asked to go back";
            return Recovery::TooLate(Reason::new(Code::Unhealthy, text));
        }
        Recovery::Recovered(host.booted.identity)
    }

    /// The reason to show in the phase `failed`.
    pub(super) fn unhealthy_because(&self, sick: &Reason) -> Reason {
        match self.way_back() {
            None => Reason::new(Code::Unhealthy, sick.to_string()),
            Some(back) => {
                let text = format!(
                    "it wants to go back to {} ({}): {sick}",
                    back.version,
                    back.identity.short()
                );
                Reason::new(Code::RollbackWanted, text)
            }
        }
    }
}

/// The recovery of a node that gave its slot back unhealthy.
pub(super) enum Recovery {
    /// The running release is healthy.
    Sound,
    /// The Node is not known.
    Unknown,
    /// The node is still unhealthy.
    Unhealthy(Reason),
    /// The node has been healthy since `good`, and has to stay so until `until`.
    Settling { good: Time, until: Time },
    /// The node is healthy, but the next boot already boots the rollback target.
    TooLate(Reason),
    /// The node is healthy again with this release.
    Recovered(ReleaseId),
}

/// The health of a node that gave its slot back unhealthy.
pub(super) enum Unwell {
    /// The node is still unhealthy.
    Unhealthy(Reason),
    /// The node is healthy, and has to stay so until this time.
    Settling(Time),
}
