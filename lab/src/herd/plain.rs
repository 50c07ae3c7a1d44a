//! What an operator costs that goes through all Nodes again and again, as CLUO and FLUO do: five lists and then a read and a write of every
//! Node, at client-go's default rate (5 requests a second, bursts of 10), every 30 seconds.

use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{ListParams, PostParams};
use tokio::time::{MissedTickBehavior, interval};

use super::name;
use crate::cluster::controlplane::ControlPlane;
use crate::cluster::proxy::Proxy;

const LISTS: usize = 5;
const EVERY: Duration = Duration::from_millis(200);
const BURST: usize = 10;

/// One pass, or as much of it as there was time for.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Requests made.
    pub requests: usize,
    /// Requests of a whole pass.
    pub whole: usize,
    /// Bytes of the lists.
    pub listed: u64,
    /// Bytes of everything else.
    pub others: u64,
    /// Time spent.
    pub took: Duration,
}

impl Pass {
    /// How long a whole pass takes at this rate.
    pub fn length(&self) -> Duration {
        let throttled = self.whole.saturating_sub(BURST);
        let throttled = EVERY * u32::try_from(throttled).unwrap_or(u32::MAX);
        if self.requests == self.whole {
            self.took
        } else {
            throttled
        }
    }

    /// Bytes of a whole pass.
    pub fn bytes(&self) -> f64 {
        let (done, whole) = (self.requests - LISTS, self.whole - LISTS);
        self.listed as f64 + self.others as f64 * whole as f64 / done.max(1) as f64
    }
}

/// Makes one pass over `count` nodes, for `limit` at most.
///
/// # Errors
/// When the API server does not answer.
pub async fn pass(plane: &ControlPlane, count: usize, limit: Duration) -> Result<Pass> {
    let file = plane.folder().join("plain.kubeconfig");
    std::fs::copy(plane.admin_kubeconfig(), &file)?;
    let proxy = Proxy::start(plane, &file).await?;
    let nodes: Api<Node> = Api::all(plane.client(&file).await?);
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let start = Instant::now();
    let mut requests = 0;
    let whole = LISTS + 2 * count;
    while requests < LISTS || (requests < whole && start.elapsed() < limit) {
        if requests >= BURST {
            tick.tick().await;
        }
        if requests < LISTS {
            nodes.list(&ListParams::default()).await?;
            requests += 1;
            continue;
        }
        let name = name((requests - LISTS) / 2);
        let node = nodes.get(&name).await?;
        tick.tick().await;
        // Nothing has changed; a conflict is nothing to this measurement either.
        let _ = nodes.replace(&name, &PostParams::default(), &node).await;
        requests += 2;
    }
    let took = start.elapsed();
    let (lists, others): (Vec<_>, Vec<_>) = proxy
        .traffic()
        .into_iter()
        .partition(|(what, _)| what.starts_with("list "));
    let bytes = |part: Vec<(_, crate::cluster::proxy::Traffic)>| {
        part.iter().map(|(_, one)| one.bytes).sum()
    };
    Ok(Pass {
        requests,
        whole,
        listed: bytes(lists),
        others: bytes(others),
        took,
    })
}
