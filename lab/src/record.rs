//! What happened to all Nodes, as the API server told it: the judge of end-to-end tests and the source of the demo's table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cuo_cluster::node::Keep;
use cuo_cluster::watch::{NodesEvent, watch_nodes};
use cuo_cluster::{ClientSource, Credentials, Program};
use cuo_core::ids::{GrantId, NodeName};
use cuo_core::node::NodeView;
use cuo_core::raw::RawNode;
use cuo_core::values::Phase;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Everything that was seen so far.
#[derive(Debug, Default)]
struct Seen {
    nodes: BTreeMap<NodeName, NodeView>,
    /// Each Node as it last was, those that are gone too.
    last: BTreeMap<NodeName, NodeView>,
    /// Since when each node has been in its phase.
    since: BTreeMap<NodeName, (Phase, Instant)>,
    spent: BTreeMap<Phase, Duration>,
    most_down: usize,
    most_granted: usize,
    most_control_planes: usize,
    trouble: Vec<String>,
    /// All grants that were on each node.
    grants: BTreeMap<NodeName, BTreeSet<GrantId>>,
    /// Whose they were, oldest first.
    order: Vec<NodeName>,
}

/// What a [`Recorder`] has seen, for those who ask while the API server can't be.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Mutex<Seen>>);

impl Memory {
    /// The Node as it last was, even if it is gone.
    pub fn last(&self, name: &str) -> Option<NodeView> {
        let seen = lock(&self.0);
        let mut known = seen.last.values();
        known.find(|node| node.name.as_str() == name).cloned()
    }
}

/// Watches all Nodes from its start until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The node is out of service because of CUO or anything else: not ready, or cordoned.
fn is_down(node: &NodeView) -> bool {
    !node.ready || node.unschedulable
}

/// The node holds a grant that it has not answered.
fn is_granted(node: &NodeView) -> bool {
    let answered = node.agent.result.value().map(|result| result.id);
    let granted = node.operator.grant.value().map(|grant| grant.id);
    granted.is_some() && granted != answered
}

impl Seen {
    fn reset(&mut self, now: Instant) {
        (self.most_down, self.most_granted, self.most_control_planes) = (0, 0, 0);
        self.spent.clear();
        self.order.clear();
        for (_, since) in self.since.values_mut() {
            *since = now;
        }
    }

    fn take(&mut self, event: NodesEvent) {
        match event {
            NodesEvent::Reset(all) => {
                let there: BTreeSet<_> = all.iter().map(|raw| raw.name.clone()).collect();
                self.nodes.retain(|name, _| there.contains(name.as_str()));
                for raw in all {
                    self.note(&raw, Instant::now());
                }
            }
            NodesEvent::Changed(raw) => self.note(&raw, Instant::now()),
            NodesEvent::Gone(name) => self.nodes.retain(|known, _| known.as_str() != name),
            // The API server is stopped by tests; what it missed to tell comes with the next reset.
            NodesEvent::Disconnected(_) => {}
        }
        let count =
            |test: fn(&NodeView) -> bool| self.nodes.values().filter(|node| test(node)).count();
        let control_planes =
            count(|node| node.control_plane && (is_down(node) || is_granted(node)));
        self.most_down = self.most_down.max(count(is_down));
        self.most_granted = self.most_granted.max(count(is_granted));
        self.most_control_planes = self.most_control_planes.max(control_planes);
    }

    fn note(&mut self, raw: &RawNode, now: Instant) {
        let view = match NodeView::parse(raw) {
            Ok(view) => view,
            Err(error) => return self.trouble.push(error.to_string()),
        };
        if let Some(status) = view.agent.status.value() {
            let (phase, since) = *self
                .since
                .entry(view.name.clone())
                .or_insert((status.phase, now));
            if phase != status.phase {
                *self.spent.entry(phase).or_default() += now.duration_since(since);
                self.since.insert(view.name.clone(), (status.phase, now));
            }
        }
        if let Some(grant) = view.operator.grant.value() {
            let known = self.grants.entry(view.name.clone()).or_default();
            if known.insert(grant.id) {
                self.order.push(view.name.clone());
            }
        }
        self.last.insert(view.name.clone(), view.clone());
        self.nodes.insert(view.name.clone(), view);
    }
}

impl Recorder {
    /// Starts to watch with an administrator's kubeconfig.
    pub async fn start(kubeconfig: &Path) -> Self {
        let credentials = Credentials::File {
            path: kubeconfig.to_owned(),
            root: "/".into(),
        };
        let program = Program {
            name: "cuo-lab",
            version: env!("CARGO_PKG_VERSION"),
        };
        let source = ClientSource::start(credentials, program).await;
        let mut events = watch_nodes(source, Keep::default());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (sender, changed) = watch::channel(());
        let into = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                lock(&into).take(event);
                sender.send_replace(());
            }
        });
        Self {
            seen,
            changed,
            task,
        }
    }

    /// Marked as changed with each event.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.clone()
    }

    /// What it has seen and goes on to see.
    pub fn memory(&self) -> Memory {
        Memory(Arc::clone(&self.seen))
    }

    /// All Nodes as last seen.
    pub fn nodes(&self) -> BTreeMap<NodeName, NodeView> {
        lock(&self.seen).nodes.clone()
    }

    /// The most nodes that were not ready or cordoned at one moment.
    pub fn most_down(&self) -> usize {
        lock(&self.seen).most_down
    }

    /// The most nodes that held an unanswered grant at one moment.
    pub fn most_granted(&self) -> usize {
        lock(&self.seen).most_granted
    }

    /// The most control-plane nodes that were not ready, cordoned or granted at one moment.
    pub fn most_control_planes(&self) -> usize {
        lock(&self.seen).most_control_planes
    }

    /// Forgets these maxima and the times spent: for what happened before a test or a demo began.
    pub fn reset(&self) {
        lock(&self.seen).reset(Instant::now());
    }

    /// How long all nodes together have been in each phase, without the time in the phases that they are in now.
    pub fn spent(&self) -> BTreeMap<Phase, Duration> {
        lock(&self.seen).spent.clone()
    }

    /// How many grants there were, by node.
    pub fn grants(&self) -> BTreeMap<String, u64> {
        let seen = lock(&self.seen);
        let nodes = seen.nodes.keys().map(|name| {
            let grants = seen.grants.get(name).map_or(0, BTreeSet::len);
            (name.to_string(), grants as u64)
        });
        nodes.collect()
    }

    /// Whose each grant was, in the order in which they came.
    pub fn order(&self) -> Vec<String> {
        let seen = lock(&self.seen);
        seen.order.iter().map(NodeName::to_string).collect()
    }

    /// What could not be understood.
    pub fn trouble(&self) -> Vec<String> {
        lock(&self.seen).trouble.clone()
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    // A panic elsewhere leaves nothing half-written here.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
