//! The input of a plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::writes::Writes;
use crate::control_plane::Rule;
use crate::field::Field;
use crate::gate::FoundGate;
use crate::ids::{NodeName, PoolName};
use crate::ledger::Ledger;
use crate::node::NodeView;
use crate::pause::FoundPause;
use crate::pool::{FoundPool, Pool};
use crate::release::Rollout;

/// What the operator observed at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All Nodes as of the watch, which may be behind.
    pub nodes: BTreeMap<NodeName, NodeView>,
    /// The ledger as just read; absent if it was never written.
    pub ledger: Field<Ledger>,
    /// Nodes as just read from the API server because of [`Act::ConfirmNode`](super::Act::ConfirmNode); `None` where there is no such Node.
    pub live: BTreeMap<NodeName, Option<NodeView>>,
    /// The node that the operator itself runs on.
    pub own_node: Option<NodeName>,
    /// All pools, by name.
    pub pools: Vec<FoundPool>,
    /// All pauses, by name. Like the pools they are read from the API server before a grant.
    pub pauses: Vec<FoundPause>,
    /// All gates, by name, read in the same way.
    pub gates: BTreeMap<String, FoundGate>,
    /// How far each pool is with releases, as its status says; one that says nothing is not in it.
    pub rollouts: BTreeMap<PoolName, Rollout>,
    /// Pools whose status can't be written now: a write is under way or has yet to come back, or the last one failed.
    pub pools_busy: BTreeSet<PoolName>,
    /// `pools`, `pauses` and `gates` were read from the API server in this very turn, because of [`Act::ConfirmPools`](super::Act::ConfirmPools); otherwise they are as the watch told.
    pub pools_live: bool,
    /// Writes to Nodes that are in flight, failed or can't be sent.
    pub writes: Writes,
}

/// The administrators' settings for the whole cluster.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The pool of all nodes that no other one selects.
    pub builtin: Pool,
    /// Whether all reboots are paused: nothing new is granted in any pool.
    pub paused: bool,
    /// Which nodes are of the control plane.
    pub control_plane: Rule,
    /// How long an agent may take to accept.
    pub accept_timeout: SignedDuration,
}

/// The ledger's name in reasons.
pub(super) const DATA_NAME: &str = "the ledger (ConfigMap cuo-ledger, ledger.json)";
