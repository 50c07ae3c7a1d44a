//! Where a pool with a candidate stands: who follows it, and what it goes to.

use std::collections::BTreeSet;

use super::announced::{architecture, beyond, failed_here, runs};
use super::trial::Wait;
use crate::ids::{NodeName, PoolName};
use crate::node::NodeView;
use crate::pool::{CanaryWho, Pool};
use crate::release::{Chosen, NamedRelease, Rollout, Source};

/// Where a pool with a candidate stands.
pub(super) struct Course<'a> {
    /// Its name, for the one who writes its status.
    pub name: &'a PoolName,
    /// What it asks for.
    pub asks: &'a Pool,
    /// How far it is with releases.
    pub rollout: &'a Rollout,
    /// The nodes that it leads, in the order of their names.
    pub members: Vec<&'a NodeView>,
    /// Those of them that may stage and boot the candidate before it is promoted.
    pub trying: BTreeSet<&'a NodeName>,
    /// Those that look what their own source, or a declared tag, leads to.
    pub looking: BTreeSet<&'a NodeName>,
    /// Whether the candidate was tried for as long as it was meant to be.
    pub soaked: Result<(), Wait>,
}

impl<'a> Course<'a> {
    /// What the candidate is for this node.
    pub fn candidate(&self, node: &NodeView) -> Option<(&'a Chosen, &'a NamedRelease)> {
        let chosen = self.rollout.candidate.as_ref()?;
        Some((chosen, chosen.of(architecture(node))?))
    }

    /// What is promoted for this node.
    pub fn promoted(&self, node: &NodeView) -> Option<(&'a Chosen, &'a NamedRelease)> {
        let chosen = self.rollout.promoted.as_ref()?;
        Some((chosen, chosen.of(architecture(node))?))
    }

    /// The node may be told to go to this: it did not fail there, and is not older than what runs, unless somebody declared it.
    pub fn fits(&self, node: &NodeView, (chosen, release): (&Chosen, &NamedRelease)) -> bool {
        let back = chosen.source != Source::Cluster && beyond(node, release);
        !back && !failed_here(node, &release.identity)
    }

    /// How many of its nodes run any of this.
    pub fn running(&self, chosen: &Chosen) -> usize {
        let runs = |node: &&&NodeView| runs(node).is_some_and(|run| chosen.is(&run.identity));
        self.members.iter().filter(runs).count()
    }

    /// It is one of those that try releases, by name.
    pub fn is_canary(&self, node: &NodeView) -> bool {
        match self.asks.canary.as_ref().map(|canary| &canary.who) {
            Some(CanaryWho::Nodes(selector)) => selector.matches(&node.labels),
            Some(CanaryWho::Count(_)) | None => true,
        }
    }
}
