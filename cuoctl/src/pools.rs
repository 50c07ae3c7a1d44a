//! Which pools select which nodes.

use std::collections::BTreeMap;

use anyhow::Result;
use cuo_core::ids::{NodeName, PoolName};
use cuo_core::node::NodeView;
use cuo_core::pool::FoundPool;
use cuo_core::selector::Selector;

use crate::cluster::Cluster;

/// The pools, to say which of them select a node.
#[derive(Debug)]
pub struct Pools {
    all: BTreeMap<PoolName, (Option<Selector>, Releases)>,
}

/// The candidate and the promoted release of a pool, as people call them.
pub type Releases = (Option<String>, Option<String>);

impl Pools {
    /// The pools of `cluster`.
    ///
    /// # Errors
    /// Where one can't be parsed.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        let pools = cluster.pools()?.into_iter().map(|pool| {
            let rollout = pool.rollout();
            let called = |chosen: Option<cuo_core::release::Chosen>| chosen.map(|one| one.called());
            let selector = match pool.found {
                FoundPool::Valid(pool) => Some(pool.selector),
                FoundPool::Invalid { selector, .. } => selector,
            };
            let releases = (called(rollout.candidate), called(rollout.promoted));
            (pool.name, (selector, releases))
        });
        Ok(Self {
            all: pools.collect(),
        })
    }

    /// There is one of this name.
    pub fn has(&self, name: &str) -> bool {
        name.parse()
            .is_ok_and(|name: PoolName| self.all.contains_key(&name))
    }

    /// Those that select the node; none for one of the built-in pool.
    pub fn of_node(&self, view: &NodeView) -> Vec<String> {
        let selects = |selector: &Option<Selector>| {
            selector
                .as_ref()
                .is_none_or(|selector| selector.matches(&view.labels))
        };
        let pools = self
            .all
            .iter()
            .filter(|(_, (selector, _))| selects(selector));
        pools.map(|(name, _)| name.to_string()).collect()
    }

    /// What is called candidate and promoted in the pool `name`.
    pub fn releases(&self, name: &PoolName) -> Releases {
        let known = self.all.get(name);
        known
            .map(|(_, releases)| releases.clone())
            .unwrap_or_default()
    }
}

/// The node `name` of `views`.
///
/// # Errors
/// Where there is none.
pub fn node<'v>(views: &'v BTreeMap<NodeName, NodeView>, name: &str) -> Result<&'v NodeView> {
    let found = name
        .parse()
        .ok()
        .and_then(|name: NodeName| views.get(&name));
    found.ok_or_else(|| anyhow::anyhow!("there is no node {name:?}"))
}
