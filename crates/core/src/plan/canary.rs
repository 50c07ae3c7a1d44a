//! Canaries: nodes that run a release for a while before the others of their pool may boot it.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::planner::Planner;
use super::pools::what;
use super::trial::{Trial, Tried, soaked, updated};
use crate::ids::{NodeName, ReleaseId};
use crate::node::NodeView;
use crate::pool::{Canary, CanaryWho};
use crate::reason::{Code, Reason};
use crate::time::Time;

impl<'a> Planner<'a> {
    /// Whether the pool at `place` lets `node` boot `identity`, as far as canaries go.
    pub(super) fn canaries(
        &mut self,
        place: usize,
        node: &NodeView,
        identity: &ReleaseId,
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
        if let Some(reported) = trial.reported.as_ref().filter(|_| !chosen) {
            return Err(reported.clone());
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
            trial.reported = Some(reason.clone());
        }
        Err(reason)
    }

    fn look_at_trial(&mut self, key: (usize, ReleaseId), canary: &Canary) {
        if !self.trials.contains_key(&key) {
            let trial = self.trial(key.0, canary, &key.1);
            self.trials.insert(key, trial);
        }
    }

    fn trial(&self, place: usize, canary: &Canary, identity: &ReleaseId) -> Trial<'a> {
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
            reported: None,
        }
    }

    /// Members of the pool that try another release than this. Whoever gets to stage something first is no canary of that while a canary is
    /// at work: with a version every hour each node would try another one, and nothing would ever be tried for as long as it was meant to.
    fn elsewhere(
        &self,
        place: usize,
        (count, soak): (usize, SignedDuration),
        identity: &ReleaseId,
    ) -> BTreeMap<&'a NodeName, Option<Time>> {
        let members = &self.pools.all[place].members;
        let entry = |node: &NodeView| self.ledger.entries.get(&node.name);
        let tries = |node: &'a NodeView| -> Option<(ReleaseId, Option<Time>)> {
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
        let mut open = |other: &ReleaseId| -> bool {
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

    /// Notes that the node gets a slot for `identity`.
    pub(super) fn tries(&mut self, node: &'a NodeName, identity: &ReleaseId) {
        for place in self.pools.places(node) {
            if let Some(trial) = self.trials.get_mut(&(*place, *identity)) {
                trial.under_way.insert(node);
                trial.reported = None;
            }
        }
    }
}
