//! What the agent wants its Node to show, and what each write to the Node is for.

use super::decision::{Act, Says};
use super::facts::Facts;
use super::state::Attempt;
use crate::control_plane;
use crate::features::Feature;
use crate::host::Deployment;
use crate::ids::GrantId;
use crate::node::{NodeView, Published};
use crate::reason::{Code, Reason};
use crate::release::{Following, Source};
use crate::values::{Booted, Names, Phase, PlainReboots, Status};

impl Facts<'_> {
    /// The write that makes the Node show `phase`, `reason` and everything else; `None` if it already does, or there is no Node.
    pub(super) fn unshown(&self, phase: Phase, reason: Option<&Reason>) -> Option<Act> {
        let node = self.node()?;
        let want = self.published(node, phase, reason);
        want.patch(node)?;
        Some(Act::Publish(says(node, &want), Box::new(want)))
    }

    /// The write that changes only `phase` and `reason` on the Node, to say why nothing happens: there may be an update in progress that
    /// this agent does not know of, or its next act could not be saved.
    pub(super) fn excuse(&self, phase: Phase, reason: &Reason) -> Option<Act> {
        let node = self.node()?;
        let mut want = self.published(node, phase, Some(reason));
        want.needed = node.agent.needed.value().copied();
        want.needed_version = node.agent.needed_version.clone();
        want.progress = node.agent.progress.value().cloned();
        want.owned = node.agent.owned.value().copied();
        want.result = node.agent.result.value().cloned();
        want.failed = node.agent.failed.value().cloned().unwrap_or_default();
        want.reboots = node.agent.reboots.value().cloned().unwrap_or_default();
        want.unschedulable = None;
        want.patch(node)?;
        Some(Act::Publish(Says::News, Box::new(want)))
    }

    fn published(&self, node: &NodeView, phase: Phase, reason: Option<&Reason>) -> Published {
        let host = self.host();
        let attempt = self.state.attempt.as_ref();
        let (owned, unschedulable) = match attempt {
            Some(attempt) => self.cordon(attempt, node),
            None => self.uncordon(node),
        };
        let since = match node.agent.status.value() {
            Some(status) if status.phase == phase => status.since,
            _ => self.now,
        };
        let booted = match host {
            Some(host) => Some(self.booted(node, &host.booted)),
            None => node.agent.booted.value().cloned(),
        };
        // Facts that are unknown now keep their last value.
        let (needed, needed_version) = match host {
            Some(_) => {
                let pending = self.pending();
                let version = pending.and_then(Deployment::named_version);
                (pending.map(|pending| pending.identity), version)
            }
            None => (
                node.agent.needed.value().copied(),
                node.agent.needed_version.clone(),
            ),
        };
        Published {
            status: Status { phase, since },
            reason: reason.cloned(),
            features: Feature::announced(booted.as_ref().map(|booted| &booted.boot)),
            control_plane_pods: self.control_plane_pods(node),
            needed,
            needed_version,
            following: self.following(node),
            dead_end: self
                .looked()
                .is_some_and(|looked| looked.code == Code::DeadEnd),
            reboots: self.plain_reboots(),
            booted,
            progress: attempt.map(|attempt| attempt.grant.progress.clone()),
            owned,
            result: self.state.result.clone(),
            failed: self.state.failed.clone(),
            system: self.seen.system.clone(),
            unschedulable,
        }
    }

    /// Reboots without an update. What one is made for stays on the Node until it is over, so that a lost state file hides nothing.
    fn plain_reboots(&self) -> PlainReboots {
        let shown = self.node().and_then(|node| node.agent.reboots.value());
        let attempt = self.state.attempt.as_ref();
        let goes_on = attempt.is_some_and(|attempt| attempt.baseline.plain);
        let stays = goes_on || self.host().is_none();
        let wanted = || shown.and_then(|shown| shown.wanted.clone());
        PlainReboots {
            wanted: self.reboot_wanted().or_else(|| wanted().filter(|_| stays)),
            done: self.state.rebooted,
        }
    }

    /// Where releases come from. What is not known yet stays as it was last known, and a goal of the graph that was reached is none.
    fn following(&self, node: &NodeView) -> Option<Following> {
        let known = self.seen.following.as_ref();
        let mut following = known.or(node.agent.following.value())?.clone();
        let booted = self.host().map(|host| host.booted.identity);
        let goal = following.goal.as_ref().map(|goal| goal.identity);
        let graph = following.source == Source::Graph;
        if graph && goal.is_some() && goal == booted {
            following.goal = None;
            following.behind = following.behind.map(|_| 0);
        }
        Some(following)
    }

    fn booted(&self, node: &NodeView, found: &Deployment) -> Booted {
        let before = node.agent.booted.value();
        let before = before.filter(|before| before.identity == found.identity);
        Booted {
            identity: found.identity,
            version: found.version.clone(),
            boot: self.seen.boot,
            // Times in the future, from a clock that was ahead, are ignored.
            since: before.map_or(self.now, |before| before.since.min(self.now)),
        }
    }

    /// The static pods of the control plane that were ever seen on the node. Nothing that was once reported is removed.
    fn control_plane_pods(&self, node: &NodeView) -> Names {
        let known = &node.agent.control_plane_pods;
        let there = match &self.seen.pods {
            Ok(pods) => control_plane::parts(pods, &node.name),
            Err(_) => Names::default(),
        };
        known.iter().chain(there.iter()).collect()
    }

    /// Whether somebody was seen to uncordon the node during `id`, so that a cordon on it now is not the agent's.
    fn disowned(&self, id: &GrantId) -> bool {
        let answer = self.state.result.as_ref().filter(|answer| answer.id == *id);
        answer.is_some_and(|answer| answer.gave(Code::Uncordoned))
    }

    /// Ownership of the cordon, and the cordon itself, without an attempt. A node that takes no pods yet stays cordoned until it is healthy or
    /// has left the release.
    fn uncordon(&self, node: &NodeView) -> (Option<GrantId>, Option<bool>) {
        let owned = node.agent.owned.value();
        let owned = owned.filter(|id| !self.disowned(id)).copied();
        match owned.filter(|_| self.is_unhealthy() && node.unschedulable) {
            Some(owned) => (Some(owned), None),
            None => (None, owned.map(|_| false)),
        }
    }

    /// Ownership of the cordon, and the cordon itself, during an attempt. A cordon by somebody else remains theirs, and is not set again if
    /// they remove it.
    fn cordon(&self, attempt: &Attempt, node: &NodeView) -> (Option<GrantId>, Option<bool>) {
        let progress = &attempt.grant.progress;
        let (id, here) = (progress.id, !self.has_booted_since(attempt));
        let accepted = node.agent.progress.value() == Some(progress);
        match node.agent.owned.value() {
            // Both were written together, so somebody has uncordoned the node since, and a later cordon is theirs.
            Some(_) if !here && !node.unschedulable => (None, None),
            Some(_) => (Some(id), None),
            None if accepted && here && !node.unschedulable && !attempt.others_cordon => {
                (Some(id), Some(true))
            }
            None => (None, None),
        }
    }
}

/// What a write of `want` is for: the first of answer, acceptance and cordon that the Node does not show yet. These are written in that
/// order.
fn says(node: &NodeView, want: &Published) -> Says {
    let agent = &node.agent;
    if want.result.is_some() && want.result.as_ref() != agent.result.value() {
        return Says::Answer;
    }
    if want.progress.is_some() && want.progress.as_ref() != agent.progress.value() {
        return Says::Accept;
    }
    if want.owned.is_some() && want.owned.as_ref() != agent.owned.value() {
        return Says::Cordon;
    }
    match want.status.phase {
        Phase::Rebooting => Says::Rebooting,
        Phase::Verifying => Says::Verifying,
        Phase::Idle
        | Phase::Staging
        | Phase::Staged
        | Phase::Waiting
        | Phase::Draining
        | Phase::Held
        | Phase::Failed => Says::News,
    }
}
