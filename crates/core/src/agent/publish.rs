//! What the agent wants to stand on its Node.

use jiff::SignedDuration;

use super::state::Attempt;
use super::{Act, NodeSeen, Step, Work};
use crate::control_plane;
use crate::features::Feature;
use crate::host::Deployment;
use crate::identity::GrantId;
use crate::node::{NodeView, Published};
use crate::reason::{Code, Reason};
use crate::values::{Booted, Names, Phase, Status};

impl Work<'_> {
    /// Publishes `phase` and `reason`, if the Node does not show them and all the rest already.
    pub(super) fn publish(self, phase: Phase, reason: Option<Reason>) -> Step {
        self.publish_or(phase, reason, Act::Wait, None)
    }

    /// The same; `act` is next once the Node shows everything, or when there is no Node to write to.
    pub(super) fn publish_or(
        self,
        phase: Phase,
        reason: Option<Reason>,
        act: Act,
        wake: Option<SignedDuration>,
    ) -> Step {
        let write = self.node().and_then(|node| {
            let want = self.published(node, phase, reason.as_ref());
            want.patch(node).map(|_| Act::Publish(Box::new(want)))
        });
        // Without the Node only what concerns the host alone is done.
        let act = match (&self.seen.node, act) {
            (NodeSeen::Present { .. }, act) | (_, act @ (Act::Stage | Act::Check | Act::Wait)) => {
                act
            }
            (NodeSeen::Unknown(_) | NodeSeen::Absent, _) => Act::Wait,
        };
        Step {
            state: self.state,
            act: write.unwrap_or(act),
            wake,
            phase,
            reason,
            drain: self.drain,
        }
    }

    /// Leaves everything on the Node as it is and only tells why nothing happens, in this `phase`: there may be an update under way that
    /// this agent can't know, or what it does next could not be written down.
    pub(super) fn keep(self, phase: Phase, reason: Reason) -> Step {
        let write = self.node().and_then(|node| {
            let mut want = self.published(node, phase, Some(&reason));
            want.needed = node.agent.needed.value().copied();
            want.needed_version = node.agent.needed_version.clone();
            want.progress = node.agent.progress.value().cloned();
            want.owned = node.agent.owned.value().copied();
            want.result = node.agent.result.value().cloned();
            want.failed = node.agent.failed.value().cloned().unwrap_or_default();
            want.unschedulable = None;
            want.patch(node).map(|_| Act::Publish(Box::new(want)))
        });
        Step {
            state: self.state,
            act: write.unwrap_or(Act::Wait),
            wake: None,
            phase,
            reason: Some(reason),
            drain: self.drain,
        }
    }

    fn published(&self, node: &NodeView, phase: Phase, reason: Option<&Reason>) -> Published {
        let host = self.seen.host.as_ref().ok();
        let attempt = self.state.attempt.as_ref();
        let owned = node.agent.owned.value();
        let (owned, unschedulable) = match attempt {
            Some(attempt) => self.cordon(attempt, node),
            None => {
                let owned = owned.filter(|id| !self.disowned(id)).copied();
                // What does not work gets no pods, until it works or was left.
                match owned.filter(|_| self.ails() && node.unschedulable) {
                    Some(owned) => (Some(owned), None),
                    None => (None, owned.map(|_| false)),
                }
            }
        };
        let since = match node.agent.status.value() {
            Some(status) if status.phase == phase => status.since,
            _ => self.now,
        };
        let booted = match host {
            Some(host) => Some(self.booted(node, &host.booted)),
            None => node.agent.booted.value().cloned(),
        };
        Published {
            status: Status { phase, since },
            reason: reason.cloned(),
            features: Feature::announced(booted.as_ref().map(|booted| &booted.boot)),
            control_plane_pods: self.control_plane_pods(node),
            // What is not known now stays as it was last known.
            needed: match host {
                Some(_) => self.pending().map(|pending| pending.identity),
                None => node.agent.needed.value().copied(),
            },
            needed_version: match host {
                Some(_) => self.pending().and_then(Deployment::named_version),
                None => node.agent.needed_version.clone(),
            },
            booted,
            progress: attempt.map(|attempt| attempt.progress.clone()),
            owned,
            result: self.state.result.clone(),
            failed: self.state.failed.clone(),
            system: self.seen.system.clone(),
            unschedulable,
        }
    }

    fn booted(&self, node: &NodeView, found: &Deployment) -> Booted {
        let before = node.agent.booted.value();
        let before = before.filter(|before| before.identity == found.identity);
        Booted {
            identity: found.identity,
            version: found.version.clone(),
            boot: self.seen.boot,
            // A clock that was ahead counts for nothing.
            since: before.map_or(self.now, |before| before.since.min(self.now)),
        }
    }

    /// The static pods of the control plane that were ever seen on the node: nothing is taken away from what was told.
    fn control_plane_pods(&self, node: &NodeView) -> Names {
        let known = &node.agent.control_plane_pods;
        let there = match &self.seen.pods {
            Ok(pods) => control_plane::parts(pods, &node.name),
            Err(_) => Names::default(),
        };
        known.iter().chain(there.iter()).collect()
    }

    /// Somebody was seen to uncordon the node in spite of `id`, so a cordon that is there now is not the agent's.
    fn disowned(&self, id: &GrantId) -> bool {
        let answer = self.state.result.as_ref().filter(|answer| answer.id == *id);
        answer.is_some_and(|answer| answer.gave(Code::Uncordoned))
    }

    /// Ownership of the cordon and the cordon itself while a grant is acted on. A cordon that somebody else made stays theirs, and is not
    /// made again when they take it back.
    fn cordon(&self, attempt: &Attempt, node: &NodeView) -> (Option<GrantId>, Option<bool>) {
        let id = attempt.progress.id;
        let accepted = node.agent.progress.value() == Some(&attempt.progress);
        let here = attempt.progress.boot == self.seen.boot;
        match node.agent.owned.value() {
            // Both were written at once, so somebody has uncordoned it since, and a later cordon is theirs.
            Some(_) if !here && !node.unschedulable => (None, None),
            Some(_) => (Some(id), None),
            None if accepted && here && !node.unschedulable && !attempt.foreign => {
                (Some(id), Some(true))
            }
            None => (None, None),
        }
    }
}
