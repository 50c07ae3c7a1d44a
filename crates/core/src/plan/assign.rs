//! Which release each node is told to go to.

use super::act::{Act, NodeChange, on};
use super::announced::{goes_to, is_on, is_told, runs};
use super::course::Course;
use super::nodes::{goes_back, holds};
use super::planner::Planner;
use crate::field::trouble;
use crate::ids::ReleaseId;
use crate::keys;
use crate::node::NodeView;
use crate::pool::Pool;
use crate::release::{Assigned, Chosen, GIVEN_UP, NamedRelease, Source};

impl Planner<'_> {
    /// The next Node that is to be told something else than it is. None that has a slot, or something left of one.
    pub(super) fn assign(&self) -> Option<Act> {
        self.seen.nodes.values().find_map(|node| {
            let busy = holds(node) || self.ledger.entries.contains_key(&node.name);
            let operator = &node.operator;
            let whole = trouble(&operator.assigned, keys::RELEASE).is_none();
            if busy || !whole || !is_told(node) || goes_back(node) {
                return None;
            }
            let assigned = self.assignment(node)?;
            if operator.assigned.value() == assigned.as_ref() {
                return None;
            }
            let act = on(node, NodeChange::Assign(assigned));
            Some(act).filter(|act| !self.rests(act))
        })
    }

    /// What the node is to be told; `None` leaves it as it is, since its pools don't agree or make no sense.
    fn assignment(&self, node: &NodeView) -> Option<Option<Assigned>> {
        let name = &node.name;
        if self.pools.invalid(name).is_err() || self.pools.steered_alike(name).is_err() {
            return None;
        }
        let Some(asks) = self.pools.leads(name).and_then(|at| self.pools.asks_at(at)) else {
            return Some(None);
        };
        let declared = asks.release.as_ref().map(|declared| declared.assigned());
        let Some(course) = self.course_of(name) else {
            return Some(declared);
        };
        let given_up = &course.rollout.given_up;
        let surplus = given_up.len().saturating_sub(GIVEN_UP);
        let avoid = given_up[surplus..].iter().map(|one| one.identity);
        let assigned = Assigned {
            avoid: avoid.collect(),
            ..self.goes_where(course, node, declared)?
        };
        Some((assigned != Assigned::default()).then_some(assigned))
    }

    fn goes_where(
        &self,
        course: &Course<'_>,
        node: &NodeView,
        declared: Option<Assigned>,
    ) -> Option<Assigned> {
        let fits = |found: &(&Chosen, &NamedRelease)| course.fits(node, *found);
        let candidate = course.candidate(node).filter(fits);
        let promoted = course.promoted(node).filter(fits);
        let take = |(chosen, release)| told(course.asks, chosen, release);
        let has = |identity: &ReleaseId| is_on(node, identity) || goes_to(node, identity);
        let tries = course.trying.contains(&node.name);
        let there = |(_, release): (&Chosen, &NamedRelease)| is_on(node, &release.identity);
        // What is promoted comes first, but for those that are to try what is next.
        let first = promoted.filter(|found| !there(*found));
        let first = first.filter(|_| !(tries && course.asks.canary.is_some()));
        if let Some(found) = candidate.filter(|_| first.is_none())
            && (tries || has(&found.1.identity))
        {
            return Some(take(found));
        }
        let nothing = course.rollout.candidate.is_none() && course.rollout.promoted.is_none();
        let looks = course.looking.contains(&node.name);
        // Before there is anything to go to, each finds by itself what there is; but a tag is for one to find out.
        if looks || nothing && declared.is_none() {
            return Some(declared.unwrap_or_default());
        }
        promoted.map(take).or_else(|| stays(node))
    }
}

/// The node stages exactly this.
fn told(asks: &Pool, chosen: &Chosen, release: &NamedRelease) -> Assigned {
    let declared = chosen.source == Source::Cluster;
    let downgrade = asks.release.as_ref().is_some_and(|one| one.downgrade);
    Assigned {
        declared,
        identity: Some(release.identity),
        version: release.version.clone(),
        image: chosen.image.clone(),
        downgrade: declared && downgrade,
        avoid: vec![],
    }
}

/// The node stays with what it runs.
fn stays(node: &NodeView) -> Option<Assigned> {
    let run = runs(node)?;
    Some(Assigned {
        identity: Some(run.identity),
        version: run.version,
        ..Assigned::default()
    })
}
