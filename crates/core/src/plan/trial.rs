//! How long nodes have run what they try.

use jiff::SignedDuration;

use super::announced::failed_here;
use crate::ids::ReleaseId;
use crate::node::NodeView;
use crate::reason::Code;
use crate::time::Time;
use crate::values::{Outcome, Phase, RebootResult};

/// What the others wait for.
#[derive(Debug, Default)]
pub(super) struct Wait {
    /// Who has to run it.
    pub names: String,
    /// Until when, if that is known.
    pub until: Option<Time>,
}

/// When an update brought what the node runs: not what it ran when it first reported of itself, or what it has run ever since.
pub(super) fn updated(node: &NodeView) -> Option<Time> {
    let booted = node.agent.booted.value()?;
    let result = of_update(node)?;
    let updated = result.outcome == Outcome::Done && result.at >= booted.since;
    updated.then_some(result.at)
}

/// What came of the last grant, if that was for an update. A reboot without one proves nothing new of what runs.
fn of_update(node: &NodeView) -> Option<&RebootResult> {
    let reboots = node.agent.reboots.value();
    let done = reboots.and_then(|reboots| reboots.done);
    let result = node.agent.result.value();
    result.filter(|result| Some(result.id) != done)
}

/// When the node has run `identity` for long enough; `None` if it does not run it, or not well.
pub(super) fn soaked(node: &NodeView, identity: &ReleaseId, soak: SignedDuration) -> Option<Time> {
    let agent = &node.agent;
    let status = agent.status.value()?;
    let booted = agent.booted.value()?;
    let ended = agent.progress.is_absent() && status.phase != Phase::Failed;
    if booted.identity != *identity || failed_here(node, identity) || !ended {
        return None;
    }
    // A node is done with a grant some time after the boot. Whatever came of an earlier one says nothing of this version.
    // Nor had it been given up, with a time that is when it became healthy after all.
    let about =
        |result: &&RebootResult| result.outcome == Outcome::Done || result.gave(Code::Unhealthy);
    let ended = of_update(node).filter(about);
    let since = ended.map_or(booted.since, |result| result.at.max(booted.since));
    Some(since.later(soak))
}
