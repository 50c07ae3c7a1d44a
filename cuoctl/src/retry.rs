//! `cuoctl retry`: has nodes try again what failed on them.

use anyhow::Result;
use clap::Args;
use cuo_cluster::ClientSource;
use cuo_core::features::Feature;
use cuo_core::ids::ReleaseId;
use cuo_core::keys;
use cuo_core::node::NodeView;
use cuo_core::time::Time;
use cuo_core::values::{RetryRequest, to_json};
use jiff::{SignedDuration, Timestamp};

use crate::connect::caller;
use crate::node::{annotate, read_all};

/// Options of `retry`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The nodes.
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// The only release to try again, by its id; without it, all that failed.
    #[arg(long, value_name = "ID")]
    pub release: Option<ReleaseId>,
}

/// Writes the request to each node, and has a line said about each.
///
/// # Errors
/// Where a node's agent is too old or the node may not be changed; those before it were.
pub async fn retry(
    source: &ClientSource,
    options: &Options,
    said: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    let by = caller(source).await?;
    let instead = "run `cuo-agent forget` on the host";
    let nodes = read_all(source, &options.nodes, Feature::Retry, instead).await?;
    for node in nodes {
        let name = node.name.clone();
        let request = |node: &NodeView| {
            Ok(Some(to_json(&RetryRequest {
                at: moment(node, Time::from(Timestamp::now())),
                by: by.clone(),
                identity: options.release,
            })))
        };
        annotate(source, node, keys::RETRY, request).await?;
        let what = match &options.release {
            Some(release) => release.to_string(),
            None => "what failed".to_owned(),
        };
        said(&format!("node/{name} is to try {what} again"))?;
    }
    Ok(())
}

/// The time of a request on `node`: after all that failed there, whatever its host's clock shows, and another one than that of the last
/// request, because each counts once.
fn moment(node: &NodeView, now: Time) -> Time {
    let failed = node.agent.failed.value();
    let failed = failed.iter().flat_map(|failed| &failed.identities);
    let last = node.requests.retry.value().map(|last| last.at);
    let last = last.map(|last| last.later(SignedDuration::from_secs(1)));
    let times = failed.map(|failure| failure.at).chain(last);
    times.fold(now, Time::max)
}

#[cfg(test)]
mod tests;
