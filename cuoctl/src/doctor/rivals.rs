//! Whether another program of the cluster reboots nodes that have an agent.
//!
//! Agents find what else updates their hosts by units and files. A pod that reboots its node leaves neither.

use std::collections::BTreeSet;

use cuo_cluster::node::Keep;
use cuo_cluster::watch::list_nodes;
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::keys;
use cuo_core::raw::RawNode;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::check::{Check, some};
use crate::read::{list, patiently};

const ABOUT: &str = "other drivers";

/// The last part of the name of kured's image. People rename and relabel its DaemonSet, and mirrors keep this part.
///
/// FLUO and CLUO are not looked for: their agents need `update.conf` of Flatcar or Container Linux, and end where it is missing.
const KURED: &str = "kured";

/// Annotations that say that another program has begun to reboot a Node, and their value then; `None` for any. A host that was installed
/// again keeps them, and with them the cordon, if its Node was not deleted.
const UNFINISHED: [(&str, Option<&str>); 5] = [
    ("weave.works/kured-reboot-in-progress", None),
    (
        "flatcar-linux-update.v1.flatcar-linux.net/reboot-in-progress",
        Some("true"),
    ),
    (
        "flatcar-linux-update.v1.flatcar-linux.net/agent-made-unschedulable",
        Some("true"),
    ),
    (
        "container-linux-update.v1.coreos.com/reboot-in-progress",
        Some("true"),
    ),
    (
        "container-linux-update.v1.coreos.com/agent-made-unschedulable",
        Some("true"),
    ),
];

/// A DaemonSet that reboots nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rival {
    /// Its namespace and name.
    name: String,
    /// The nodes that its pods are on.
    nodes: Vec<String>,
}

/// Looks for kured's pods, and at what other programs noted on Nodes.
pub async fn check(source: &ClientSource) -> Check {
    match found(source).await {
        Ok((rivals, nodes)) => judged(&rivals, &nodes),
        Err(error) => Check::unknown(ABOUT, error.to_string()),
    }
}

async fn found(source: &ClientSource) -> Result<(Vec<Rival>, Vec<RawNode>), ApiError> {
    let mut rivals = Vec::new();
    for set in list::<DaemonSet>(source).await? {
        if is_kured(&set) {
            let space = set.metadata.namespace.as_deref().unwrap_or_default();
            let name = set.metadata.name.as_deref().unwrap_or_default();
            rivals.push(Rival {
                name: format!("{space}/{name}"),
                nodes: nodes_of(source, space, &set).await?,
            });
        }
    }
    let keep = Keep::new(UNFINISHED.map(|(key, _)| key));
    let nodes = patiently(async || list_nodes(source, &keep).await).await?;
    Ok((rivals, nodes))
}

fn is_kured(set: &DaemonSet) -> bool {
    let pod = set.spec.template.spec.as_ref();
    let mut containers = pod.iter().flat_map(|pod| &pod.containers);
    containers.any(|container| {
        let image = container.image.as_deref().unwrap_or_default();
        // HOST:PORT/PATH/NAME:TAG@DIGEST
        let image = image.split('@').next().unwrap_or_default();
        let name = image.rsplit('/').next().unwrap_or_default();
        name.split(':').next() == Some(KURED)
    })
}

/// The nodes that pods of the DaemonSet are on.
async fn nodes_of(
    source: &ClientSource,
    space: &str,
    set: &DaemonSet,
) -> Result<Vec<String>, ApiError> {
    let read = async || {
        let listed = source.call(|client| async move {
            let pods = Api::<Pod>::namespaced(client, space);
            pods.list(&ListParams::default()).await
        });
        listed.await
    };
    let pods = patiently(read).await?.items.into_iter();
    let uid = set.metadata.uid.as_deref();
    let own = pods.filter(|pod| {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        owners.any(|owner| Some(owner.uid.as_str()) == uid)
    });
    Ok(own.filter_map(|pod| pod.spec?.node_name).collect())
}

/// What other programs do on nodes without an agent is fine.
fn judged(rivals: &[Rival], nodes: &[RawNode]) -> Check {
    let with_agent = nodes
        .iter()
        .filter(|node| node.annotations.contains_key(keys::PROTOCOL));
    let names = with_agent.clone().map(|node| node.name.as_str());
    let agents: BTreeSet<_> = names.collect();
    let running = rivals.iter().filter_map(|rival| {
        let on = rival.nodes.iter();
        let on = on.filter(|name| agents.contains(name.as_str()));
        let on: Vec<_> = on.cloned().collect();
        (!on.is_empty()).then(|| format!("DaemonSet {} on {}", rival.name, some(&on)))
    });
    let running: Vec<_> = running.collect();
    let left: Vec<_> = with_agent.filter_map(unfinished).collect();
    match (running.is_empty(), left.is_empty()) {
        (false, _) => Check::failed(
            ABOUT,
            format!("kured runs on nodes with an agent: {}", running.join("; ")),
            "Keep its pods off these nodes, as docs/coming-from.md describes: CUO's windows and budgets do not bind it.",
        ),
        (true, false) => Check::warning(
            ABOUT,
            format!(
                "another program has not finished its reboot of {}",
                some(&left)
            ),
            "Wait until it ends. Where that program is gone, `kubectl uncordon` the node and remove the annotation.",
        ),
        (true, true) => Check::ok(ABOUT, "no kured on nodes with an agent"),
    }
}

/// The node, and the annotation by which another program has not finished its reboot.
fn unfinished(node: &RawNode) -> Option<String> {
    let (key, _) = UNFINISHED.iter().find(|(key, value)| {
        let found = node.annotations.get(*key);
        found.is_some_and(|found| value.is_none_or(|value| found == value))
    })?;
    Some(format!("{} ({key})", node.name))
}

#[cfg(test)]
mod tests;
