//! `cuoctl reboot`: asks for reboots without an update.

use anyhow::{Context, Result, ensure};
use clap::Args;
use cuo_cluster::ClientSource;
use cuo_core::features::Feature;
use cuo_core::keys;
use cuo_core::node::NodeView;
use cuo_core::time::Time;
use cuo_core::values::{RebootRequest, to_json};
use jiff::Timestamp;

use crate::connect::caller;
use crate::node::{annotate, read, read_all};

/// Options of `reboot`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The nodes.
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Why, which everybody is shown.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Take the requests back; what is under way ends, unless the reboot was already asked for.
    #[arg(long, conflicts_with = "reason")]
    pub cancel: bool,
}

/// Writes the request to each node or takes it back, and has a line said about each.
///
/// # Errors
/// Where a node's agent is too old or the node may not be changed; those before it were.
pub async fn reboot(
    source: &ClientSource,
    options: &Options,
    said: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    if options.cancel {
        return cancel(source, &options.nodes, said).await;
    }
    let by = caller(source).await?;
    let reason = options.reason.as_deref();
    let instead = "reboot the node by hand";
    for node in read_all(source, &options.nodes, Feature::Reboot, instead).await? {
        let name = node.name.clone();
        let value = |node: &NodeView| {
            let request = request(node, by.clone(), reason)?;
            Ok(Some(to_json(&request)))
        };
        annotate(source, node, keys::REBOOT_REQUESTED, value).await?;
        said(&format!("node/{name} is to reboot when its turn comes"))?;
    }
    Ok(())
}

/// Takes the requests back, whatever the agents understand.
async fn cancel(
    source: &ClientSource,
    nodes: &[String],
    said: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    for name in nodes {
        let node = read(source, name).await?;
        if node.requests.reboot.is_absent() {
            said(&format!("node/{name} was not asked to reboot"))?;
            continue;
        }
        annotate(source, node, keys::REBOOT_REQUESTED, |_| Ok(None)).await?;
        said(&format!("node/{name} is asked to reboot no longer"))?;
    }
    Ok(())
}

/// The request for the boot that `node` is in.
fn request(node: &NodeView, by: Option<String>, reason: Option<&str>) -> Result<RebootRequest> {
    let booted = node.agent.booted.value();
    let booted = booted.with_context(|| {
        format!(
            "the agent on node {} does not say what runs there",
            node.name
        )
    })?;
    let here = node.kubelet_boot.is_none_or(|boot| boot == booted.boot);
    ensure!(
        here,
        "node {} is booting; its agent has not said so yet",
        node.name
    );
    Ok(RebootRequest {
        boot: booted.boot,
        at: Time::from(Timestamp::now()),
        by,
        reason: reason.map(str::to_owned),
    })
}
