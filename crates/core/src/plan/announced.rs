//! What a node says about releases: which it runs, and where it would go.

use super::nodes::goes_back;
use super::versions::newer;
use crate::features::Feature;
use crate::ids::ReleaseId;
use crate::node::NodeView;
use crate::reason::{Attribute, Code};
use crate::release::NamedRelease;
use crate::values::Phase;

/// The label that tells a node's architecture.
pub const ARCHITECTURE: &str = "kubernetes.io/arch";

/// The node's architecture; empty where its Node says none.
pub(super) fn architecture(node: &NodeView) -> &str {
    node.labels.get(ARCHITECTURE).map_or("", String::as_str)
}

/// What the node runs.
pub(super) fn runs(node: &NodeView) -> Option<NamedRelease> {
    let booted = node.agent.booted.value()?;
    let version = Some(booted.version.clone()).filter(|version| !version.is_empty());
    Some(NamedRelease {
        identity: booted.identity,
        version,
    })
}

/// The node runs exactly this.
pub(super) fn is_on(node: &NodeView, identity: &ReleaseId) -> bool {
    let booted = node.agent.booted.value();
    booted.is_some_and(|booted| booted.identity == *identity)
}

/// Where the node would go: on a graph not to what a reboot boots next but to what that leads to. `None` where only packages or kernel
/// arguments change, and where it goes back.
pub(super) fn goal(node: &NodeView) -> Option<NamedRelease> {
    let needed = node.agent.needed.value()?;
    let booted = node.agent.booted.value();
    let same = booted.is_some_and(|booted| booted.identity == *needed);
    if same || goes_back(node) {
        return None;
    }
    let following = node.agent.following.value();
    let goal = following.and_then(|following| following.goal.clone());
    Some(goal.unwrap_or_else(|| NamedRelease {
        identity: *needed,
        version: node.agent.needed_version.clone(),
    }))
}

/// The node would go to exactly this, or to what it leads to.
pub(super) fn goes_to(node: &NodeView, identity: &ReleaseId) -> bool {
    let goal = goal(node);
    let needs = node.agent.needed.value() == Some(identity);
    goal.is_some_and(|goal| goal.identity == *identity || needs)
}

/// The release is on the node's own list of what failed, or may be.
pub(super) fn failed_here(node: &NodeView, identity: &ReleaseId) -> bool {
    let failed = node.agent.failed.value();
    failed.is_some_and(|failed| failed.find(identity).is_some())
        || node.agent.suspected.contains(identity)
}

/// What the node runs is newer than this.
pub(super) fn beyond(node: &NodeView, release: &NamedRelease) -> bool {
    let booted = node.agent.booted.value();
    let version = booted.map(|booted| booted.version.as_str());
    newer(version, release.version.as_deref())
}

/// The node's agent is told which release to go to.
pub(super) fn is_told(node: &NodeView) -> bool {
    Feature::Release.is_in(&node.agent.features)
}

/// The node could stage and boot something soon, as far as it says itself.
pub(super) fn able(node: &NodeView) -> bool {
    let phase = node.agent.status.value().map(|status| status.phase);
    let going = match phase {
        None | Some(Phase::Held | Phase::Failed) => false,
        Some(
            Phase::Idle
            | Phase::Staging
            | Phase::Staged
            | Phase::Waiting
            | Phase::Draining
            | Phase::Rebooting
            | Phase::Verifying,
        ) => true,
    };
    let well = node.ready && !node.deleting && !node.paused;
    going && well && node.protocol.value().is_some()
}

/// Its looks for updates come to something.
pub(super) fn looks(node: &NodeView) -> bool {
    let reason = node.agent.reason.value();
    let code = reason.and_then(|reason| reason.code.known());
    // That passes by itself, and mostly means the others, too.
    let passes = code == Some(Code::NetworkFailed);
    let fails = |code: Code| code.is(Attribute::FailsLook) || code.is(Attribute::StopsLooks);
    able(node) && (passes || !code.is_some_and(fails))
}
