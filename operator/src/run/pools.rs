//! The pools as they are known.

use std::collections::{BTreeMap, BTreeSet};

use cuo_cluster::node::Keep;
use cuo_coordination::pool::PoolObject;
use cuo_coordination::pool::PoolsEvent;
use cuo_core::ids::PoolName;
use cuo_core::pool::{CanaryWho, FoundPool, OrderBy};
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
mod tests {
    use cuo_cluster::ApiError;
    use cuo_coordination::pool::{PoolStatus, pool};
    use serde_json::{Value, json};

    use super::*;

    fn object(name: &str, spec: Value) -> PoolObject {
        let name: PoolName = name.parse().unwrap();
        PoolObject {
            found: pool(name.clone(), &spec),
            name,
            uid: "u".into(),
            resource_version: "1".into(),
            generation: 1,
            status: PoolStatus::default(),
        }
    }

    #[test]
    fn the_watch_is_the_only_truth() {
        let mut pools = Pools::default();
        let names =
            |pools: &Pools| -> Vec<_> { pools.objects().keys().map(ToString::to_string).collect() };
        assert!(pools.missing().is_some() && !pools.heard());
        let message = "no".to_owned();
        pools.hear(PoolsEvent::Disconnected(ApiError::Forbidden { message }));
        let why = "the pools can't be watched: forbidden: no".to_owned();
        assert_eq!((pools.missing(), pools.heard()), (Some(&why), true));
        let plain = |name| object(name, json!({}));
        pools.hear(PoolsEvent::Reset(vec![plain("a"), plain("b")]));
        assert_eq!(pools.missing(), None);
        pools.hear(PoolsEvent::Gone("a".into()));
        pools.hear(PoolsEvent::Changed(plain("c")));
        assert_eq!(names(&pools), ["b", "c"]);
        assert_eq!(pools.found().len(), 2);
        pools.hear(PoolsEvent::Reset(vec![]));
        assert_eq!(names(&pools), Vec::<String>::new());
    }

    /// The watch was behind when they were read from the API server.
    #[test]
    fn what_is_known_of_a_pool_never_gets_older() {
        let at = |version: &str, uid: &str, paused: bool| PoolObject {
            resource_version: version.into(),
            uid: uid.into(),
            ..object("p", json!({"paused": paused}))
        };
        type Event = fn(PoolObject) -> PoolsEvent;
        let changed: Event = PoolsEvent::Changed;
        let reset: Event = |pool| PoolsEvent::Reset(vec![pool]);
        let read = at("10", "u", true);
        for event in [changed, reset] {
            for (heard, expected) in [
                (at("9", "u", false), &read),
                (at("11", "u", false), &at("11", "u", false)),
                // Another one of the same name.
                (at("9", "v", false), &at("9", "v", false)),
                (at("x", "u", false), &read),
            ] {
                let mut pools = Pools::default();
                pools.replace(vec![read.clone()]);
                pools.hear(event(heard));
                let found: Vec<_> = pools.objects().values().collect();
                assert_eq!(found, [expected]);
            }
        }
    }

    #[test]
    fn whatever_a_pool_looks_at_is_kept_of_nodes() {
        let labels = |key: &str| json!({"matchLabels": {key: "x"}});
        let checks = json!({"before": ["b"], "after": ["a"]});
        let zone = json!({"by": "Zone", "topologyKey": "z"});
        let cases = [
            (json!({}), vec![], vec![]),
            (json!({"nodeSelector": labels("s")}), vec![], vec!["s"]),
            (
                json!({"nodeSelector": labels("s"), "settle": "soon"}),
                vec![],
                vec!["s"],
            ),
            (json!({"nodeSelector": "none"}), vec![], vec![]),
            (json!({"order": zone}), vec![], vec!["z"]),
            (
                json!({"canary": {"nodeSelector": labels("c")}}),
                vec![],
                vec!["c"],
            ),
            (json!({"checks": checks}), vec!["a", "b"], vec![]),
        ];
        for (spec, annotations, labels) in cases {
            let (mut found, mut expected) = (Keep::new(["own"]), Keep::new(["own"]));
            expected.grow(annotations, labels);
            let mut pools = Pools::default();
            pools.hear(PoolsEvent::Reset(vec![object("p", spec.clone())]));
            let more = found != expected;
            assert_eq!(pools.needs(&mut found), more, "{spec}");
            assert_eq!(found, expected, "{spec}");
            assert!(!pools.needs(&mut found), "{spec}: nothing more is needed");
        }
    }
}
