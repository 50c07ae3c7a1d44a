//! What the watches say of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use cuo_cluster::ClientSource;
use cuo_cluster::node::Keep;
use cuo_cluster::watch::{Change, NodesEvent, watch_nodes};
use cuo_coordination::pause::{PauseObject, watch_pauses};
use cuo_coordination::pool::{PoolObject, PoolsEvent, watch_pools};
use cuo_core::ids::{NodeName, PoolName};
use cuo_core::node::NodeView;
use cuo_core::pause::FoundPause;
use cuo_core::raw::RawNode;
use futures::StreamExt;
use futures::stream::{BoxStream, select};

use super::news::BUILT_IN;

/// A change of anything that is watched.
#[derive(Debug)]
pub enum Seen {
    /// Of a Node.
    Node(NodesEvent),
    /// Of a pool.
    Pool(Box<PoolsEvent>),
    /// Of a pause.
    Pause(Change<PauseObject>),
}

/// Watches everything that news can be about.
pub fn watch(source: &ClientSource) -> BoxStream<'static, Seen> {
    let keep = Keep::default().all_labels();
    let nodes = watch_nodes(source.clone(), keep).map(Seen::Node);
    let pools = watch_pools(source.clone()).map(|event| Seen::Pool(Box::new(event)));
    let pauses = watch_pauses(source.clone()).map(Seen::Pause);
    select(nodes, select(pools, pauses)).boxed()
}

/// The cluster as far as it is known.
#[derive(Debug, Default)]
pub struct Cluster {
    nodes: Option<BTreeMap<NodeName, NodeView>>,
    pools: Option<BTreeMap<PoolName, PoolObject>>,
    pauses: Option<BTreeMap<String, FoundPause>>,
}

/// All of it.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'a> {
    /// The Nodes.
    pub nodes: &'a BTreeMap<NodeName, NodeView>,
    /// The pools.
    pub pools: &'a BTreeMap<PoolName, PoolObject>,
    /// The pauses.
    pub pauses: &'a BTreeMap<String, FoundPause>,
}

impl Cluster {
    /// All of it, once each kind was listed. A watch that was lost since leaves what was known: nothing is new then.
    pub fn whole(&self) -> Option<Whole<'_>> {
        Some(Whole {
            nodes: self.nodes.as_ref()?,
            pools: self.pools.as_ref()?,
            pauses: self.pauses.as_ref()?,
        })
    }

    /// Takes in an event.
    pub fn hear(&mut self, event: Seen) {
        match event {
            Seen::Node(event) => take(&mut self.nodes, event, |node: RawNode| {
                // The API server allows no name that is not one.
                let view = NodeView::parse(&node).ok()?;
                Some((view.name.clone(), view))
            }),
            Seen::Pool(event) => take(&mut self.pools, *event, |pool| {
                Some((pool.name.clone(), pool))
            }),
            Seen::Pause(event) => take(&mut self.pauses, event, |one| Some((one.name, one.found))),
        }
    }
}

fn take<K: Ord + std::str::FromStr, T, V>(
    known: &mut Option<BTreeMap<K, V>>,
    event: Change<T>,
    read: impl Fn(T) -> Option<(K, V)>,
) {
    match event {
        Change::Reset(all) => *known = Some(all.into_iter().filter_map(read).collect()),
        Change::Changed(one) => {
            if let Some(known) = known {
                known.extend(read(one));
            }
        }
        Change::Gone(key) => {
            if let (Some(known), Ok(key)) = (known.as_mut(), key.parse()) {
                known.remove(&key);
            }
        }
        Change::Disconnected(_) => {}
    }
}

impl Whole<'_> {
    /// The names of the pools of `node`; [`BUILT_IN`] where there is none.
    pub fn pools_of(&self, node: &NodeView) -> BTreeSet<String> {
        let all = self.pools.values();
        let found = all.filter_map(|pool| pool.found.selecting(&node.labels));
        let mut found: BTreeSet<_> = found.map(ToString::to_string).collect();
        if found.is_empty() {
            found.insert(BUILT_IN.to_owned());
        }
        found
    }
}
