//! Roll-outs: a pool goes from what it runs to a release.
//!
//! Nodes learn of a release hours apart, so "no node waits" does not mean that all are there. A roll-out begins with the first slot for a
//! release, and is over once every node of the pool runs it that follows the same branch or image, or none is left that would boot it.

use std::collections::{BTreeMap, BTreeSet};

use cuo_core::ids::{NodeName, ReleaseId};
use cuo_core::node::NodeView;
use cuo_core::time::Time;
use serde::{Deserialize, Serialize};

use super::news::{Draft, Kind, Progress};
use crate::text::short;

/// As many releases are remembered whose roll-out is over: nodes that come late to one of them are no news.
const ENDED: usize = 8;
/// As many characters of a version, and of what a node follows, are kept: no real one has so many.
const LONGEST: usize = 200;
/// As many nodes are named.
const NAMED: usize = 5;

/// What was told of the roll-outs of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Those that are under way, by the version of the release.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub under_way: BTreeMap<String, Rollout>,
    /// Versions of those that are over, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<String>,
}

/// A roll-out that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// When it was noticed.
    pub since: Time,
    /// The release ids of the version, one for each architecture.
    pub ids: BTreeSet<ReleaseId>,
    /// What nodes follow that go there.
    pub follow: BTreeSet<String>,
    /// How far it was when that was told.
    pub progress: Progress,
}

/// Names of releases, as any node says.
#[derive(Debug, Default)]
pub struct Versions(BTreeMap<ReleaseId, String>);

impl Versions {
    /// Those that `nodes` know.
    pub fn of<'a>(nodes: impl Iterator<Item = &'a NodeView>) -> Self {
        let named = nodes.flat_map(|node| {
            let booted = node.agent.booted.value();
            let booted = booted.map(|booted| (booted.identity, booted.version.clone()));
            let needed = node.agent.needed.value().copied();
            let needed = needed.zip(node.agent.needed_version.clone());
            [booted, needed]
        });
        Self(named.flatten().collect())
    }

    /// What people call it: its version, or the beginning of its id.
    pub fn called(&self, id: &ReleaseId) -> String {
        let version = self.0.get(id).filter(|version| !version.is_empty());
        version.map_or_else(|| id.short(), |version| named(version))
    }
}

/// A version as it is told and kept.
pub fn named(version: &str) -> String {
    short(version, LONGEST)
}

/// What the node follows, as it is kept.
fn followed(node: &NodeView) -> Option<String> {
    let following = node.agent.following.value()?;
    Some(short(&following.reference, LONGEST))
}

/// Nodes that failed with each release that they were granted.
pub type Failures = BTreeMap<ReleaseId, BTreeSet<NodeName>>;

/// What `nodes` failed with. A failure with a release that a node was never granted counts for no other node, as the operator has it.
pub fn failures<'a>(nodes: impl Iterator<Item = &'a NodeView>) -> Failures {
    let mut all = Failures::new();
    for node in nodes {
        let granted = node.operator.granted.value();
        let failed = node.agent.failed.value();
        let ids = failed.into_iter().flat_map(|failed| failed.ids());
        for id in ids.filter(|id| granted.is_some_and(|list| list.identities.contains(id))) {
            all.entry(id).or_default().insert(node.name.clone());
        }
    }
    all
}

/// A pool as its roll-outs see it.
#[derive(Debug)]
pub struct Pool<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its nodes that have an agent.
    pub members: Vec<&'a NodeView>,
    /// How many failures of a release it allows.
    pub max_failures: usize,
    /// What releases are called.
    pub versions: &'a Versions,
    /// What failed anywhere.
    pub failures: &'a Failures,
}

/// The release that the node has a slot for, or is on its way into.
fn slot(node: &NodeView) -> Option<ReleaseId> {
    // A reboot without an update is none.
    if node.only_reboots().is_some() {
        return None;
    }
    let operator = &node.operator;
    let granted = operator.grant.value().map(|grant| grant.identity);
    let reserved = operator.reserved.value().map(|reserved| reserved.identity);
    let progress = node
        .agent
        .progress
        .value()
        .map(|progress| progress.identity);
    granted.or(reserved).or(progress)
}

