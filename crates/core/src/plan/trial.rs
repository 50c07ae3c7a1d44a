//! How far canaries are with a release.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::pools::some;
use crate::ids::{NodeName, ReleaseId};
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Outcome, Phase, RebootResult};

/// The trial of one release in one pool.
pub(super) struct Trial<'a> {
    /// The members that need it or run it: whether each is a canary by name, and when it has run it for long enough.
    pub nodes: Vec<Tried<'a>>,
    /// Members that run it or have a slot for it.
    pub under_way: BTreeSet<&'a NodeName>,
    /// Members that try something else, and when they will have run it for long enough.
    pub elsewhere: BTreeMap<&'a NodeName, Option<Time>>,
    /// The reason for all nodes that are neither.
    pub reported: Option<Reason>,
}

pub(super) struct Tried<'a> {
    pub name: &'a NodeName,
    pub chosen: bool,
    pub soaked: Option<Time>,
}

/// What the nodes that are no canaries wait for.
pub(super) struct Wait {
    pub names: String,
    /// Whether the canaries run another release.
    pub elsewhere: bool,
    /// When the nodes may go, if known.
    pub until: Option<Time>,
    /// When to check again.
    pub wake: Option<Time>,
}

impl Trial<'_> {
    /// The first `count` nodes that come to run it are the canaries.
    pub fn counted(&self, count: usize, node: &NodeName, now: Time) -> Result<(), Wait> {
        let demanded = count.min(self.nodes.len());
        let mut ends: Vec<_> = self.nodes.iter().filter_map(|tried| tried.soaked).collect();
        ends.sort_unstable();
        let until = match demanded.checked_sub(1) {
            None => return Ok(()),
            Some(last) => ends.get(last).copied(),
        };
        if until.is_some_and(|until| until <= now) {
            return Ok(());
        }
        // Its current trial has to last for the whole soak.
        if let Some(Some(end)) = self.elsewhere.get(node) {
            return Err(Wait {
                names: node.to_string(),
                elsewhere: true,
                until: Some(*end),
                wake: Some(*end),
            });
        }
        let own = self.under_way.iter().copied().filter(|name| *name != node);
        let elsewhere = self.elsewhere.keys().copied();
        let elsewhere = elsewhere.filter(|name| !self.under_way.contains(name));
        if own.clone().count() + elsewhere.clone().count() < count {
            return Ok(());
        }
        let ends = self.elsewhere.values().flatten().copied();
        let first = ends.clone().min();
        let only = own.clone().next().is_none();
        Err(Wait {
            names: if only { some(elsewhere) } else { some(own) },
            elsewhere: only,
            until: if only { first } else { until },
            wake: until.into_iter().chain(ends).min(),
        })
    }

    /// Checks that all canaries chosen by a selector have run the release for long enough.
    pub fn chosen(&self, now: Time) -> Result<(), Wait> {
        let chosen = || self.nodes.iter().filter(|tried| tried.chosen);
        let left: Vec<_> = chosen()
            .filter(|tried| tried.soaked.is_none_or(|soaked| soaked > now))
            .collect();
        if left.is_empty() && chosen().next().is_some() {
            return Ok(());
        }
        let until: Option<Vec<_>> = left.iter().map(|tried| tried.soaked).collect();
        let until = until.and_then(|ends| ends.into_iter().max());
        Err(Wait {
            elsewhere: false,
            names: some(left.iter().map(|tried| tried.name)),
            until,
            wake: until,
        })
    }
}

/// When an update brought what the node runs: not what it ran when it first reported of itself, or what it has run ever since.
pub(super) fn updated(node: &NodeView) -> Option<Time> {
    let booted = node.agent.booted.value()?;
    let result = node.agent.result.value()?;
    let updated = result.outcome == Outcome::Done && result.at >= booted.since;
    updated.then_some(result.at)
}

/// When the node has run `identity` for long enough; `None` if it does not run it, or not well.
pub(super) fn soaked(node: &NodeView, identity: &ReleaseId, soak: SignedDuration) -> Option<Time> {
    let agent = &node.agent;
    let status = agent.status.value()?;
    let booted = agent.booted.value()?;
    let failed = agent.failed.value();
    let failed = failed.is_some_and(|failed| failed.find(identity).is_some());
    let suspected = agent.suspected.contains(identity);
    let ended = agent.progress.is_absent() && status.phase != Phase::Failed;
    if booted.identity != *identity || failed || suspected || !ended {
        return None;
    }
    // A node is done with a grant some time after the boot. Whatever came of an earlier one says nothing of this version.
    // Nor had it been given up, with a time that is when it became healthy after all.
    let about =
        |result: &&RebootResult| result.outcome == Outcome::Done || result.gave(Code::Unhealthy);
    let ended = agent.result.value().filter(about);
    let since = ended.map_or(booted.since, |result| result.at.max(booted.since));
    Some(since.later(soak))
}
