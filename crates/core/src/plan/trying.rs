//! Who may try what is new, and who finds out what there is.

use std::collections::{BTreeMap, BTreeSet};

use super::announced::{able, architecture, goal, goes_to, is_on, is_told, looks};
use super::course::Course;
use super::nodes::has_failed;
use super::order::Rank;
use super::planner::Planner;
use super::trial::{soaked, updated};
use crate::ids::NodeName;
use crate::ledger::Stage;
use crate::node::NodeView;
use crate::pool::CanaryWho;
use crate::release::{NamedRelease, Rollout, Source};
use crate::values::Cordoned;

/// What a pool has that nothing was ever written about.
static NOTHING: Rollout = Rollout {
    candidate: None,
    promoted: None,
    promoted_at: None,
    given_up: Vec::new(),
    history: Vec::new(),
};

/// How near a node is to run the candidate: the first ones try it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    /// It does, and well.
    Runs,
    /// It was granted it.
    Granted,
    /// It has a slot for it.
    Reserved,
    /// It was told to stage it, and has.
    Staged,
    /// It has staged it by itself.
    Announces,
    /// It was told to stage it.
    Told,
    /// It could be told.
    Able,
    /// The same, but what it has staged is something else, which somebody may have deployed by hand.
    Elsewhere,
    /// It has staged it, and something on it is in the way.
    Held,
}

impl<'a> Planner<'a> {
    /// Finds out where each pool with a candidate stands.
    pub(super) fn look_at_courses(&mut self) {
        for place in 0..self.pools.all.len() {
            let Some(course) = self.course(place) else {
                continue;
            };
            self.courses.insert(place, course);
        }
    }

