//! Watches through rotations and restarts.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_cluster::node::{Keep, whoami};
use cuo_cluster::watch::{NodeEvent, NodesEvent, watch_node, watch_nodes};
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::raw::RawNode;
use cuo_lab::cluster::controlplane::{ControlPlane, NodeCredential};
use cuo_lab::wait::until;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::{AGENT, HOUR, SOON, source};

pub async fn rotation(plane: &ControlPlane, dir: &Path) -> Result<()> {
    let path = dir.join("n2").join("kubeconfig");
    plane.node_kubeconfig(
        "n2",
        &path,
        NodeCredential::Rotating,
        Duration::from_secs(5),
    )?;
    let source = source(&path, AGENT).await;
    let mut feed = watch_node(source.clone(), "n2", Keep::default());
    let first = next(&mut feed).await?;
    ensure!(matches!(first, NodeEvent::Present(_)), "{first:?}");
    until("the certificate to run out", SOON, async || {
        match whoami(&source).await {
            Err(ApiError::Unauthorized { .. }) => Ok(Some(())),
            other => anyhow::bail!("{other:?}"),
        }
    })
    .await?;
    plane.rotate_node_cert("n2", &path, HOUR)?;
    until("the new certificate to be used", SOON, async || {
        Ok((whoami(&source).await?.node() == Some("n2")).then_some(()))
    })
    .await?;
    // The open watch has moved to the new client by itself.
    plane
        .kubectl(&[
            "annotate",
            "node",
            "n2",
            "cuo.coreos.com/reboot-paused=true",
        ])
        .await?;
    until("the watch to go on", SOON, async || {
        match next(&mut feed).await? {
            NodeEvent::Present(node)
                if node
                    .annotations
                    .contains_key("cuo.coreos.com/reboot-paused") =>
            {
                Ok(Some(()))
            }
            _ => Ok(None),
        }
    })
    .await
}

async fn next<T>(feed: &mut BoxStream<'static, T>) -> Result<T> {
    let event = timeout(SOON, feed.next())
        .await
        .context("no event in time")?;
    event.context("the feed ended")
}

/// A feed that is read all the time, as the programs do.
struct Reader<T> {
    seen: mpsc::UnboundedReceiver<T>,
    _task: JoinSet<()>,
}

impl<T: Send + 'static> Reader<T> {
    fn start(mut feed: BoxStream<'static, T>) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(event) = feed.next().await {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { seen, _task: task }
    }

    async fn next(&mut self) -> Result<T> {
        let event = timeout(2 * SOON, self.seen.recv())
            .await
            .context("no event in time")?;
        event.context("the feed ended")
    }

    /// The next that is not to be skipped.
    async fn next_but(&mut self, skipped: impl Fn(&T) -> bool) -> Result<T> {
        loop {
            let event = self.next().await?;
            if !skipped(&event) {
                return Ok(event);
            }
        }
    }
}

pub async fn restart(
    plane: &ControlPlane,
    n1: &ClientSource,
    operator: &ClientSource,
) -> Result<()> {
    let mut own = Reader::start(watch_node(n1.clone(), "n1", Keep::default()));
    let mut all = Reader::start(watch_nodes(operator.clone(), Keep::default()));
    let before = own.next().await?;
    ensure!(matches!(before, NodeEvent::Present(_)), "{before:?}");
    let NodesEvent::Reset(nodes) = all.next().await? else {
        anyhow::bail!("a feed begins with all there is");
    };
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n1", "n2"]);

    plane.stop_api().await?;
    let stopped = Instant::now();
    for tries in 1..=3 {
        // Controllers may have written a Node before.
        let own = own
            .next_but(|event| matches!(event, NodeEvent::Present(_)))
            .await?;
        ensure!(
            matches!(own, NodeEvent::Disconnected(ApiError::Unreachable { .. })),
            "{own:?}"
        );
        let all = all
            .next_but(|event| matches!(event, NodesEvent::Changed(_)))
            .await?;
        ensure!(
            matches!(all, NodesEvent::Disconnected(ApiError::Unreachable { .. })),
            "{all:?}"
        );
        eprintln!("try {tries} failed after {:?}", stopped.elapsed());
    }
    plane.start_api().await?;
    let started = Instant::now();
    let mut tries = 0;
    let after = loop {
        match own.next().await? {
            NodeEvent::Disconnected(_) => tries += 1,
            event => break event,
        }
    };
    ensure!(matches!(after, NodeEvent::Present(_)), "{after:?}");
    let again = loop {
        match all.next().await? {
            NodesEvent::Disconnected(_) => tries += 1,
            event => break event,
        }
    };
    let NodesEvent::Reset(again) = again else {
        anyhow::bail!("all there is comes first: {again:?}");
    };
    // Controllers write Nodes as they like.
    let apart_from_version = |nodes: Vec<RawNode>| {
        let strip = |node| RawNode {
            resource_version: String::new(),
            ..node
        };
        nodes.into_iter().map(strip).collect::<Vec<_>>()
    };
    assert_eq!(apart_from_version(again), apart_from_version(nodes));
    eprintln!(
        "connected again {:?} after the start, and {tries} more tries",
        started.elapsed()
    );
    ensure!(tries < 12, "tried {tries} times more");
    Ok(())
}
