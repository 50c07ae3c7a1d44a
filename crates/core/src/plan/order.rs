//! Which of the nodes that may go is first.

use super::nodes::goes_back;
use super::planner::Planner;
use super::versions::{Part, parts};
use crate::ids::NodeName;
use crate::node::NodeView;
use crate::pool::{Order, OrderBy};
use crate::time::Time;

/// A node's place in the queue: the smallest goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank<'a> {
    /// The operator runs on it, and would be moved to another node.
    own: bool,
    /// One that goes back to what it ran before is out of service for as long as it waits.
    well: bool,
    /// The last write to it failed, and others need not wait for the next.
    suspect: bool,
    /// When its last grant lapsed without an answer.
    lapsed: Option<Time>,
    /// Before the workers, one of them, or after them.
    kind: Kind,
    /// When it was last updated, where canaries are chosen by number: the one that has waited longest goes first.
    served: Option<Time>,
    by: By<'a>,
    name: &'a NodeName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    ControlPlaneFirst,
    Worker,
    ControlPlaneLast,
}

/// What the pool sorts by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum By<'a> {
    Name,
    Zone(&'a str),
    NoZone,
    Version(Vec<Part<'a>>),
}

impl<'a> Planner<'a> {
    /// The place of a node, as the first of its pools wants it; among those that are to try something, whoever was `served` longest ago
    /// goes first.
    pub(super) fn rank(&self, node: &'a NodeView, served: Option<Time>) -> Rank<'a> {
        let order = self.pools.asks(&node.name).next().map(|pool| &pool.order);
        Rank {
            own: self.seen.own_node.as_ref() == Some(&node.name),
            well: !goes_back(node),
            suspect: self.seen.writes.suspect.contains(&node.name),
            lapsed: self.ledger.unanswered.get(&node.name).copied(),
            kind: kind(order, self.pools.controllers.contains(&node.name)),
            served,
            by: by(order, node),
            name: &node.name,
        }
    }
}

fn kind(order: Option<&Order>, controls: bool) -> Kind {
    match (controls, order) {
        (false, _) => Kind::Worker,
        (true, Some(order)) if order.control_plane_first => Kind::ControlPlaneFirst,
        (true, _) => Kind::ControlPlaneLast,
    }
}

fn by<'a>(order: Option<&Order>, node: &'a NodeView) -> By<'a> {
    match order.map(|order| &order.by) {
        None | Some(OrderBy::Name) => By::Name,
        Some(OrderBy::Zone(label)) => match node.labels.get(label) {
            Some(zone) => By::Zone(zone),
            None => By::NoZone,
        },
        Some(OrderBy::OldestVersion) => {
            let booted = node.agent.booted.value();
            By::Version(parts(booted.map_or("", |booted| &booted.version)))
        }
    }
}
