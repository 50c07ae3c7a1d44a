//! Many Nodes for one operator: as large as those of real kubelets, with agents that accept, boot and answer at once.

mod node;
mod plain;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cuo_cluster::node::{Keep, patch_node};
use cuo_cluster::source::DEADLINE;
use cuo_cluster::watch::{NodesEvent, watch_nodes};
use cuo_cluster::{ClientSource, Credentials, Program};
use cuo_core::ids::GrantId;
use cuo_core::node::NodeView;
use cuo_core::values::Phase;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bench::NAMESPACE;
use crate::cluster::controlplane::ControlPlane;
use crate::wait::until;

pub use plain::{Pass, pass};

/// Requests at a time while Nodes are made.
const AT_ONCE: usize = 24;
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a kubelet reports a node that does not change (`nodeStatusReportFrequency`).
const REPORT: Duration = Duration::from_secs(300);

/// What happened to the nodes, and when.
#[derive(Debug, Default)]
struct Seen {
    nodes: BTreeMap<String, NodeView>,
    /// When the last grant of each node was seen.
    granted: BTreeMap<String, (GrantId, Instant)>,
    /// When the answers to grants had been written, in order.
    answered: Vec<Instant>,
}

/// All nodes and their agents, until it is dropped.
#[derive(Debug)]
pub struct Herd {
    source: ClientSource,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl Drop for Herd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Kubelets that report, until it is dropped.
#[derive(Debug)]
pub struct Reports(JoinHandle<()>);

impl Drop for Reports {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a kubelet writes of a node on which nothing changed: that its conditions hold still.
async fn report(nodes: &Api<Node>, name: &str) -> Result<()> {
    let now = Timestamp::now();
    let kinds = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];
    let conditions = kinds.map(|kind| json!({"type": kind, "lastHeartbeatTime": now}));
    let status = json!({"status": {"conditions": conditions}});
    let (params, patch) = (PatchParams::default(), Patch::Strategic(status));
    nodes.patch_status(name, &params, &patch).await?;
    Ok(())
}

/// It wants or has something.
fn is_busy(node: &NodeView) -> bool {
    !node.agent.needed.is_absent() || node.operator.has_slot()
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Herd {
    /// Makes `count` Nodes that are at rest and starts their agents.
    ///
    /// # Errors
    /// When the API server refuses or doesn't answer.
    pub async fn start(plane: &ControlPlane, count: usize) -> Result<Self> {
        let nodes: Api<Node> = Api::all(plane.admin());
        let made = stream::iter((0..count).map(|number| {
            let (nodes, name) = (nodes.clone(), name(number));
            async move {
                let body = serde_json::from_value(node::fresh(&name)?)?;
                let made = nodes.create(&PostParams::default(), &body).await;
                made.with_context(|| format!("make the Node {name}"))
            }
        }));
        made.buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let credentials = Credentials::File {
            path: plane.admin_kubeconfig(),
            root: "/".into(),
        };
        let program = Program {
            name: "cuo-lab",
            version: env!("CARGO_PKG_VERSION"),
        };
        let source = ClientSource::start(credentials, program).await;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (sender, changed) = watch::channel(());
        let task = tokio::spawn(drive(source.clone(), nodes, Arc::clone(&seen), sender));
        let herd = Self {
            source,
            seen,
            changed,
            task,
        };
        until("all Nodes to be seen", PATIENCE, async || {
            let found = locked(&herd.seen).nodes.len();
            ensure!(found == count, "{found} of {count}");
            Ok(Some(()))
        })
        .await?;
        Ok(herd)
    }

    /// Lets a kubelet of each node report every [`REPORT`], as real ones do where nothing changes, until the result is dropped.
    ///
    /// Their Leases, which the operator does not watch, would take more writes than a small machine has room for.
    pub fn reports(&self, plane: &ControlPlane) -> Reports {
        let nodes: Api<Node> = Api::all(plane.admin());
        let names: Vec<_> = locked(&self.seen).nodes.keys().cloned().collect();
        let pause = REPORT / u32::try_from(names.len().max(1)).unwrap_or(u32::MAX);
        Reports(tokio::spawn(async move {
            let mut moments = tokio::time::interval(pause);
            for name in names.iter().cycle() {
                moments.tick().await;
                let nodes = nodes.clone();
                let name = name.clone();
                // One that fails is made up for by the next.
                tokio::spawn(async move { report(&nodes, &name).await });
            }
        }))
    }

    /// The node with this number has the next version staged and waits for its grant; returns when that had been written.
    ///
    /// # Errors
    /// When it can't be written in time.
    pub async fn want(&self, number: usize) -> Result<Instant> {
        self.say(number, Phase::Waiting).await
    }

    /// The same for all nodes with these numbers; or none of them wants to reboot any more.
    ///
    /// # Errors
    /// When one can't be written in time.
    pub async fn want_all(&self, numbers: &[usize], want: bool) -> Result<()> {
        let phase = if want { Phase::Waiting } else { Phase::Idle };
        let wishes = stream::iter(numbers.iter().map(|number| self.say(*number, phase)));
        let wishes = wishes.buffer_unordered(AT_ONCE);
        wishes.try_for_each(async |_| Ok(())).await
    }

    async fn say(&self, number: usize, phase: Phase) -> Result<Instant> {
        let name = name(number);
        until("a node's wish to be written", PATIENCE, async || {
            let node = locked(&self.seen).nodes.get(&name).cloned();
            let node = node.context("no such node")?;
            let want = node::published(&node, phase)?;
            if let Some(patch) = want.patch(&node) {
                patch_node(&self.source, &name, &patch, &Keep::default(), DEADLINE).await?;
            }
            Ok(Some(Instant::now()))
        })
        .await
    }

    /// When the node with this number saw a grant that came after `since`.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn granted(&self, number: usize, since: Instant) -> Result<Instant> {
        let (name, mut changed) = (name(number), self.changed.clone());
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                changed.borrow_and_update();
                let granted = locked(&self.seen).granted.get(&name).map(|(_, at)| *at);
                if let Some(at) = granted.filter(|at| *at > since) {
                    return Ok(at);
                }
                changed.changed().await?;
            }
        });
        waited
            .await
            .with_context(|| format!("no grant for {name}"))?
    }

    /// Returns when no node wants or has anything.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn at_rest(&self) -> Result<()> {
        until("all nodes to be at rest", PATIENCE, async || {
            let seen = locked(&self.seen);
            Ok((!seen.nodes.values().any(is_busy)).then_some(()))
        })
        .await
    }

    /// How many of the nodes with these numbers want or have something.
    pub fn busy(&self, numbers: &[usize]) -> usize {
        let seen = locked(&self.seen);
        let nodes = numbers
            .iter()
            .filter_map(|number| seen.nodes.get(&name(*number)));
        nodes.filter(|node| is_busy(node)).count()
    }

    /// The nodes that hold a grant, by name.
    pub fn holders(&self) -> Vec<String> {
        let seen = locked(&self.seen);
        let nodes = seen.nodes.iter();
        let holders = nodes.filter(|(_, node)| !node.operator.grant.is_absent());
        holders.map(|(name, _)| name.clone()).collect()
    }

    /// The nodes that were granted, in the order of their last grants.
    pub fn order(&self) -> Vec<String> {
        let seen = locked(&self.seen);
        let mut granted: Vec<_> = seen.granted.iter().collect();
        granted.sort_by_key(|(_, (_, at))| *at);
        granted.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// For each answer to a grant since `since` that another grant followed: how long that took.
    pub fn gaps(&self, since: Instant) -> Vec<Duration> {
        let seen = locked(&self.seen);
        let mut grants: Vec<_> = seen.granted.values().map(|(_, at)| *at).collect();
        grants.sort();
        let answers = seen.answered.iter().filter(|at| **at > since);
        answers
            .filter_map(|answer| {
                let next = grants.iter().find(|grant| *grant > answer)?;
                Some(next.duration_since(*answer))
            })
            .collect()
    }
}