impl Pool<'_> {
    /// What is to be known of its roll-outs at `now`, after `told`, and what is new.
    pub fn next(&self, told: &Told, now: Time) -> (Told, Vec<Draft>) {
        let mut next = told.clone();
        let mut news = self.begin(&mut next, now);
        for rollout in next.under_way.iter_mut() {
            self.learn(rollout.0, rollout.1);
        }
        let all: Vec<_> = next.under_way.keys().cloned().collect();
        for version in all {
            let Some(rollout) = next.under_way.get(&version) else {
                continue;
            };
            let tally = self.count(&version, rollout);
            if tally.progress.total == 0 {
                // Nobody goes there any more; "0 of 0 nodes" is no news.
                next.under_way.remove(&version);
                continue;
            }
            let Some(kind) = tally.kind(rollout, self.is_superseded(&version, rollout, &next))
            else {
                continue;
            };
            news.push(self.draft(kind, &version, &tally));
            if kind == Kind::RolloutProgress {
                next.under_way
                    .entry(version)
                    .and_modify(|known| known.progress = tally.progress);
            } else {
                next.end(version, kind);
            }
        }
        (next, news)
    }

    /// Begins roll-outs of releases that nodes have slots for.
    fn begin(&self, next: &mut Told, now: Time) -> Vec<Draft> {
        let mut news = Vec::new();
        let going = self.members.iter().filter_map(|node| slot(node));
        let going: BTreeSet<_> = going.map(|id| self.versions.called(&id)).collect();
        for version in going {
            if next.under_way.contains_key(&version) || next.ended.contains(&version) {
                continue;
            }
            let mut rollout = Rollout {
                since: now,
                ids: BTreeSet::new(),
                follow: BTreeSet::new(),
                progress: Progress::default(),
            };
            self.learn(&version, &mut rollout);
            let tally = self.count(&version, &rollout);
            rollout.progress = tally.progress;
            news.push(self.draft(Kind::RolloutStarted, &version, &tally));
            next.under_way.insert(version, rollout);
        }
        news
    }

    /// Adds release ids of the version, and what nodes follow that go there.
    fn learn(&self, version: &str, rollout: &mut Rollout) {
        for node in &self.members {
            let booted = node.agent.booted.value().map(|booted| booted.identity);
            let needed = node.agent.needed.value().copied();
            let ids = [booted, needed, slot(node)].into_iter().flatten();
            let ids: Vec<_> = ids
                .filter(|id| self.versions.called(id) == version)
                .collect();
            if !ids.is_empty() {
                rollout.ids.extend(ids);
                rollout.follow.extend(followed(node));
            }
        }
    }

    fn count(&self, version: &str, rollout: &Rollout) -> Tally {
        let mut tally = Tally::default();
        let gone = |id: &ReleaseId| {
            let nodes = self.failures.get(id).map_or(0, BTreeSet::len);
            nodes >= self.max_failures.max(1)
        };
        for node in &self.members {
            let going = slot(node).is_some_and(|id| self.versions.called(&id) == version);
            let follows = followed(node).is_none_or(|one| rollout.follow.contains(&one));
            if !going && !follows && !rollout.follow.is_empty() {
                continue;
            }
            tally.progress.total += 1;
            let booted = node.agent.booted.value();
            let runs = booted.is_some_and(|booted| rollout.ids.contains(&booted.identity));
            tally.slots += usize::from(going);
            tally.progress.done += usize::from(runs);
            let failed = node.agent.failed.value();
            let failed = failed.is_some_and(|all| all.ids().any(|id| rollout.ids.contains(&id)));
            if failed && !runs {
                tally.failed.push(node.name.clone());
            }
            // Each architecture has an id of its own; one that knows of none yet may be of any.
            let boots = slot(node).or(node.agent.needed.value().copied());
            let given_up = match boots.filter(|id| rollout.ids.contains(id)) {
                Some(id) => gone(&id),
                None => rollout.ids.iter().all(gone),
            };
            tally.waiting += usize::from(!runs && !failed && !given_up);
        }
        tally
    }

    /// Whether nodes that follow the same go to a release whose roll-out began later.
    fn is_superseded(&self, version: &str, rollout: &Rollout, all: &Told) -> bool {
        all.under_way.iter().any(|(other, newer)| {
            let later = (newer.since, other.as_str()) > (rollout.since, version);
            later && rollout.follow.is_subset(&newer.follow)
        })
    }

    fn draft(&self, kind: Kind, version: &str, tally: &Tally) -> Draft {
        let Progress { done, total } = tally.progress;
        let mut text = format!("{done} of {total} nodes run {version}.");
        if !tally.failed.is_empty() {
            let named: Vec<_> = tally
                .failed
                .iter()
                .map(NodeName::as_str)
                .take(NAMED)
                .collect();
            let more = tally.failed.len() - named.len();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            text.push_str(&format!(" It failed on {}{more}.", named.join(", ")));
        }
        let mut draft = Draft::new(kind, text);
        draft.pools.insert(self.name.to_owned());
        draft.release = Some(version.to_owned());
        draft.progress = Some(tally.progress);
        draft
    }
}

impl Told {
    /// Forgets the roll-out of `version`, which ended so. One that failed begins again if somebody has it tried again.
    fn end(&mut self, version: String, kind: Kind) {
        self.under_way.remove(&version);
        if kind != Kind::RolloutFailed {
            self.ended.push(version);
            let excess = self.ended.len().saturating_sub(ENDED);
            self.ended.drain(..excess);
        }
    }
}

/// A roll-out in numbers.
#[derive(Debug, Default)]
struct Tally {
    progress: Progress,
    /// Nodes that have a slot for it.
    slots: usize,
    /// Nodes that do not run it, and would boot it.
    waiting: usize,
    /// Nodes that it failed on, and that do not run it.
    failed: Vec<NodeName>,
}

impl Tally {
    /// What is new about the roll-out, if anything.
    fn kind(&self, told: &Rollout, superseded: bool) -> Option<Kind> {
        let complete = self.progress.done == self.progress.total;
        match (self.slots, self.waiting) {
            (0, 0) if complete => Some(Kind::RolloutFinished),
            (0, 0) => Some(Kind::RolloutFailed),
            (0, _) if superseded => Some(Kind::RolloutSuperseded),
            _ => (self.progress != told.progress).then_some(Kind::RolloutProgress),
        }
    }
}

#[cfg(test)]
mod tests;