    fn course(&self, place: usize) -> Option<Course<'a>> {
        let asks = self.pools.asks_at(place)?;
        let name = asks.name.as_ref().filter(|_| asks.has_candidate())?;
        let members = self.pools.all[place].members.iter().copied();
        let led = members.filter(|node| self.pools.leads(&node.name) == Some(place));
        let mut course = Course {
            name,
            asks,
            rollout: self.seen.rollouts.get(name).unwrap_or(&NOTHING),
            members: led.collect(),
            trying: BTreeSet::new(),
            looking: BTreeSet::new(),
            soaked: Ok(()),
        };
        course.trying = self.trying(&course);
        course.looking = self.looking(&course);
        course.soaked = course.soaking(self.now);
        Some(course)
    }

    /// The course of the pool that leads the node.
    pub(super) fn course_of(&self, node: &NodeName) -> Option<&Course<'a>> {
        self.courses.get(&self.pools.leads(node)?)
    }

    /// Nothing that the node says of itself keeps it from its turn.
    pub(super) fn able(&self, node: &NodeView) -> bool {
        let cordoned = node.cordoned_by_other().is_some();
        let left_alone = cordoned && self.pools.cordoned(&node.name) == Cordoned::Hold;
        able(node) && !left_alone && !self.seen.writes.refused(&node.name)
    }

    fn trying(&self, course: &Course<'a>) -> BTreeSet<&'a NodeName> {
        let fit = course.members.iter().copied().filter(|node| {
            let candidate = course.candidate(node);
            candidate.is_some_and(|candidate| course.fits(node, candidate))
        });
        let count = match course.asks.canary.as_ref().map(|canary| &canary.who) {
            Some(CanaryWho::Count(count)) => *count,
            Some(CanaryWho::Nodes(_)) | None => {
                let canaries = fit.filter(|node| course.is_canary(node));
                return canaries.map(|node| &node.name).collect();
            }
        };
        let near =
            fit.filter_map(|node| Some((self.near(course, node)?, self.turn_of(node), node)));
        let mut near: Vec<_> = near.collect();
        near.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let first = near.into_iter().take(count);
        first.map(|(_, _, node)| &node.name).collect()
    }

    /// Whoever was updated longest ago tries the next.
    fn turn_of(&self, node: &'a NodeView) -> Rank<'a> {
        self.rank(node, updated(node))
    }

    fn near(&self, course: &Course<'a>, node: &NodeView) -> Option<Near> {
        let (_, release) = course.candidate(node)?;
        let identity = &release.identity;
        let soak = course.asks.canary.as_ref()?.soak;
        let entry = self.ledger.entries.get(&node.name);
        let goes = goes_to(node, identity);
        // A Node that was recreated tells of a grant that nothing else knows of any more.
        let progress = node.agent.progress.value();
        let entry = entry.filter(|entry| entry.identity == *identity || goes);
        let granted = entry.is_some_and(|entry| entry.stage == Stage::Granted)
            || progress.is_some_and(|progress| progress.identity == *identity);
        let assigned = node.operator.assigned.value();
        let told = assigned.is_some_and(|assigned| assigned.identity == Some(*identity));
        let able = self.able(node);
        let other = goal(node).is_some() && !goes;
        let tellable = is_told(node) && looks(node) && able;
        let ran = is_on(node, identity) && !has_failed(node);
        Some(match () {
            () if soaked(node, identity, soak).is_some() => Near::Runs,
            () if granted || ran => Near::Granted,
            () if entry.is_some() => Near::Reserved,
            () if goes && able && told => Near::Staged,
            () if goes && able => Near::Announces,
            () if told && able && !other => Near::Told,
            () if tellable && !other => Near::Able,
            () if tellable => Near::Elsewhere,
            () if goes => Near::Held,
            () => return None,
        })
    }

    /// Who finds out what there is: all chosen canaries, or as many nodes as try it, for each architecture without a candidate.
    fn looking(&self, course: &Course<'a>) -> BTreeSet<&'a NodeName> {
        let declared = course.asks.release.as_ref();
        let image = declared.and_then(|declared| declared.what.image());
        let mut open: BTreeMap<&str, Vec<&'a NodeView>> = BTreeMap::new();
        for node in course.members.iter().copied().filter(|node| is_told(node)) {
            // What is promoted comes first.
            let promoted = course.promoted(node);
            let on_its_way = promoted.is_some_and(|promoted| {
                let there = is_on(node, &promoted.1.identity);
                let asked_for = promoted.0.image.as_ref() == image;
                !there && asked_for && course.fits(node, promoted)
            });
            if course.candidate(node).is_none() && course.is_canary(node) && !on_its_way {
                open.entry(architecture(node)).or_default().push(node);
            }
        }
        let count = match course.asks.canary.as_ref().map(|canary| &canary.who) {
            Some(CanaryWho::Count(count)) => *count,
            Some(CanaryWho::Nodes(_)) => usize::MAX,
            None => 1,
        };
        let first = |nodes: Vec<&'a NodeView>| {
            let idle = |node: &NodeView| !(looks(node) && self.able(node));
            let mut nodes: Vec<_> = nodes
                .into_iter()
                .map(|node| (idle(node), self.turn_of(node), node))
                .collect();
            nodes.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
            nodes.into_iter().take(count).map(|(_, _, node)| &node.name)
        };
        open.into_values().flat_map(first).collect()
    }

    /// A member of the pool at `place` announces a release: its own goal, as far as the node was free to choose it.
    pub(super) fn found(
        &self,
        course: &Course<'a>,
        node: &NodeView,
    ) -> Option<(Source, NamedRelease)> {
        let following = node.agent.following.value();
        let source = following.map_or(Source::Origin, |following| following.source);
        let assigned = node.operator.assigned.value();
        let declared = course.asks.release.as_ref();
        let Some(declared) = declared else {
            // Whoever is to stay where it is was not free, and what is there all the same was put there by hand.
            let told = assigned.and_then(|assigned| assigned.identity);
            let free = source != Source::Cluster && told.is_none();
            return goal(node).filter(|_| free).map(|goal| (source, goal));
        };
        let as_declared = assigned.is_some_and(|assigned| {
            assigned.declared && assigned.image.as_ref() == declared.what.image()
        });
        if source != Source::Cluster || !as_declared {
            return None;
        }
        // What the tag names may be what the node runs already.
        let resolved = following.and_then(|following| following.goal.clone());
        resolved.or_else(|| goal(node)).map(|goal| (source, goal))
    }
}
