//! Where a graph leads to from what runs.

use std::collections::BTreeSet;

use super::{Graph, GraphRelease};
use crate::ids::ReleaseId;

/// What runs, as a graph is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here<'a> {
    /// This release.
    Release(&'a ReleaseId),
    /// The release of this version: a graph of images says nothing of the commit that a host follows as a branch.
    Version(&'a str),
}

/// Where a node is to go in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim<'a> {
    /// As far as the graph leads.
    Newest,
    /// To this release.
    Release(&'a ReleaseId),
    /// To the release of this version.
    Version(&'a str),
}

/// What a graph says to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'g> {
    /// It does not have what runs.
    NotInGraph,
    /// No update leads on from what runs, for this reason.
    DeadEnd(&'g str),
    /// What runs is the newest that it leads to, or what the host was to go to.
    There,
    /// All that it leads to next is to be avoided; the newest of that.
    Avoided(&'g GraphRelease),
    /// It does not lead to what the host is to go to.
    Elsewhere,
    /// To the next release.
    Hop(Walk<'g>),
}

/// A way through a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk<'g> {
    /// The release to boot next.
    pub next: &'g GraphRelease,
    /// The release at the end of the way.
    pub goal: &'g GraphRelease,
    /// How many releases are newer than what runs and no newer than the goal.
    pub behind: usize,
}

impl Graph {
    /// Where it leads to from `here`. Of all releases that an edge leads to, the newest that is not to be avoided is next; where there is an
    /// aim, the newest of those from which it can be reached. Nothing older than what runs is ever next.
    pub fn route(&self, here: Here<'_>, aim: Aim<'_>, avoid: &BTreeSet<ReleaseId>) -> Route<'_> {
        let Some(start) = self.find(here) else {
            return Route::NotInGraph;
        };
        let goal = match aim {
            Aim::Newest => None,
            Aim::Release(id) => Some(self.find(Here::Release(id))),
            Aim::Version(version) => Some(self.find(Here::Version(version))),
        };
        match goal {
            None => self.far(start, avoid),
            Some(None) => Route::Elsewhere,
            Some(Some(goal)) if goal == start => Route::There,
            Some(Some(goal)) => self.towards(start, goal, avoid),
        }
    }

    fn find(&self, here: Here<'_>) -> Option<usize> {
        self.releases.iter().position(|release| match here {
            Here::Release(id) => release.identity.as_ref() == Some(id),
            Here::Version(version) => release.version == version,
        })
    }

    fn at(&self, index: usize) -> Option<&GraphRelease> {
        self.releases.get(index)
    }

    fn age(&self, index: usize) -> Option<u64> {
        self.at(index)?.age
    }

    /// What may be booted after `from`, newest first.
    fn after(&self, from: usize) -> Vec<usize> {
        let age = self.age(from);
        let newer = |to: &usize| {
            let there = self.at(*to).is_some_and(|to| to.identity.is_some());
            // Without an age of what runs, every edge leads on.
            there
                && self
                    .age(*to)
                    .is_some_and(|to| age.is_none_or(|age| to > age))
        };
        let edges = self.edges.iter().filter(|(begin, _)| *begin == from);
        let mut next: Vec<_> = edges.map(|(_, to)| *to).filter(newer).collect();
        next.sort_by_key(|to| std::cmp::Reverse(self.age(*to)));
        next
    }

    fn avoided(&self, index: usize, avoid: &BTreeSet<ReleaseId>) -> bool {
        let release = self.at(index).and_then(|release| release.identity.as_ref());
        release.is_some_and(|identity| avoid.contains(identity))
    }

    fn far(&self, start: usize, avoid: &BTreeSet<ReleaseId>) -> Route<'_> {
        let after = self.after(start);
        let next = after.iter().find(|next| !self.avoided(**next, avoid));
        match (next, after.first()) {
            (Some(next), _) => self.hop(start, *next, self.end(*next, avoid)),
            (None, Some(avoided)) => self.at(*avoided).map_or(Route::There, Route::Avoided),
            (None, None) => {
                let here = self.at(start).and_then(|here| here.dead_end.as_deref());
                here.map_or(Route::There, Route::DeadEnd)
            }
        }
    }

    /// Where one comes to from `start` by the newest next release each time. Ages rise with each step, so it ends.
    fn end(&self, start: usize, avoid: &BTreeSet<ReleaseId>) -> usize {
        let mut end = start;
        while self.age(end).is_some() {
            let after = self.after(end);
            match after.iter().find(|next| !self.avoided(**next, avoid)) {
                Some(next) => end = *next,
                None => break,
            }
        }
        end
    }

    fn towards(&self, start: usize, goal: usize, avoid: &BTreeSet<ReleaseId>) -> Route<'_> {
        if let Some(avoided) = self.at(goal).filter(|_| self.avoided(goal, avoid)) {
            return Route::Avoided(avoided);
        }
        let leads = self.leading(goal, avoid);
        let next = self
            .after(start)
            .into_iter()
            .find(|next| leads.contains(next));
        next.map_or(Route::Elsewhere, |next| self.hop(start, next, goal))
    }

    /// Everything from which `goal` can be reached, itself included, without what is to be avoided.
    fn leading(&self, goal: usize, avoid: &BTreeSet<ReleaseId>) -> BTreeSet<usize> {
        let (mut found, mut open) = (BTreeSet::from([goal]), vec![goal]);
        while let Some(to) = open.pop() {
            for (from, _) in self.edges.iter().filter(|(_, end)| *end == to) {
                let rises = self.age(*from).is_some_and(|age| Some(age) < self.age(to));
                if rises && !self.avoided(*from, avoid) && found.insert(*from) {
                    open.push(*from);
                }
            }
        }
        found
    }

    fn hop(&self, start: usize, next: usize, goal: usize) -> Route<'_> {
        let (Some(next), Some(goal)) = (self.at(next), self.at(goal)) else {
            return Route::There;
        };
        let begin = self.age(start);
        let between = |age: u64| begin.is_none_or(|begin| age > begin) && Some(age) <= goal.age;
        let newer = self
            .releases
            .iter()
            .filter(|one| one.age.is_some_and(between));
        Route::Hop(Walk {
            next,
            goal,
            behind: newer.count(),
        })
    }
}
