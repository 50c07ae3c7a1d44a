//! How long the parts of a grant took, from two views of a Node that follow each other.
//!
//! All times are the agent's own, apart from the wait, which ends by the operator's clock. What nobody saw begin is not measured: after a
//! restart of the operator, or where the watch left a phase out.

use jiff::SignedDuration;

use crate::ids::NodeName;
use crate::node::NodeView;
use crate::values::{Outcome, Phase};

/// A part of a grant that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// From asking for a reboot to the grant.
    Wait,
    /// The drain.
    Drain,
    /// From the drain's end until the agent of the next boot is there.
    Reboot,
    /// From there until the node is known to be healthy.
    Verify,
    /// From accepting the grant to its result.
    Total,
}

impl Part {
    /// The part as metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Drain => "drain",
            Self::Reboot => "reboot",
            Self::Verify => "verify",
            Self::Total => "total",
        }
    }

    /// The part that a phase is.
    const fn of(phase: Phase) -> Option<Self> {
        match phase {
            Phase::Draining => Some(Self::Drain),
            Phase::Rebooting => Some(Self::Reboot),
            Phase::Verifying => Some(Self::Verify),
            Phase::Idle
            | Phase::Staging
            | Phase::Staged
            | Phase::Waiting
            | Phase::Held
            | Phase::Failed => None,
        }
    }

    /// The phase after this one, where nothing fails.
    const fn then(self) -> Option<Phase> {
        match self {
            Self::Drain => Some(Phase::Rebooting),
            Self::Reboot => Some(Phase::Verifying),
            Self::Wait | Self::Verify | Self::Total => None,
        }
    }
}

/// A part that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lap {
    /// The node.
    pub node: NodeName,
    /// Which part.
    pub part: Part,
    /// How it ended: as the grant did, or `done` if the next part followed.
    pub outcome: Outcome,
    /// How long it took; never less than nothing, whatever clocks say.
    pub took: SignedDuration,
}

/// The parts that were under way in `before` and are over in `after`, both of the same Node.
pub fn laps(before: &NodeView, after: &NodeView) -> Vec<Lap> {
    [
        wait(before, after),
        phase(before, after),
        total(before, after),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn lap(node: &NodeView, part: Part, outcome: Outcome, took: SignedDuration) -> Lap {
    Lap {
        node: node.name.clone(),
        part,
        outcome,
        took: took.max(SignedDuration::ZERO),
    }
}

fn wait(before: &NodeView, after: &NodeView) -> Option<Lap> {
    let granted = after.operator.grant.value()?;
    let known = before.operator.grant.value();
    let asked = before.agent.status.value()?;
    let first = known.is_none() && asked.phase == Phase::Waiting;
    first.then(|| {
        let took = granted.issued.since(asked.since);
        lap(after, Part::Wait, Outcome::Done, took)
    })
}

fn phase(before: &NodeView, after: &NodeView) -> Option<Lap> {
    let (was, is) = (before.agent.status.value()?, after.agent.status.value()?);
    let part = Part::of(was.phase)?;
    let outcome = match part.then() {
        Some(next) if next == is.phase => Outcome::Done,
        _ if was.phase == is.phase => return None,
        _ => ended(before, after)?.0,
    };
    Some(lap(after, part, outcome, is.since.since(was.since)))
}

fn total(before: &NodeView, after: &NodeView) -> Option<Lap> {
    let (outcome, took) = ended(before, after)?;
    Some(lap(after, Part::Total, outcome, took))
}

/// The result of the grant that was in progress, and how long after its acceptance.
fn ended(before: &NodeView, after: &NodeView) -> Option<(Outcome, SignedDuration)> {
    let progress = before.agent.progress.value()?;
    let result = after.agent.result.value()?;
    let known = before.agent.result.value();
    let new = result.id == progress.id && known.is_none_or(|known| known.id != result.id);
    new.then(|| (result.outcome, result.at.since(progress.accepted)))
}

#[cfg(test)]
mod tests;