/// Who holds the operator's lease; `None` if nobody does.
///
/// # Errors
/// When there is no lease, or the API server doesn't answer.
pub async fn leader(plane: &ControlPlane) -> Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(plane.admin(), NAMESPACE);
    let spec = leases.get("cuo-operator").await?.spec.unwrap_or_default();
    Ok(spec.holder_identity.filter(|holder| !holder.is_empty()))
}

/// The name of the node with this number.
pub fn name(number: usize) -> String {
    format!("node-{number:05}")
}

/// Notes what happens, and lets each agent act on it.
async fn drive(
    source: ClientSource,
    nodes: Api<Node>,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<()>,
) {
    let mut events = watch_nodes(source.clone(), Keep::default());
    while let Some(event) = events.next().await {
        let raws = match event {
            NodesEvent::Reset(raws) => raws,
            NodesEvent::Changed(raw) => vec![raw],
            NodesEvent::Gone(_) | NodesEvent::Disconnected(_) => vec![],
        };
        for raw in raws {
            let Ok(view) = NodeView::parse(&raw) else {
                continue;
            };
            if let Some(id) = note(&mut locked(&seen), &view) {
                let (source, nodes, seen) = (source.clone(), nodes.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    // A conflict is another event, and with it comes the next try.
                    if let Ok(true) = act(&source, &nodes, &view, id).await {
                        locked(&seen).answered.push(Instant::now());
                    }
                });
            }
        }
        changed.send_replace(());
    }
}

/// The grant that the agent of `view` has to act on.
fn note(seen: &mut Seen, view: &NodeView) -> Option<GrantId> {
    let name = view.name.to_string();
    seen.nodes.insert(name.clone(), view.clone());
    let id = view.operator.grant.value()?.id;
    let known = seen
        .granted
        .get(&name)
        .is_some_and(|(known, _)| *known == id);
    if !known {
        seen.granted.insert(name, (id, Instant::now()));
    }
    let answered = view.agent.result.value().map(|result| result.id);
    (answered != Some(id)).then_some(id)
}

/// One step of an agent; whether it was the answer.
async fn act(
    source: &ClientSource,
    nodes: &Api<Node>,
    view: &NodeView,
    id: GrantId,
) -> Result<bool> {
    let name = view.name.as_str();
    let booted = node::number(view)?;
    if view.agent.progress.is_absent() {
        let want = node::accepted(view, id)?;
        let patch = want.patch(view).context("nothing to write")?;
        patch_node(source, name, &patch, &Keep::default(), DEADLINE).await?;
        return Ok(false);
    }
    let boot = node::boot(booted + 1);
    if view.kubelet_boot != Some(boot) {
        let status = json!({"status": {"nodeInfo": {"bootID": boot.to_string()}}});
        let (params, patch) = (PatchParams::default(), Patch::Strategic(status));
        nodes.patch_status(name, &params, &patch).await?;
        return Ok(false);
    }
    let patch = node::answered(view, id)?
        .patch(view)
        .context("nothing to write")?;
    patch_node(source, name, &patch, &Keep::default(), DEADLINE).await?;
    Ok(true)
}
