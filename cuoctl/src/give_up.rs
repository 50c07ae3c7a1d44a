//! `cuoctl give-up`: takes the grant of a node back.

use anyhow::{Context, Result, bail};
use clap::Args;
use cuo_cluster::ClientSource;
use cuo_cluster::node::{Keep, get_node, patch_node};
use cuo_cluster::source::DEADLINE;
use cuo_core::keys;
use cuo_core::raw::NodePatch;

/// Options of `give-up`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The node.
    pub node: String,
}

/// Removes the grant from the node. Its agent uncordons it and answers, unless the reboot was already requested.
///
/// # Errors
/// Where the node has no grant, or may not be changed.
pub async fn give_up(source: &ClientSource, options: &Options) -> Result<()> {
    let name = &options.node;
    let read = get_node(source, name, &Keep::default()).await;
    let node = read.with_context(|| format!("node {name} can't be read"))?;
    let node = node.with_context(|| format!("there is no node {name:?}"))?;
    if !node.annotations.contains_key(keys::REBOOT_OK) {
        bail!("node {name} has no grant");
    }
    let patch = NodePatch {
        resource_version: node.resource_version,
        annotations: [(keys::REBOOT_OK.to_owned(), None)].into(),
        ..NodePatch::default()
    };
    let written = patch_node(source, name, &patch, &Keep::default(), DEADLINE).await;
    written.with_context(|| format!("the grant of node {name} can't be removed"))?;
    Ok(())
}
