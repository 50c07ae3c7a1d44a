//! The report about each pool.

use std::collections::BTreeMap;

use super::nodes::{has_failed, unavailable};
use super::planner::Planner;
use crate::ids::{GrantId, NodeName, PoolName, ReleaseId};
use crate::ledger::Stage;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::release::NamedRelease;
use crate::time::Time;
use crate::values::Field;

/// More targets, or nodes by name, are not reported of one pool. Of targets those are left out that the fewest nodes need or run.
pub const TARGETS: usize = 10;

/// The report about one pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolReport {
    /// Its name; `None` for the built-in one.
    pub name: Option<PoolName>,
    /// How many nodes it has.
    pub members: usize,
    /// How many need a reboot.
    pub needing: usize,
    /// How many have a slot.
    pub rebooting: usize,
    /// How many are out of service without a slot.
    pub unavailable: usize,
    /// How many need a person, or need a release that failed on them.
    pub failed: usize,
    /// How many need no reboot, according to their agents.
    pub up_to_date: usize,
    /// How many may be out of service because of a new grant.
    pub budget: usize,
    /// How many count against that.
    pub used: usize,
    /// The slots in use.
    pub slots: Vec<SlotReport>,
    /// What its nodes need or run, at most [`TARGETS`].
    pub targets: BTreeMap<ReleaseId, TargetReport>,
    /// Those that count as control plane, at most [`TARGETS`].
    pub control_plane: Vec<NodeName>,
    /// Nodes may be granted now, as far as its windows go.
    pub open: bool,
    /// When they may the next time, if not now.
    pub next_opening: Option<Time>,
    /// Why no node gets a slot now, though some need one.
    pub why: Option<Reason>,
    /// The only node that takes pods, where it is one of its nodes and would be drained.
    pub lone: Option<NodeName>,
    /// The newest release that its nodes announce, while they wait for another one.
    pub waiting: Option<NamedRelease>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotReport {
    /// The node that has it.
    pub node: NodeName,
    /// The grant's id.
    pub id: GrantId,
    /// The release that may be booted.
    pub identity: ReleaseId,
    /// The slot's stage.
    pub stage: Stage,
    /// When it was reserved, or granted.
    pub since: Time,
    /// What it waits for, if that is not the node itself.
    pub why: Option<Reason>,
}

/// Something that nodes of a pool need or run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetReport {
    /// Its version, where a node names one.
    pub version: Option<String>,
    /// How many need it or run it.
    pub nodes: usize,
}

impl Planner<'_> {
    /// All pools in numbers, the built-in one last.
    pub(super) fn report(&self) -> Vec<PoolReport> {
        let pools = self.pools.all.iter();
        let mut reports: Vec<_> = pools
            .map(|pool| PoolReport {
                name: pool.name.cloned(),
                members: pool.members.len(),
                budget: pool.budget,
                used: pool.used.len(),
                open: pool.open.is_some(),
                next_opening: pool.opens,
                why: pool
                    .asks
                    .err()
                    .map(|why| Reason::new(Code::PoolInvalid, why)),
                ..PoolReport::default()
            })
            .collect();
        let lone = self.lone();
        for (place, course) in &self.courses {
            reports[*place].waiting = self.waiting(course);
        }
        for (pool, report) in self.pools.all.iter().zip(&mut reports) {
            for node in &pool.members {
                self.tell(node, report);
                if lone == Some(&node.name) {
                    report.lone = lone.cloned();
                }
            }
            report.shorten();
        }
        reports
    }

    fn tell(&self, node: &NodeView, report: &mut PoolReport) {
        let (agent, entry) = (&node.agent, self.ledger.entries.get(&node.name));
        let failed = |identity| {
            let list = agent.failed.value();
            list.is_some_and(|list| list.find(identity).is_some())
        };
        let needed = agent.needed.value();
        let unfit = has_failed(node) || needed.is_some_and(failed);
        let rests = matches!(node.protocol, Field::Value(_)) && agent.needed.is_absent();
        if self.pools.controllers.contains(&node.name) && report.control_plane.len() < TARGETS {
            report.control_plane.push(node.name.clone());
        }
        report.needing += usize::from(needed.is_some());
        report.rebooting += usize::from(entry.is_some());
        report.unavailable += usize::from(entry.is_none() && unavailable(node));
        report.failed += usize::from(unfit);
        report.up_to_date += usize::from(rests && entry.is_none());
        // What is reported of a slot that is being given back is about what comes after it.
        let verdict = self.verdicts.get(&node.name);
        let stuck = verdict.filter(|why| why.code.verdict().stalls);
        report.slots.extend(entry.map(|entry| SlotReport {
            node: node.name.clone(),
            id: entry.id,
            identity: entry.identity,
            stage: entry.stage,
            since: entry.since,
            why: stuck.cloned(),
        }));
        let booted = agent.booted.value();
        if let Some(booted) = booted {
            report.counts(booted.identity, Some(&booted.version));
        }
        let other = needed.filter(|needed| booted.is_none_or(|run| run.identity != **needed));
        if let Some(identity) = other {
            report.counts(*identity, agent.needed_version.as_ref());
        }
        if needed.is_some() && entry.is_none() {
            // The first of those that got the furthest.
            let far = |why: &Reason| why.code.verdict().way;
            if verdict.map(far) > report.why.as_ref().map(far) {
                report.why = verdict.cloned();
            }
        }
    }
}

impl PoolReport {
    fn counts(&mut self, identity: ReleaseId, version: Option<&String>) {
        let target = self.targets.entry(identity).or_default();
        target.nodes += 1;
        if target.version.is_none() {
            target.version = version.cloned();
        }
    }

    /// Leaves out the rarest targets, and the reason if a node is about to get a slot.
    fn shorten(&mut self) {
        if self.targets.len() > TARGETS {
            let mut all: Vec<_> = std::mem::take(&mut self.targets).into_iter().collect();
            all.sort_by_key(|(_, target)| std::cmp::Reverse(target.nodes));
            self.targets = all.into_iter().take(TARGETS).collect();
        }
        self.why = self.why.take().filter(|why| why.code != Code::Reserved);
    }
}
