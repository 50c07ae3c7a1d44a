//! `cuoctl give-up`: takes the grant of a node back.

use anyhow::{Result, ensure};
use clap::Args;
use cuo_cluster::ClientSource;
use cuo_core::keys;

use crate::node::{annotate, read};

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
    let node = read(source, &options.node).await?;
    annotate(source, node, keys::REBOOT_OK, |node| {
        ensure!(
            !node.operator.grant.is_absent(),
            "node {} has no grant",
            node.name
        );
        Ok(None)
    })
    .await
}
