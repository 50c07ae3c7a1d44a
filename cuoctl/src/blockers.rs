//! `cuoctl blockers`: which pods would not leave their nodes now.

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use cuo_cluster::ClientSource;
use cuo_cluster::evict::{Evicted, ask};
use cuo_cluster::pods::list_pods;
use cuo_cluster::rights::{Right, allowed};
use cuo_core::drain::{RawPod, left};
use cuo_core::node::NodeView;
use cuo_core::plan::Snapshot;
use cuo_core::values::DrainMode;
use futures::{StreamExt, stream};
use serde::Serialize;

use crate::cluster::Cluster;
use crate::pools;
use crate::print::{Output, Screen};
use crate::table::Table;

/// So many pods are asked about at a time.
const AT_ONCE: usize = 8;

/// What it takes to ask about pods.
const EVICT: Right<'_> = Right {
    verb: "create",
    resource: "pods",
    subresource: Some("eviction"),
    name: None,
    only: None,
};

/// Options of `blockers`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only these nodes; without any, all that have an agent.
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Only the nodes of this pool.
    #[arg(long, value_name = "POOL", conflicts_with = "nodes")]
    pub pool: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// A pod that would not leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// Its node.
    pub node: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// The kind of what controls it, if anything does.
    pub controller: Option<String>,
    /// What is in the way: the API server's words, which name the budget or webhook, or what the pool's `drain` says.
    pub why: String,
}

impl Blocker {
    fn new(node: &NodeView, pod: &RawPod, why: impl Into<String>) -> Self {
        Self {
            node: node.name.to_string(),
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            controller: pod.controller.clone(),
            why: why.into(),
        }
    }
}

/// Asks the API server about each pod that a drain would evict, by a dry run with the rights of the caller: nothing is evicted.
///
/// # Errors
/// Where pods can't be read, or nobody can be asked.
pub async fn find(
    source: &ClientSource,
    cluster: &Cluster,
    options: &Options,
) -> Result<Vec<Blocker>> {
    let (seen, builtin) = (cluster.seen()?, cluster.policy()?.builtin);
    let (mut found, mut may_ask) = (Vec::new(), false);
    for view in meant(&seen, options)? {
        // All pools of a node want it drained in the same way, or hold it.
        let asks = pools::asks(&seen.pools, &builtin, view);
        let policy = asks.first().map(|pool| &pool.drain);
        let Some(policy) = policy.filter(|policy| policy.mode != DrainMode::None) else {
            continue;
        };
        let pods = list_pods(source, view.name.as_str()).await;
        let pods = pods.with_context(|| format!("the pods of node {}", view.name))?;
        let left = left(&pods, policy, None);
        let kept = left.kept.iter();
        found.extend(kept.map(|(pod, why)| Blocker::new(view, pod, *why)));
        let leaving = left.leaving.iter().filter(|pod| !pod.terminating);
        let leaving: Vec<_> = leaving.copied().collect();
        if !leaving.is_empty() && !may_ask {
            // Without it, each pod would be refused for a reason that is not its own.
            may_ask = allowed(source, &EVICT).await?;
            ensure!(
                may_ask,
                "you need the right to {EVICT} in all namespaces, by which pods are asked about"
            );
        }
        let asked = stream::iter(leaving)
            .map(async |pod| (pod, ask(source, pod, None).await))
            .buffered(AT_ONCE);
        let answers: Vec<_> = asked.collect().await;
        for (pod, answer) in answers {
            if let Evicted::Refused { message, .. } = answer? {
                found.push(Blocker::new(view, pod, message));
            }
        }
    }
    Ok(found)
}

/// The nodes that the options name.
fn meant<'s>(seen: &'s Snapshot, options: &Options) -> Result<Vec<&'s NodeView>> {
    if !options.nodes.is_empty() {
        let named = options.nodes.iter();
        return named.map(|name| pools::node(&seen.nodes, name)).collect();
    }
    let pool = options.pool.as_ref();
    if let Some(pool) = pool.filter(|pool| !pools::has(seen, pool)) {
        bail!("there is no pool {pool:?}");
    }
    let meant = |view: &&NodeView| {
        let in_pool = pool.is_none_or(|pool| pools::of_node(seen, view).contains(pool));
        in_pool && !view.protocol.is_absent()
    };
    Ok(seen.nodes.values().filter(meant).collect())
}

/// As a table.
pub fn text(found: &[Blocker], screen: Screen, wide: bool) -> String {
    let mut table = Table::new(&["NODE", "NAMESPACE", "POD", "CONTROLLER", "WHY"]);
    for blocker in found {
        let controller = blocker.controller.clone();
        table.row([
            blocker.node.clone().into(),
            blocker.namespace.clone().into(),
            blocker.pod.clone().into(),
            controller.unwrap_or_else(|| "-".to_owned()).into(),
            blocker.why.clone().into(),
        ]);
    }
    match table.is_empty() {
        true => "All pods that have to leave their nodes would be evicted now.\n".to_owned(),
        false => table.text(screen, !wide),
    }
}
