//! What a node has to be after a boot before its slot is given back.

use jiff::{SignedDuration, Timestamp};

use super::state::Attempt;
use super::{Act, Step, Work};
use crate::drain::later;
use crate::host::Host;
use crate::identity::Identity;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::values::{Failure, Phase};

/// What is asked of a node besides a complete boot and a kubelet that reports Ready.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Health {
    /// Units that have to be active.
    pub units: Vec<String>,
    /// How long all of it has to last.
    pub settle: SignedDuration,
    /// How long it may take before the node counts as failed.
    pub deadline: SignedDuration,
}

impl Work<'_> {
    /// What is wrong with this boot, as far as it can be seen.
    pub(super) fn sick(&self, node: &NodeView) -> Option<Reason> {
        let survey = match &self.seen.survey {
            Ok(survey) => survey,
            Err(why) => return Some(Reason::new(Code::UnitsUnknown, why)),
        };
        let ready = node.ready && node.kubelet_boot == Some(self.seen.boot);
        survey
            .boot_incomplete()
            .or_else(|| (!ready).then(|| Code::NodeNotReady.into()))
            .or_else(|| survey.inactive(&self.settings.health.units))
            .or_else(|| self.daemons())
    }

    /// Waits for the node to become healthy, and after the deadline keeps the slot and the version from spreading.
    pub(super) fn sickens(
        mut self,
        attempt: &Attempt,
        host: &Host,
        node: &NodeView,
        reason: Reason,
    ) -> Step {
        if let Some(attempt) = &mut self.state.attempt {
            attempt.good = None;
        }
        // The Node remembers since when, across restarts of the agent.
        let told = node.agent.status.value();
        let failed = node.agent.reason.value().map(|reason| reason.code) == Some(Code::Unhealthy)
            && told.is_some_and(|status| status.phase == Phase::Failed);
        let since = told.filter(|status| status.phase == Phase::Verifying);
        let limit = since.map(|status| later(status.since, self.settings.health.deadline));
        if !failed && limit.is_none_or(|limit| self.now <= limit) {
            let wake = limit.unwrap_or_else(|| later(self.now, self.settings.health.deadline));
            let wake = later(wake, SignedDuration::from_secs(1));
            return self.publish_or(Phase::Verifying, Some(reason), Act::Wait, Some(wake));
        }
        let identity = attempt.progress.identity;
        if host.booted.identity == identity && self.state.failed.find(&identity).is_none() {
            let (code, at) = (Code::Unhealthy, self.now);
            self.state.failed.add(Failure { identity, code, at });
        }
        let reason = Reason::new(Code::Unhealthy, reason.to_string());
        self.publish(Phase::Failed, Some(reason))
    }

    /// Until when a healthy node is watched.
    pub(super) fn settling(&mut self) -> Option<Timestamp> {
        let (now, settle) = (self.now, self.settings.health.settle);
        let attempt = self.state.attempt.as_mut().filter(|_| !settle.is_zero())?;
        // A clock that went back starts it anew.
        let good = attempt.good.filter(|good| *good <= now).unwrap_or(now);
        attempt.good = Some(good);
        Some(later(good, settle)).filter(|until| now < *until)
    }

    /// It became healthy after all.
    pub(super) fn recovered(&mut self, identity: &Identity) {
        let failures = &mut self.state.failed.identities;
        failures.retain(|failure| failure.identity != *identity || failure.code != Code::Unhealthy);
    }
}
