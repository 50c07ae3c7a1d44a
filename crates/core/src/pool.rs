//! Pools: groups of nodes that an administrator treats alike, and the policy for each.
//!
//! A node is in every pool whose selector it matches, and needs the consent of all of them: a slot of each, an open window in each, none
//! that is paused. A node that no pool selects is in the built-in pool, which the operator's flags describe; so adding a pool never
//! takes the policy from nodes that are not in it.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::ids::{PoolName, ReleaseId};
use crate::release::Declared;
use crate::selector::Selector;
use crate::values::{Cordoned, DrainPolicy, PodChecks};
use crate::window::Calendar;

/// The policy for the nodes of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name; `None` for the built-in one.
    pub name: Option<PoolName>,
    /// Selects its nodes. Ignored in the built-in pool.
    pub selector: Selector,
    /// How many of its nodes may be out of service because of a new grant.
    pub max_unavailable: MaxUnavailable,
    /// Whether the pool is paused: nothing new is granted.
    pub paused: bool,
    /// Names of the gates that have to be open for a grant.
    pub gates: Vec<String>,
    /// When its nodes may be granted.
    pub calendar: Calendar,
    /// Which node goes first.
    pub order: Order,
    /// Which nodes run a release before the others may boot it.
    pub canary: Option<Canary>,
    /// As many nodes, anywhere in the cluster, have to have failed with a release before it is no longer tried on nodes of this pool;
    /// at least 1. A node that failed never tries the same release again.
    pub max_failures: usize,
    /// The only release that its nodes may boot, if set.
    pub target: Option<Release>,
    /// What its nodes are to run, where the cluster says so.
    pub release: Option<Declared>,
    /// Whether each release has to be approved, and which are: `None` approves everything.
    pub approved: Option<Vec<Release>>,
    /// Annotations that have to be `true` before a grant.
    pub before: Vec<String>,
    /// Annotations that have to be `true` before a slot is free again.
    pub after: Vec<String>,
    /// What the agent looks at among the pods of its node, copied into the grant.
    pub pods: PodChecks,
    /// How to drain, copied into the grant.
    pub drain: DrainPolicy,
    /// What to do about nodes that somebody else has cordoned.
    pub cordoned: Cordoned,
    /// How long to wait after one of its nodes is done before the next one goes.
    pub settle: SignedDuration,
}

impl Default for Pool {
    /// The policy where nothing is set: one node at a time, at any time.
    fn default() -> Self {
        Self {
            name: None,
            selector: Selector::default(),
            max_unavailable: MaxUnavailable::Count(1),
            paused: false,
            gates: vec![],
            calendar: Calendar::default(),
            order: Order::default(),
            canary: None,
            max_failures: 1,
            target: None,
            release: None,
            approved: None,
            before: vec![],
            after: vec![],
            pods: PodChecks::default(),
            drain: DrainPolicy::default(),
            cordoned: Cordoned::Hold,
            settle: SignedDuration::ZERO,
        }
    }
}

impl Pool {
    /// There is one candidate at a time in it: canaries try it, somebody approves it, or a node finds out what a tag names.
    pub fn has_candidate(&self) -> bool {
        let declared = self.release.as_ref();
        let tag = declared.is_some_and(|declared| declared.what.tag().is_some());
        self.name.is_some() && (self.canary.is_some() || self.approved.is_some() || tag)
    }

    /// It says which release its nodes go to.
    pub fn steers(&self) -> bool {
        self.release.is_some() || self.has_candidate()
    }

    /// It lets its nodes boot this release, as far as approval goes.
    pub fn approves(&self, identity: &ReleaseId, version: Option<&str>) -> bool {
        let approved = self.approved.as_ref();
        approved.is_none_or(|list| list.iter().any(|one| one.names(identity, version)))
    }
}

/// A number of nodes, or a share of the pool's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MaxUnavailable {
    /// This many nodes.
    Count(usize),
    /// This percentage, rounded down, but at least one node; 0 means none at all.
    Percent(u8),
}

impl MaxUnavailable {
    /// How many nodes that is in a pool of `members`.
    pub fn of(self, members: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(0) => 0,
            Self::Percent(share) => (members.saturating_mul(share.into()) / 100).max(1),
        }
    }
}

/// Which node of a pool goes first. A node in several pools goes by the first of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    /// The order among nodes of one kind.
    pub by: OrderBy,
    /// Whether the control plane goes before the workers rather than after them.
    pub control_plane_first: bool,
}

/// How nodes are sorted; equal ones go by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// By name.
    #[default]
    Name,
    /// By the value of this label, one zone after the other; nodes without it come last.
    Zone(String),
    /// The oldest booted version first.
    OldestVersion,
}

/// Nodes that run a release for a while before the others may boot it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Which nodes of the pool.
    pub who: CanaryWho,
    /// How long they have to run it.
    pub soak: SignedDuration,
}

/// Which nodes are canaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CanaryWho {
    /// The first nodes that come to run it, up to this number.
    Count(usize),
    /// All nodes of the pool that match and need it or run it; without any, nobody else may boot it.
    Nodes(Selector),
}

/// A release, given by its id or its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Release {
    /// Exactly this release.
    Id(ReleaseId),
    /// Any release with this version.
    Version(String),
}

impl Release {
    /// Whether it names this release id, or its version as far as that is known.
    pub fn names(&self, identity: &ReleaseId, version: Option<&str>) -> bool {
        match self {
            Self::Id(named) => named == identity,
            Self::Version(named) => version == Some(named),
        }
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(identity) => identity.fmt(f),
            Self::Version(version) => f.pad(version),
        }
    }
}

/// A pool as found in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundPool {
    /// It is valid.
    Valid(Box<Pool>),
    /// It is invalid: the nodes that it selects are held, or all nodes if not even the selector is valid.
    Invalid {
        /// Its name.
        name: PoolName,
        /// Selects its nodes, if that much is valid.
        selector: Option<Selector>,
        /// What is wrong.
        why: String,
    },
}

impl FoundPool {
    /// Its name, if it selects nodes with these labels. A pool of which not even the selector is valid selects all.
    pub fn selecting(&self, labels: &BTreeMap<String, String>) -> Option<&PoolName> {
        let (name, selector) = match self {
            Self::Valid(pool) => (pool.name.as_ref()?, Some(&pool.selector)),
            Self::Invalid { name, selector, .. } => (name, selector.as_ref()),
        };
        let selects = selector.is_none_or(|selector| selector.matches(labels));
        selects.then_some(name)
    }
}

#[cfg(test)]
mod tests;
