//! Reports decisions to people: in the log, and as Events about Nodes and pools.
//!
//! A decision is reported when its write succeeded. Why a node waits is reported when its code changes, or the node waits for another
//! release. A text that changes only with the clock or the queue is not reported, and neither is anything that was so when this process
//! began to lead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cuo_cluster::ClientSource;
use cuo_cluster::events::{About, Kind, Note, publish};
use cuo_coordination::pool::PoolObject;
use cuo_core::ids::{NodeName, PoolName, ReleaseId};
use cuo_core::plan::{Plan, Snapshot};
use cuo_core::pool::FoundPool;
use cuo_core::reason::Code;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::metrics::Metrics;
use crate::narration::{News, NodeEvent, PoolSaid, Said, of_pool, of_verdict, wanted};

/// An Event that waits to be published.
pub type Waiting = (About, News);

/// The most Events in the queue: one for each node of a large cluster.
pub const LIMIT: usize = 2000;
/// Pause between two Events, so that Events about a whole cluster do not delay more important calls of the API server.
const PACE: Duration = Duration::from_millis(20);

/// Remembers what was reported last.
#[derive(Debug)]
pub struct Teller {
    events: mpsc::Sender<Waiting>,
    metrics: Arc<Metrics>,
    reported: BTreeMap<NodeName, (Code, Option<ReleaseId>)>,
    /// Pools by name and uid, and whether they were reported as valid.
    pools: BTreeMap<(PoolName, String), bool>,
    /// The nodes that were reported as control plane; `None` before the first report.
    control_plane: Option<BTreeSet<NodeName>>,
}

impl Teller {
    /// A teller that sends its Events to `events`.
    pub fn new(events: mpsc::Sender<Waiting>, metrics: Arc<Metrics>) -> Self {
        Self {
            events,
            metrics,
            reported: BTreeMap::new(),
            pools: BTreeMap::new(),
            control_plane: None,
        }
    }

    /// Forgets what was reported: another operator leads in between, and reports.
    pub fn forget(&mut self) {
        self.reported.clear();
        self.pools.clear();
        self.control_plane = None;
    }

    /// Reports a successful write.
    pub fn wrote(&mut self, said: Said) {
        let (name, write) = (said.name, said.write);
        info!(node = %name, write = write.as_str(), "{}: {}", name, write.means());
        self.metrics.wrote(write, said.count);
        if let Some(event) = said.event {
            let now = (event.news.reason.code, event.wanted);
            self.reported.insert(name.clone(), now);
            self.tell(&name, event);
        }
    }

    /// A write of how far a pool is with releases succeeded.
    pub fn wrote_pool(&self, said: PoolSaid) {
        let (pool, write) = (&said.pool, said.write);
        info!(pool = %pool, write = write.as_str(), "pool {pool}: {}", write.means());
        self.metrics.wrote(write, None);
        if let Some(news) = said.news {
            info!(pool = %pool, code = %news.reason.code, "pool {pool}: {}", news.reason);
            let about = About {
                kind: Kind::Pool,
                name: pool.to_string(),
                uid: said.uid,
            };
            self.send(about, news);
        }
    }

    /// Nothing is left to be decided for now: tells which nodes wait for something else than before. Of those with a write under way its end
    /// is reported.
    pub fn settled(&mut self, seen: &Snapshot, plan: &Plan) {
        self.reported
            .retain(|name, _| seen.nodes.contains_key(name));
        if !seen.nodes.is_empty() {
            self.control_plane(&plan.control_plane);
        }
        for (name, reason) in &plan.verdicts {
            let open = seen.writes.under_way.contains(name);
            let Some(node) = seen.nodes.get(name).filter(|_| !open) else {
                continue;
            };
            let now = (reason.code, wanted(node));
            let before = self.reported.insert(name.clone(), now);
            if before == Some(now) {
                continue;
            }
            match of_verdict(reason).filter(|_| before.is_some()) {
                Some(news) => self.tell(name, NodeEvent::new(node, news)),
                None => debug!(node = %name, code = %reason.code, "{name}: {reason}"),
            }
        }
    }

    /// Reports which nodes count as control plane, once and whenever that changes.
    fn control_plane(&mut self, nodes: &BTreeSet<NodeName>) {
        if self.control_plane.as_ref() == Some(nodes) {
            return;
        }
        self.control_plane = Some(nodes.clone());
        let names: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
        match names.as_slice() {
            [] => warn!(
                "no node counts as control plane, so a pool may let several of its nodes go at once; if some of these are, label them, or name \
                 their labels with --control-plane-nodes"
            ),
            names => info!(
                "never two of these go at once, as they are of the control plane: {}",
                names.join(", ")
            ),
        }
    }

    /// Reports pools in `all` that have become valid or invalid, compared to their status and to earlier reports.
    pub fn pools(&mut self, all: &BTreeMap<PoolName, PoolObject>) {
        self.pools
            .retain(|(name, uid), _| all.get(name).is_some_and(|pool| pool.uid == *uid));
        for pool in all.values() {
            self.pool(pool);
        }
    }

    fn pool(&mut self, pool: &PoolObject) {
        let conditions = pool.status.conditions.iter();
        let refused =
            conditions.filter(|known| known.kind == "Accepted" && known.status == "False");
        let key = (pool.name.clone(), pool.uid.clone());
        let known = self.pools.get(&key).copied();
        let before = known.unwrap_or(refused.count() == 0);
        let valid = matches!(pool.found, FoundPool::Valid(_));
        self.pools.insert(key, valid);
        if valid != before {
            let news = of_pool(&pool.found);
            info!(pool = %pool.name, code = %news.reason.code, "pool {}: {}", pool.name, news.reason);
            let about = About {
                kind: Kind::Pool,
                name: pool.name.to_string(),
                uid: pool.uid.clone(),
            };
            self.send(about, news);
        }
    }

    fn tell(&self, name: &NodeName, event: NodeEvent) {
        let NodeEvent { uid, news, .. } = event;
        let reason = &news.reason;
        info!(node = %name, code = %reason.code, "{name}: {reason}");
        let about = About {
            kind: Kind::Node,
            name: name.to_string(),
            uid,
        };
        self.send(about, news);
    }

    fn send(&self, about: About, news: News) {
        if self.events.try_send((about, news)).is_err() {
            self.metrics.dropped();
        }
    }
}

/// Publishes the teller's Events until it is dropped. Nothing depends on an Event, so a failed one is not retried.
pub async fn publish_all(
    source: ClientSource,
    instance: String,
    metrics: Arc<Metrics>,
    mut events: mpsc::Receiver<Waiting>,
) {
    while let Some((about, news)) = events.recv().await {
        let note = Note {
            severity: news.severity,
            action: news.action,
            reason: &news.reason,
        };
        let result = publish(&source, &about, note, &instance, Timestamp::now()).await;
        if let Err(error) = result {
            metrics.failed(&error);
            debug!(about = about.name, %error, "an Event was not published");
        }
        tokio::time::sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests;
