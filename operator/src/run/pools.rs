//! The pools as they are known.

use std::collections::{BTreeMap, BTreeSet};

use cuo_cluster::node::Keep;
use cuo_coordination::pool::PoolObject;
use cuo_coordination::pool::PoolsEvent;
use cuo_core::ids::PoolName;
use cuo_core::plan::ARCHITECTURE;
use cuo_core::pool::{CanaryWho, FoundPool, OrderBy};
use cuo_core::release::Rollout;
use tracing::{info, warn};

/// All pools, and whether they are known as they are.
#[derive(Debug)]
pub struct Pools {
    /// The watch has told something.
    heard: bool,
    /// Why they are not.
    missing: Option<String>,
    all: BTreeMap<PoolName, PoolObject>,
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            heard: false,
            missing: Some("the pools have not been listed yet".to_owned()),
            all: BTreeMap::new(),
        }
    }
}

impl Pools {
    /// Why the pools are not known as they are; `None` while the watch is in touch.
    pub fn missing(&self) -> Option<&String> {
        self.missing.as_ref()
    }

    /// The watch has told something, if only that it can't.
    pub fn heard(&self) -> bool {
        self.heard
    }

    /// All that were found.
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

    /// Takes in what the watch tells.
    pub fn hear(&mut self, event: PoolsEvent) {
        self.heard = true;
        match event {
            PoolsEvent::Reset(all) => {
                if self.missing.take().is_some() {
                    info!("the pools are known: {}", all.len());
                }
                self.replace(all);
            }
            PoolsEvent::Changed(pool) => self.learn(pool),
            PoolsEvent::Gone(name) => self.all.retain(|known, _| known.as_str() != name),
            PoolsEvent::Disconnected(error) => {
                let why = format!("the pools can't be watched: {error}");
                if self.missing.as_ref() != Some(&why) {
                    warn!("{why}");
                }
                self.missing = Some(why);
            }
        }
    }

    /// These are all that there are. What was read of one before may be newer: a watch can be behind a read for any time.
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

    /// Has `keep` keep what the pools need of Nodes; whether that is more than before.
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

/// Versions are numbers that rise (Kubernetes 1.35 made that official); where they are something else, none is newer.
fn version(pool: &PoolObject) -> Option<u64> {
    pool.resource_version.parse().ok()
}

#[cfg(test)]
mod tests;
