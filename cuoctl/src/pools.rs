//! Which pools select which nodes.

use std::collections::BTreeMap;

use anyhow::Result;
use cuo_core::ids::{NodeName, PoolName};
use cuo_core::node::NodeView;
use cuo_core::plan::Snapshot;
use cuo_core::pool::{FoundPool, Pool};

/// There is a pool of this name.
pub fn has(seen: &Snapshot, name: &str) -> bool {
    name.parse()
        .is_ok_and(|name: PoolName| seen.rollouts.contains_key(&name))
}

/// Names of the pools that select the node, sorted; none for one of the built-in pool. A pool of which not even the selector is valid
/// selects all.
pub fn of_node(seen: &Snapshot, view: &NodeView) -> Vec<String> {
    let pools = seen.pools.iter();
    let selecting = pools.filter_map(|found| found.selecting(&view.labels));
    let mut names: Vec<_> = selecting.map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

/// What the valid pools that select the node ask for, or else the built-in one.
pub fn asks<'p>(pools: &'p [FoundPool], builtin: &'p Pool, view: &NodeView) -> Vec<&'p Pool> {
    let own = pools.iter().filter_map(|found| match found {
        FoundPool::Valid(pool) => Some(&**pool).filter(|pool| pool.selector.matches(&view.labels)),
        FoundPool::Invalid { .. } => None,
    });
    let own: Vec<_> = own.collect();
    match own.is_empty() {
        true => vec![builtin],
        false => own,
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
