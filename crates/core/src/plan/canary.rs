//! Canaries: nodes that run an identity for a while before the others of their pool may boot it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::Planner;
use super::pools::{some, what};
use crate::identity::{Identity, NodeName};
use crate::node::NodeView;
use crate::pool::{Canary, CanaryWho};
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Outcome, Phase, RebootResult};

/// How far one identity is in one pool.
pub(super) struct Trial<'a> {
    /// The members that need it or run it: whether each is a canary by name, and when it has run it for long enough.
    nodes: Vec<Tried<'a>>,
    /// Members that run it or have a slot for it.
    under_way: BTreeSet<&'a NodeName>,
    /// Members that try something else, and when they will have run it for long enough.
    elsewhere: BTreeMap<&'a NodeName, Option<Time>>,
    /// What everybody is told who has neither.
    told: Option<Reason>,
}

struct Tried<'a> {
    name: &'a NodeName,
    chosen: bool,
    soaked: Option<Time>,
}

impl<'a> Planner<'a> {
    /// Whether the pool at `place` lets `node` boot `identity`, as far as canaries go.
    pub(super) fn canaries(
        &mut self,
        place: usize,
        node: &NodeView,
        identity: &Identity,
    ) -> Result<(), Reason> {
        let pool = &self.pools.all[place];
        let Some(canary) = pool.asks.ok().and_then(|asks| asks.canary.as_ref()) else {
            return Ok(());
        };
        let called = pool.called();
        let key = (place, *identity);
        self.look_at_trial(key, canary);
        let Some(trial) = self.trials.get_mut(&key) else {
            return Ok(());
        };
        let tries = |node| trial.under_way.contains(node) || trial.elsewhere.contains_key(node);
        let chosen = match &canary.who {
            CanaryWho::Count(_) => tries(&node.name),
            CanaryWho::Nodes(selector) => selector.matches(&node.labels),
        };
        if let Some(told) = trial.told.as_ref().filter(|_| !chosen) {
            return Err(told.clone());
        }
        let judged = match &canary.who {
            CanaryWho::Count(count) => trial.counted(*count, &node.name, self.now),
            CanaryWho::Nodes(_) if chosen => return Ok(()),
            CanaryWho::Nodes(_) => trial.chosen(self.now),
        };
        let Err(wait) = judged else { return Ok(()) };
        self.wakes.extend(wait.wake);
        let version = node.agent.needed_version.as_deref();
        let what = match wait.elsewhere {
            true => "another release".to_owned(),
            false => what(identity, version),
        };
        let text = match (wait.names.is_empty(), wait.until) {
            (true, _) => format!("{called}no canary needs or runs {what}"),
            (_, Some(until)) => format!("{called}{} run {what} first, until {until}", wait.names),
            (_, None) => format!("{called}{} have to run {what} first", wait.names),
        };
        let reason = Reason::new(Code::CanaryFirst, text);
        if !chosen {
            trial.told = Some(reason.clone());
        }
        Err(reason)
    }

    fn look_at_trial(&mut self, key: (usize, Identity), canary: &Canary) {
        if !self.trials.contains_key(&key) {
            let trial = self.trial(key.0, canary, &key.1);
            self.trials.insert(key, trial);
        }
    }

