//! A pool's candidate after its status was lost: what the Nodes were told shows it.

use std::collections::BTreeMap;

use super::announced::{architecture, failed_here, goal, is_on, runs};
use super::course::Course;
use super::planner::Planner;
use super::trial::updated;
use super::versions::by_version;
use crate::node::NodeView;
use crate::release::{Chosen, GivenUp, ImageName, NamedRelease, Rollout, Source};

/// What a node was told to go to.
struct Told<'a> {
    node: &'a NodeView,
    declared: bool,
    image: Option<ImageName>,
    release: NamedRelease,
    /// It runs that since it was granted it.
    updated: bool,
}

impl Told<'_> {
    /// The node is not there yet, so it was not only told to stay.
    fn goes(&self) -> bool {
        !is_on(self.node, &self.release.identity)
    }
}

impl<'a> Planner<'a> {
    /// What decides in the pool, if its status says nothing at all and its nodes were told something. What was promoted is not among it: it
    /// is tried again, which it was, and so is promoted at once.
    pub(super) fn restored(&self, course: &Course<'a>) -> Option<Rollout> {
        if !course.rollout.is_empty() {
            return None;
        }
        let assigned = course.members.iter().copied();
        let assigned = assigned.filter_map(|node| Some((node, node.operator.assigned.value()?)));
        let assigned: Vec<_> = assigned.collect();
        let mut given_up: BTreeMap<_, GivenUp> = BTreeMap::new();
        for identity in assigned.iter().flat_map(|(_, assigned)| &assigned.avoid) {
            given_up.entry(*identity).or_insert_with(|| GivenUp {
                identity: *identity,
                version: None,
                at: self.now,
                nodes: vec![],
            });
        }
        let told = assigned.iter().filter_map(|(node, assigned)| {
            let identity = assigned.identity?;
            let version = assigned.version.clone();
            let asked = assigned.declared == course.asks.release.is_some();
            let release = NamedRelease { identity, version };
            let kept = !given_up.contains_key(&identity) && asked;
            kept.then(|| Told {
                node,
                declared: assigned.declared,
                image: assigned.image.clone(),
                release,
                updated: false,
            })
        });
        let granted = course.members.iter().filter_map(|node| {
            let slot = self.has_slot(course, node);
            slot.or_else(|| was_updated(course, node))
        });
        let told: Vec<_> = told.chain(granted).collect();
        let candidate = self.last_told(&told);
        if candidate.is_none() && given_up.is_empty() {
            return None;
        }
        Some(Rollout {
            candidate,
            given_up: given_up.into_values().collect(),
            ..Rollout::default()
        })
    }

    /// What the node has a slot for, unless it goes back: it may have that without having been told.
    fn has_slot<'n>(&self, course: &Course<'a>, node: &'n NodeView) -> Option<Told<'n>> {
        let entry = self.ledger.entries.get(&node.name)?;
        let back = runs(node).is_some_and(|run| failed_here(node, &run.identity));
        let release = goal(node).unwrap_or(NamedRelease {
            identity: entry.identity,
            version: None,
        });
        let declared = course.asks.release.as_ref();
        (!back && !failed_here(node, &release.identity)).then(|| Told {
            node,
            declared: declared.is_some(),
            image: declared.and_then(|declared| declared.what.image().cloned()),
            release,
            updated: false,
        })
    }

    /// The newest of them, unless all nodes were told to stay where they are.
    fn last_told(&self, told: &[Told<'_>]) -> Option<Chosen> {
        let first = told.first()?;
        let one = |other: &Told<'_>| other.release.identity == first.release.identity;
        let only_stay = |one: &Told<'_>| !one.updated && !one.goes();
        if told.iter().all(one) && told.iter().all(only_stay) {
            return None;
        }
        // What a node was granted was meant to be booted, and what it was updated to was; the rest may only be where it was to stay.
        let rank = |one: &Told<'_>| {
            let booted = one.node.agent.booted.value().map(|booted| booted.since);
            let granted = self.ledger.entries.contains_key(&one.node.name);
            (granted, one.goes(), updated(one.node), booted)
        };
        let best = told.iter().reduce(|best, next| {
            let order = by_version(&next.release, &best.release);
            let order = order.then_with(|| rank(next).cmp(&rank(best)));
            if order.is_gt() { next } else { best }
        })?;
        let version = &best.release.version;
        let same = told.iter().filter(|other| {
            let tied = other.release.identity == best.release.identity;
            tied || version.is_some() && other.release.version == *version
        });
        let identities = same.map(|other| {
            let architecture = architecture(other.node).to_owned();
            (architecture, other.release.clone())
        });
        let following = best.node.agent.following.value();
        let own = following.map_or(Source::Origin, |following| match following.source {
            Source::Graph => Source::Graph,
            Source::Origin | Source::Cluster => Source::Origin,
        });
        Some(Chosen {
            identities: identities.collect(),
            version: version.clone(),
            source: if best.declared { Source::Cluster } else { own },
            image: best.image.clone(),
            since: self.now,
        })
    }
}

/// What the node runs since it was granted that: it may have tried it without having been told.
fn was_updated<'n>(course: &Course<'_>, node: &'n NodeView) -> Option<Told<'n>> {
    let release = runs(node)?;
    let granted = node.operator.granted.value();
    let known = granted.is_some_and(|list| list.identities.contains(&release.identity));
    let declared = course.asks.release.as_ref();
    let updated = known && updated(node).is_some() && !failed_here(node, &release.identity);
    updated.then(|| Told {
        node,
        declared: declared.is_some(),
        image: declared.and_then(|declared| declared.what.image().cloned()),
        release,
        updated: true,
    })
}
