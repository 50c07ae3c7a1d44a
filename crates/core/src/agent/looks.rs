//! Looks for updates: whether one may begin, and what is reported about them.

use super::facts::Facts;
use super::seen::Staging;
use crate::field::{Field, trouble};
use crate::keys;
use crate::look::Mode;
use crate::reason::{Code, Reason};
use crate::release::Assigned;

impl Facts<'_> {
    /// The reason to report about looks: that one is put off, or the result of the last.
    pub(super) fn looked(&self) -> Option<Reason> {
        let put_off = (self.due() && self.metered()).then(|| Code::Metered.into());
        // Said by an agent that was to stage nothing, and is reconfigured.
        let past = |reported: &Reason| {
            reported.code == Code::UpdateAvailable && self.settings.mode != Mode::Check
        };
        let found = self.seen.looked.as_ref().filter(|reported| !past(reported));
        put_off.or_else(|| found.cloned())
    }

    /// A look is due: its period is over, somebody asked for it, or the cluster assigns something else than it did at the last one.
    fn due(&self) -> bool {
        self.seen.check_due || self.assigned() != self.state.assigned
    }

    /// What the cluster assigns to the node, as a look that begins now has it.
    pub(super) fn assigned(&self) -> Assigned {
        match self.node().map(|node| &node.operator.assigned) {
            Some(Field::Value(assigned)) => assigned.clone(),
            Some(Field::Absent) => Assigned::default(),
            // What can't be read holds updates, and changes nothing.
            Some(Field::OtherVersion(_) | Field::Malformed(_)) | None => {
                self.state.assigned.clone()
            }
        }
    }

    /// What the cluster assigns can't be read: neither its release nor that of another source may be staged.
    fn assigned_unread(&self) -> bool {
        let assigned = self.node().map(|node| &node.operator.assigned);
        assigned.is_some_and(|assigned| trouble(assigned, keys::RELEASE).is_some())
    }

    /// A look may end in a download.
    fn metered(&self) -> bool {
        let survey = self.seen.survey.as_ref();
        survey.is_ok_and(|survey| survey.metered)
    }

    /// Whether rpm-ostree may look for an update now. A pending deployment of somebody else is left as it is. So is the agent's own once a
    /// slot is being prepared for it.
    pub(super) fn may_look(&self) -> bool {
        let wanted = self.due()
            && self.seen.staging == Staging::Idle
            && self.seen.survey.is_ok()
            && self.booting().is_none()
            // rpm-ostree can't go back while something is staged.
            && self.way_back().is_none()
            && !self.metered()
            && !self.assigned_unread()
            && self.held().is_none();
        let chosen = self.open_grant().is_some() || self.is_reserved();
        let replaceable = match (self.host(), self.update()) {
            (None, _) => false,
            // A look would delay a reboot that needs no update.
            (Some(_), None) => !self.only_reboots() || !chosen,
            (Some(_), Some(pending)) => {
                let free = self.node().is_some() && !chosen;
                // Nobody boots a release that failed.
                let failed = self.state.failed.find(&pending.identity).is_some()
                    || self.state.spoiled.as_ref() == Some(&pending.id);
                (self.is_ours(pending) || failed) && free
            }
        };
        wanted && replaceable
    }
}
