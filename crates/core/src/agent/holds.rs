//! Why a node does not ask for a reboot although it may need one.

use super::facts::Facts;
use super::rollback::Unwell;
use crate::host::Deployment;
use crate::reason::{Code, Reason};
use crate::release::Source;

/// What holds the node.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub reason: Reason,
    /// It is the pause after a grant that was refused or given up.
    pub is_pause: bool,
}

impl From<Reason> for Hold {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            is_pause: false,
        }
    }
}

impl Facts<'_> {
    /// The first reason that holds the node.
    pub(super) fn holds(&self, unwell: Option<&Unwell>) -> Option<Hold> {
        let leaves = self.way_back().is_some();
        self.distrusted()
            .or_else(|| match unwell {
                Some(Unwell::Settling(_)) if leaves => Some(Code::Settling.into()),
                // The reboot leaves the unhealthy release.
                Some(Unwell::Unhealthy(_)) if leaves => None,
                _ => self.unfit(),
            })
            .or_else(|| self.failed_before())
            .or_else(|| self.withdrawn())
            .or_else(|| self.kubelet_too_new())
            .map(Hold::from)
            .or_else(|| {
                let reason = self.pause()?.reason.clone();
                Some(Hold {
                    reason,
                    is_pause: true,
                })
            })
            .or_else(|| {
                // While rpm-ostree is at work, the unit that writes the deployment may not have started yet, which is no reason to hold.
                let reason = self.obstructed(self.pending()?)?;
                (reason.code != Code::RpmOstreeBusy).then(|| reason.into())
            })
            .or_else(|| self.unready().filter(|_| !leaves).map(Hold::from))
    }

    /// Facts that are not known, and pauses that a person asked for.
    fn distrusted(&self) -> Option<Reason> {
        if self.seen.host.is_err() {
            return Some(self.unavailable());
        }
        self.operator_trouble()
            .or_else(|| self.node()?.paused.then(|| Code::Paused.into()))
            .or_else(|| self.held())
            .or_else(|| {
                let why = self.seen.survey.as_ref().err()?;
                Some(Reason::new(Code::UnitsUnknown, why))
            })
    }

    /// Why the running release can't be replaced, or not by the pending one.
    fn unfit(&self) -> Option<Reason> {
        self.booting().or_else(|| self.older()).or_else(|| {
            if self.only_reboots() {
                return None;
            }
            // A unit that is inactive before the boot would be blamed on the update.
            let survey = self.seen.survey.as_ref().ok()?;
            survey.inactive(&self.settings.health.units)
        })
    }

    /// Why the pending release must not be booted again: it failed on this host, was lost too often, or somebody went back from it.
    fn failed_before(&self) -> Option<Reason> {
        let pending = self.pending().filter(|_| !self.only_reboots())?;
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

    /// Why the node is not ready for pods, according to its kubelet.
    fn unready(&self) -> Option<Reason> {
        let node = self.node()?;
        let text = match (node.ready, node.kubelet_boot == Some(self.seen.boot)) {
            (true, true) => return None,
            (true, false) => "the kubelet has not reported since this boot",
            (false, _) => "the Node is not Ready",
        };
        Some(Reason::new(Code::NodeNotReady, text))
    }

    /// The agent staged a release that is older than the running one. rpm-ostree prevents that for branches and images; this check does not
    /// depend on it. The next look replaces the release once there is a newer one.
    fn older(&self) -> Option<Reason> {
        let (booted, pending) = (&self.host()?.booted, self.pending()?);
        let back = pending.published < booted.published && !self.is_declared(pending);
        (self.is_ours(pending) && back).then(|| {
            let text = format!(
                "what the host follows has gone back from {} to {}",
                booted.version, pending.version
            );
            Reason::new(Code::OlderVersion, text)
        })
    }

    /// A pool declares it though it is older, and the host's configuration takes that.
    fn is_declared(&self, pending: &Deployment) -> bool {
        let assigned = self.assigned();
        let this = assigned
            .identity
            .is_none_or(|identity| identity == pending.identity);
        self.settings.allow_downgrade && assigned.declared && assigned.downgrade && this
    }

    /// The agent staged it when the graph led there, and the last look found that it leads nowhere now.
    fn withdrawn(&self) -> Option<Reason> {
        let pending = self.pending().filter(|pending| self.is_ours(pending))?;
        let following = self.seen.following.as_ref()?;
        let nowhere = following.source == Source::Graph && following.goal.is_none();
        let other = pending.identity != self.host()?.booted.identity;
        (nowhere && other).then(|| {
            let text = format!("the update graph no longer leads to {}", pending.version);
            Reason::new(Code::ReleaseWithdrawn, text)
        })
    }

    /// The update brings a kubelet that the API server does not get along with.
    fn kubelet_too_new(&self) -> Option<Reason> {
        let pending = self.pending()?;
        let skew = self
            .seen
            .skew
            .as_ref()
            .filter(|skew| skew.update == pending.id)?;
        (skew.is_too_new() && !self.settings.any_kubelet).then(|| {
            let text = format!(
                "{} brings kubelet {}, and the API server is {}",
                pending.version, skew.kubelet, skew.server
            );
            Reason::new(Code::KubeletTooNew, text)
        })
    }

    /// The boot is not complete. What is staged now would be in the way of a host that is about to fall back.
    pub(super) fn booting(&self) -> Option<Reason> {
        self.seen.survey.as_ref().ok()?.boot_incomplete()
    }

    /// The staged deployment is not locked, and rpm-ostree has no call to lock it afterwards. Staging it again would lose other changes,
    /// such as kernel arguments, so it is reported and left as it is.
    pub(super) fn at_risk(&self, pending: &Deployment) -> Option<Reason> {
        self.seen.survey.as_ref().ok()?.at_risk(pending)
    }

    /// Reported only: why the node asks for a reboot although it needs no update.
    pub(super) fn reboot_requested(&self) -> Option<Reason> {
        let why = self.reboot_wanted()?;
        Some(Reason::new(Code::RebootRequested, why))
    }

    /// Reported only: whether the cordon prevents the update is decided by the grant.
    pub(super) fn cordoned_by_other(&self) -> Option<Reason> {
        let by = self.node()?.cordoned_by_other()?;
        Some(Reason::new(Code::CordonedByOther, by))
    }
}
