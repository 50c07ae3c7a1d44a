//! How it is with what is written to Nodes.

use std::collections::BTreeSet;

use crate::ids::NodeName;

/// What is known of writes to Nodes. Whatever is here, all of them count as ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes {
    /// Nodes that the API server did not let the operator write just now: nothing is written to them for a while.
    pub resting: BTreeSet<NodeName>,
    /// Nodes whose last write failed: the others go first.
    pub suspect: BTreeSet<NodeName>,
    /// Nodes with a write under way, or one that the watch has yet to bring: nothing is written to them before that.
    pub under_way: BTreeSet<NodeName>,
    /// No more writes to Nodes can be sent now.
    pub full: bool,
}

impl Writes {
    /// Nothing can be written to the Node now.
    pub(super) fn wait(&self, name: &NodeName) -> bool {
        self.full || self.resting.contains(name) || self.under_way.contains(name)
    }

    /// The API server refuses what is written to the Node, or does not answer: more than somebody else's write that came first.
    pub(super) fn refused(&self, name: &NodeName) -> bool {
        self.resting.contains(name) && self.suspect.contains(name)
    }
}
