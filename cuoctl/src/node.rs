//! Reads a Node, and writes one of its annotations.

use anyhow::{Context, Result, ensure};
use cuo_cluster::node::{Keep, get_node, patch_node};
use cuo_cluster::source::DEADLINE;
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::features::Feature;
use cuo_core::node::NodeView;
use cuo_core::raw::NodePatch;

/// How often a Node is written that others write, too: kubelets do so every few seconds at most.
const TRIES: u32 = 5;

/// The Node `name`.
///
/// # Errors
/// Where it does not exist, or may not be read.
pub async fn read(source: &ClientSource, name: &str) -> Result<NodeView> {
    let read = get_node(source, name, &Keep::default()).await;
    let node = read.with_context(|| format!("node {name} can't be read"))?;
    let node = node.with_context(|| format!("there is no node {name:?}"))?;
    Ok(NodeView::parse(&node)?)
}

/// All of these Nodes, whose agents have to understand `feature`; `instead` says what to do where one does not.
///
/// # Errors
/// Where one does not exist, may not be read, or has an agent that does not understand it.
pub async fn read_all(
    source: &ClientSource,
    names: &[String],
    feature: Feature,
    instead: &str,
) -> Result<Vec<NodeView>> {
    let mut nodes = Vec::new();
    for name in names {
        let node = read(source, name).await?;
        ensure!(
            !node.protocol.is_absent(),
            "no agent has announced itself on node {name}"
        );
        ensure!(
            feature.is_in(&node.agent.features),
            "the agent on node {name} is too old for that; upgrade it, or {instead}"
        );
        nodes.push(node);
    }
    Ok(nodes)
}

/// Writes the annotation `key` of `node` as `value` says of the Node, or removes it. The Node is read again if somebody wrote it meanwhile.
///
/// # Errors
/// Where `value` finds that it can't be, the Node may not be changed, or changes all the time.
pub async fn annotate(
    source: &ClientSource,
    mut node: NodeView,
    key: &str,
    value: impl Fn(&NodeView) -> Result<Option<String>>,
) -> Result<()> {
    let name = node.name.clone();
    let what = || format!("the annotation {key} of node {name} can't be written");
    let mut tries = 1;
    loop {
        let patch = NodePatch {
            resource_version: node.resource_version.clone(),
            annotations: [(key.to_owned(), value(&node)?)].into(),
            ..NodePatch::default()
        };
        let name = name.as_str();
        let written = patch_node(source, name, &patch, &Keep::default(), DEADLINE).await;
        match written {
            Err(ApiError::Conflict { .. }) if tries < TRIES => node = read(source, name).await?,
            written => return written.map(drop).with_context(what),
        }
        tries += 1;
    }
}
