//! The pools as of the watch and of live reads.

use std::collections::{BTreeMap, BTreeSet};

use cuo_cluster::node::Keep;
use cuo_coordination::pool::PoolObject;
use cuo_coordination::pool::PoolsEvent;
use cuo_core::ids::PoolName;
use cuo_core::plan::ARCHITECTURE;
use cuo_core::pool::{CanaryWho, FoundPool, OrderBy};
use cuo_core::release::Rollout;

use super::missing::Missing;

/// All pools, and whether they are known.
#[derive(Debug)]
pub struct Pools {
    /// The watch has sent an event.
    heard: bool,
    missing: Missing,
    all: BTreeMap<PoolName, PoolObject>,
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            heard: false,
            missing: Missing::unlisted("pools"),
            all: BTreeMap::new(),
        }
    }
}

impl Pools {
    /// Why the pools are not known; `None` while the watch is connected.
    pub fn missing(&self) -> Option<&String> {
        self.missing.why()
    }

    /// Whether the watch has sent anything, even an error.
    pub fn heard(&self) -> bool {
        self.heard
    }

    /// All pools as found.
    pub fn found(&self) -> Vec<FoundPool> {
        self.all.values().map(|pool| pool.found.clone()).collect()
    }

    /// How far each is with releases.
    pub fn rollouts(&self) -> BTreeMap<PoolName, Rollout> {
        let pools = self.all.iter();
        pools
            .map(|(name, pool)| (name.clone(), pool.rollout()))
            .collect()
    }

    /// All that were found, by name.
    pub fn objects(&self) -> &BTreeMap<PoolName, PoolObject> {
        &self.all
    }

    /// Processes an event of the watch.
    pub fn hear(&mut self, event: PoolsEvent) {
        self.heard = true;
        match event {
            PoolsEvent::Reset(all) => {
                self.missing.listed(all.len());
                self.replace(all);
            }
            PoolsEvent::Changed(pool) => self.learn(pool),
            PoolsEvent::Gone(name) => self.all.retain(|known, _| known.as_str() != name),
            PoolsEvent::Disconnected(error) => self.missing.lost(&error),
        }
    }

    /// Replaces all pools by a list. A pool that is newer than in the list stays: a watch can be behind a read for any time.
    pub fn replace(&mut self, all: Vec<PoolObject>) {
        let names: BTreeSet<_> = all.iter().map(|pool| pool.name.clone()).collect();
        self.all.retain(|name, _| names.contains(name));
        all.into_iter().for_each(|pool| self.learn(pool));
    }

    fn learn(&mut self, pool: PoolObject) {
        let newer = |known: &PoolObject| known.uid == pool.uid && version(known) > version(&pool);
        if !self.all.get(&pool.name).is_some_and(newer) {
            self.all.insert(pool.name.clone(), pool);
        }
    }

    /// Adds what the pools need of Nodes to `keep`; whether that was missing.
    pub fn needs(&self, keep: &mut Keep) -> bool {
        let (mut annotations, mut labels) = (Vec::new(), Vec::new());
        for pool in self.all.values() {
            match &pool.found {
                FoundPool::Valid(pool) => {
                    labels.extend(pool.selector.keys());
                    if pool.has_candidate() {
                        labels.push(ARCHITECTURE);
                    }
                    if let OrderBy::Zone(label) = &pool.order.by {
                        labels.push(label);
                    }
                    if let Some(CanaryWho::Nodes(selector)) =
                        pool.canary.as_ref().map(|canary| &canary.who)
                    {
                        labels.extend(selector.keys());
                    }
                    annotations.extend(pool.before.iter().chain(&pool.after).map(String::as_str));
                }
                FoundPool::Invalid { selector, .. } => {
                    labels.extend(selector.iter().flat_map(|selector| selector.keys()));
                }
            }
        }
        keep.grow(annotations, labels)
    }
}

/// The pool's version as a number, which rises (official since Kubernetes 1.35); `None` if it is no number, and then no version is newer.
fn version(pool: &PoolObject) -> Option<u64> {
    pool.resource_version.parse().ok()
}

#[cfg(test)]
mod tests;
