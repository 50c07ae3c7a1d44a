//! Looks for updates: whether one may begin, and what is reported about them.

use super::facts::Facts;
use super::seen::Staging;
use crate::look::Mode;
use crate::reason::{Code, Reason};

impl Facts<'_> {
    /// The reason to report about looks: that one is put off, or the result of the last.
    pub(super) fn looked(&self) -> Option<Reason> {
        let put_off = (self.seen.check_due && self.metered()).then(|| Code::Metered.into());
        // Found by a run with `mode = "check"`; the configuration has changed since.
        let past = |reported: &Reason| {
            reported.code == Code::UpdateAvailable && self.settings.mode != Mode::Check
        };
        let found = self.seen.looked.as_ref().filter(|reported| !past(reported));
        put_off.or_else(|| found.cloned())
    }

    /// Whether the network is metered: a look may download an update.
    fn metered(&self) -> bool {
        let survey = self.seen.survey.as_ref();
        survey.is_ok_and(|survey| survey.metered)
    }

    /// Whether rpm-ostree may look for an update now. A pending deployment of somebody else is left as it is. So is the agent's own once a
    /// slot is being prepared for it.
    pub(super) fn may_look(&self) -> bool {
        let wanted = self.seen.check_due
            && self.seen.staging == Staging::Idle
            && self.seen.survey.is_ok()
            && self.booting().is_none()
            // rpm-ostree can't go back while something is staged.
            && self.way_back().is_none()
            && !self.metered()
            && self.held().is_none();
        let replaceable = match (self.host(), self.pending()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(_), Some(pending)) => {
                let free =
                    self.node().is_some() && self.open_grant().is_none() && !self.is_reserved();
                // Nobody boots a release that failed.
                let failed = self.state.failed.find(&pending.identity).is_some()
                    || self.state.spoiled.as_ref() == Some(&pending.id);
                (self.is_ours(pending) || failed) && free
            }
        };
        wanted && replaceable
    }
}
