//! The only node that takes pods: its drain has nowhere to bring them, and what has a disruption budget stays.

use super::act::{Act, NodeChange, on};
use super::planner::Planner;
use crate::features::Feature;
use crate::field::trouble;
use crate::ids::NodeName;
use crate::keys;
use crate::node::NodeView;
use crate::values::DrainMode;

impl<'a> Planner<'a> {
    /// The node, if there is such a one and its pools want it drained.
    pub(super) fn lone(&self) -> Option<&'a NodeName> {
        let nodes = &self.seen.nodes;
        let taking = || nodes.values().filter(|node| node.takes_pods);
        let only = match (taking().count(), nodes.len()) {
            (1, _) => taking().next(),
            (0, 1) => nodes.values().next(),
            _ => None,
        };
        let drains = |node: &&NodeView| {
            let mut asks = self.pools.asks(&node.name);
            asks.any(|pool| pool.drain.mode == DrainMode::Evict)
        };
        only.filter(drains).map(|node| &node.name)
    }

    /// The writes that mark this Node, and no other, as the only one: to send now, or when nothing else is to be written. A mere
    /// report does not keep a node from its turn.
    pub(super) fn tell_lone(&self) -> (Option<Act>, Option<Act>) {
        let lone = self.lone();
        let differing = self.seen.nodes.values().find_map(|node| {
            let (operator, is) = (&node.operator, lone == Some(&node.name));
            let knows = Feature::OnlyNode.is_in(&node.agent.features);
            let whole = trouble(&operator.grant, keys::REBOOT_OK).is_none()
                && trouble(&operator.reserved, keys::REBOOT_RESERVED).is_none();
            let other = operator.only_node != is && knows && whole;
            let act = other.then(|| on(node, NodeChange::TellOnlyNode(is)));
            let act = act.filter(|act| !self.rests(act))?;
            Some((self.seen.writes.suspect.contains(&node.name), act))
        });
        match differing {
            Some((true, act)) => (None, Some(act)),
            Some((false, act)) => (Some(act), None),
            None => (None, None),
        }
    }
}
