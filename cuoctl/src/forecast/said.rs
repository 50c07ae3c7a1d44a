//! What a forecast says, and what it assumes.

use cuo_core::ids::{NodeName, PoolName, ReleaseId};
use cuo_core::reason::Reason;
use cuo_core::time::Time;
use jiff::SignedDuration;
use serde::Serialize;

/// How long things are assumed to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumed {
    /// From the grant until all pods have left.
    pub drain: SignedDuration,
    /// That includes the delay that a pool asks for.
    pub with_delay: bool,
    /// From there until the node is Ready in its new boot.
    pub reboot: SignedDuration,
    /// Downloading and staging a release.
    pub stage: SignedDuration,
}

/// One reboot that the forecast expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reboot {
    /// Which node.
    pub node: NodeName,
    /// What it boots.
    pub release: ReleaseId,
    /// The version of that.
    pub version: Option<String>,
    /// When it is granted; where it was before the forecast began, when the agent accepted.
    pub granted: Time,
    /// When its pods have left.
    pub drained: Time,
    /// When it is done.
    pub done: Time,
}

/// A change of what a pool goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// When.
    pub at: Time,
    /// Which pool.
    pub pool: PoolName,
    /// What happens.
    pub what: String,
}

/// A node that needs a reboot and gets none in the time that is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Which node.
    pub node: NodeName,
    /// Why it waits in the end.
    pub reason: Reason,
    /// Waiting longer would change it: a window opens later, or others are still on their way.
    pub later: bool,
}

/// The forecast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// From when.
    pub from: Time,
    /// Until when it looks.
    pub until: Time,
    /// All reboots, in order.
    pub reboots: Vec<Reboot>,
    /// What becomes of candidates, in order.
    pub turns: Vec<Turn>,
    /// Nodes that wait in the end.
    pub left: Vec<Left>,
}

/// The planner did not come to rest, which a bug in it would cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plan does not come to rest at {0}; please report this, with `cuoctl plan --snapshot-out`"
)]
pub struct Restless(pub Time);
