//! Why a node does not want to reboot now, though it may have to.

use super::facts::Facts;
use super::rollback::Unwell;
use crate::host::Deployment;
use crate::reason::{Code, Reason};

/// What holds a node.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub reason: Reason,
    /// It is a pause after a grant that came to nothing.
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
    /// What holds the node, the first of what does.
    pub(super) fn holds(&self, unwell: Option<&Unwell>) -> Option<Hold> {
        let leaves = self.way_back().is_some();
        self.distrusted()
            .or_else(|| match unwell {
                Some(Unwell::Settling(_)) if leaves => Some(Code::Settling.into()),
                // It is to leave what is wrong.
                Some(Unwell::Unhealthy(_)) if leaves => None,
                _ => self.unfit(),
            })
            .or_else(|| self.failed_before())
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
                // Until rpm-ostree is done nothing is missed that follows what it stages.
                let reason = self.obstructed(self.pending()?)?;
                (reason.code != Code::RpmOstreeBusy).then(|| reason.into())
            })
            .or_else(|| self.unready().filter(|_| !leaves).map(Hold::from))
    }

    /// What is not known, or not wanted by a person.
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

    /// Nothing locks what waits, and no call of rpm-ostree does it afterwards. To stage it again would lose what else was changed with it,
    /// such as kernel arguments, so it is announced and left as it is.
    pub(super) fn at_risk(&self, pending: &Deployment) -> Option<Reason> {
        self.seen.survey.as_ref().ok()?.at_risk(pending)
    }

    /// Only reported: what it is worth is in the grant.
    pub(super) fn cordoned_by_other(&self) -> Option<Reason> {
        let by = self.node()?.cordoned_by_other()?;
        Some(Reason::new(Code::CordonedByOther, by))
    }
}
