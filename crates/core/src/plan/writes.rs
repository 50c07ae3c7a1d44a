//! The state of writes to Nodes.

use std::collections::BTreeSet;

use crate::ids::NodeName;

/// What is known about writes to Nodes. The Nodes count against budgets as usual, whatever this says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes {
    /// Nodes that the API server just refused a write to: nothing is written to them for a while.
    pub resting: BTreeSet<NodeName>,
    /// Nodes whose last write failed: the others go first.
    pub suspect: BTreeSet<NodeName>,
    /// Nodes with a write in flight, or one that the watch has not shown yet: nothing else is written to them before.
    pub under_way: BTreeSet<NodeName>,
    /// Whether no more writes can be sent now.
    pub full: bool,
}

impl Writes {
    /// Whether nothing can be written to the Node now.
    pub(super) fn wait(&self, name: &NodeName) -> bool {
        self.full || self.resting.contains(name) || self.under_way.contains(name)
    }

    /// Whether the API server refuses writes to the Node, or does not answer them; a conflict with somebody else's write does not count.
    pub(super) fn refused(&self, name: &NodeName) -> bool {
        self.resting.contains(name) && self.suspect.contains(name)
    }
}
