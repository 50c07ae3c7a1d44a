//! What a node has to be after a boot before its slot is given back.

use jiff::SignedDuration;

use super::state::Attempt;
use super::{Act, Step, Work};
use crate::identity::Identity;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Names, Phase, PodChecks};

/// What is asked of a node besides a complete boot and a kubelet that reports Ready.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Health {
    /// Units that have to be active.
    pub units: Vec<String>,
    /// How long all of it has to last.
    pub settle: SignedDuration,
    /// How long it may take before the node counts as failed.
    pub deadline: SignedDuration,
    /// A node that failed goes back to what it ran before.
    pub rollback: bool,
}

impl Work<'_> {
    /// What is wrong with this boot, as far as it can be seen.
    pub(super) fn sick(
        &self,
        node: &NodeView,
        pods: &PodChecks,
        before: Option<&Names>,
    ) -> Option<Reason> {
        let survey = match &self.seen.survey {
            Ok(survey) => survey,
            Err(why) => return Some(Reason::new(Code::UnitsUnknown, why)),
        };
        let ready = node.ready && node.kubelet_boot == Some(self.seen.boot);
        survey
            .boot_incomplete()
            .or_else(|| (!ready).then(|| Code::NodeNotReady.into()))
            .or_else(|| survey.inactive(&self.settings.health.units))
            .or_else(|| self.control_plane(node, before))
            .or_else(|| self.daemons(pods))
    }

    /// Waits for the node to become healthy, and after the deadline keeps the slot and the version from spreading.
    pub(super) fn sickens(mut self, attempt: &Attempt, node: &NodeView, reason: Reason) -> Step {
        if let Some(attempt) = &mut self.state.attempt {
            attempt.good = None;
        }
        // The Node remembers since when, across restarts of the agent.
        let told = node.agent.status.value();
        let failed = node
            .agent
            .reason
            .value()
            .is_some_and(|reason| reason.code == Code::Unhealthy)
            && told.is_some_and(|status| status.phase == Phase::Failed);
        let since = told.filter(|status| status.phase == Phase::Verifying);
        let limit = since.map(|status| self.deadline(status.since));
        if !failed && limit.is_none_or(|limit| self.now <= limit) {
            let wake = limit.unwrap_or_else(|| self.now.later(self.settings.health.deadline));
            let wake = self.until(wake.later(SignedDuration::from_secs(1)));
            return self.publish_or(Phase::Verifying, Some(reason), Act::Wait, Some(wake));
        }
        let host = self.seen.host.as_ref().ok();
        if host.is_some_and(|host| attempt.is_granted(&host.booted)) {
            self.condemn(attempt, Code::Unhealthy);
        }
        if self.way_back().is_some() {
            return self.turns_back(attempt);
        }
        let reason = Reason::new(Code::Unhealthy, reason.to_string());
        self.publish(Phase::Failed, Some(reason))
    }

    /// When the node has failed, if it has been verified `since` then. A clock that was set forward makes no node fail: the host has to
    /// have been up for as long.
    fn deadline(&self, since: Time) -> Time {
        let span = self.settings.health.deadline;
        let up = self.limit(since, Some(SignedDuration::ZERO), span);
        up.max(since.later(span))
    }

    /// Until when a healthy node is watched.
    pub(super) fn settling(&mut self) -> Option<Time> {
        let good = self.state.attempt.as_ref()?.good;
        let (good, until) = self.watched(good)?;
        if let Some(attempt) = &mut self.state.attempt {
            attempt.good = Some(good);
        }
        Some(until)
    }

    /// From when and until when a node is watched that is healthy, and has been since `good`; `None` once that has lasted.
    pub(super) fn watched(&self, good: Option<Time>) -> Option<(Time, Time)> {
        // A clock that went back starts it anew.
        let good = good.filter(|good| *good <= self.now).unwrap_or(self.now);
        let until = good.later(self.settings.health.settle);
        (self.now < until).then_some((good, until))
    }

    /// It became healthy after all.
    pub(super) fn recovered(&mut self, identity: &Identity) {
        let failures = &mut self.state.failed.identities;
        failures.retain(|failure| failure.identity != *identity || failure.code != Code::Unhealthy);
    }
}