    fn trial(&self, place: usize, canary: &Canary, identity: &Identity) -> Trial<'a> {
        let member = |name: &NodeName| self.pools.places(name).contains(&place);
        let chosen = |node: &NodeView| match &canary.who {
            CanaryWho::Count(_) => false,
            CanaryWho::Nodes(selector) => selector.matches(&node.labels),
        };
        let concerned = self.pools.all[place].members.iter().filter(|node| {
            let booted = node.agent.booted.value().map(|booted| &booted.identity);
            node.agent.needed.value() == Some(identity) || booted == Some(identity)
        });
        let nodes: Vec<_> = concerned
            .map(|node| Tried {
                name: &node.name,
                chosen: chosen(node),
                soaked: soaked(node, identity, canary.soak),
            })
            .collect();
        let run = nodes.iter().filter(|tried| tried.soaked.is_some());
        let run = run.map(|tried| tried.name);
        let slots = self.ledger.entries.iter();
        let slots = slots.filter(|(name, entry)| {
            let known = self.seen.nodes.contains_key(*name);
            entry.identity == *identity && (!known || member(name))
        });
        let under_way = run.chain(slots.map(|(name, _)| name)).collect();
        let elsewhere = match canary.who {
            CanaryWho::Count(count) => self.elsewhere(place, (count, canary.soak), identity),
            CanaryWho::Nodes(_) => BTreeMap::new(),
        };
        Trial {
            nodes,
            under_way,
            elsewhere,
            told: None,
        }
    }

    /// Members of the pool that try another identity than this. Whoever gets to stage something first is no canary of that while a canary is
    /// at work: with a version every hour each node would try another one, and nothing would ever be tried for as long as it was meant to.
    fn elsewhere(
        &self,
        place: usize,
        (count, soak): (usize, SignedDuration),
        identity: &Identity,
    ) -> BTreeMap<&'a NodeName, Option<Time>> {
        let members = &self.pools.all[place].members;
        let entry = |node: &NodeView| self.ledger.entries.get(&node.name);
        let tries = |node: &'a NodeView| -> Option<(Identity, Option<Time>)> {
            if let Some(entry) = entry(node) {
                return Some((entry.identity, None));
            }
            let booted = node.agent.booted.value()?;
            updated(node)?;
            let soaked = soaked(node, &booted.identity, soak)?;
            (soaked > self.now).then_some((booted.identity, Some(soaked)))
        };
        let tried = members
            .iter()
            .filter_map(|node| Some((&node.name, tries(node)?)));
        let mut tried: Vec<_> = tried.collect();
        tried.retain(|(_, (other, _))| other != identity);
        let mut known = BTreeMap::new();
        let mut open = |other: &Identity| -> bool {
            *known.entry(*other).or_insert_with(|| {
                let ends = members.iter().filter_map(|node| soaked(node, other, soak));
                ends.filter(|end| *end <= self.now).count() < count
            })
        };
        tried.retain(|(_, (other, _))| open(other));
        let ends = tried.into_iter().map(|(name, (_, end))| (name, end));
        ends.collect()
    }

    /// When the node came to run what it does, if it may become the first to try something else. With releases that come faster than they
    /// are tried, one and the same node would be the canary of each, and the others would never be updated.
    pub(super) fn served(&mut self, node: &NodeView) -> Option<Time> {
        let identity = node.agent.needed.value()?;
        let places = self.pools.places(&node.name).to_vec();
        let mut picks = |place: usize| {
            let asks = self.pools.all[place].asks.ok()?;
            let canary = asks.canary.as_ref()?;
            let CanaryWho::Count(count) = canary.who else {
                return None;
            };
            self.look_at_trial((place, *identity), canary);
            let trial = self.trials.get(&(place, *identity))?;
            (trial.under_way.len() < count).then_some(())
        };
        let mut places = places.into_iter();
        places.find_map(&mut picks).and_then(|()| updated(node))
    }

    /// The node gets a slot for `identity`.
    pub(super) fn tries(&mut self, node: &'a NodeName, identity: &Identity) {
        for place in self.pools.places(node) {
            if let Some(trial) = self.trials.get_mut(&(*place, *identity)) {
                trial.under_way.insert(node);
                trial.told = None;
            }
        }
    }
}

/// What the others wait for.
struct Wait {
    names: String,
    /// It is another release that these run.
    elsewhere: bool,
    /// When they may go, if that is known.
    until: Option<Time>,
    /// When it is worth looking again.
    wake: Option<Time>,
}

impl Trial<'_> {
    /// The first `count` nodes that come to run it are the canaries.
    fn counted(&self, count: usize, node: &NodeName, now: Time) -> Result<(), Wait> {
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
        // What it tries is tried for as long as it is meant to be.
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

    /// All chosen ones have to run it.
    fn chosen(&self, now: Time) -> Result<(), Wait> {
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

/// When an update brought what the node runs: not what it ran when it first told of itself, or what it has run ever since.
fn updated(node: &NodeView) -> Option<Time> {
    let booted = node.agent.booted.value()?;
    let result = node.agent.result.value()?;
    let updated = result.outcome == Outcome::Done && result.at >= booted.since;
    updated.then_some(result.at)
}

/// When the node has run `identity` for long enough; `None` if it does not run it, or not well.
fn soaked(node: &NodeView, identity: &Identity, soak: SignedDuration) -> Option<Time> {
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
