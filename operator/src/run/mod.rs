//! The loop around [`cuo_core::plan::plan`]: observe the pools, the Nodes and the ledger, decide, write once, observe again.

mod deciding;
mod kept;
mod missing;
mod pause;
mod pools;
mod rollouts;
mod statuses;
mod turn;
mod watched;
mod writes;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cuo_cluster::watch::{NodesEvent, watch_nodes};
use cuo_cluster::{ClientSource, Program};
use cuo_coordination::lease::{Leadership, NAME, Place, campaign};
use cuo_coordination::pool::watch_pools;
use cuo_probes::health::{Health, health};
use cuo_probes::http;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::tell;

use kept::watch_holds;
use turn::Operator;

const PROGRAM: Program = Program {
    name: "cuo-operator",
    version: env!("CARGO_PKG_VERSION"),
};
/// How long to wait at the end for the lease to be given back and for queued Events.
const END: Duration = Duration::from_secs(6);

/// Runs until SIGTERM.
///
/// # Errors
/// Only if waiting would not help: signals can't be received, or the address can't be listened on.
pub async fn run(config: Config) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("receive SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("receive SIGINT")?;
    let metrics = Arc::new(metrics(&config));
    let health = listen(&config, &metrics).await?;
    let source = ClientSource::start(config.credentials(), PROGRAM).await;
    let (events, publishing) = publish(&config, &source, &metrics);
    let (mut leadership, lead) = Lead::start(&config, &source);
    let (mut pools, mut holds) = (watch_pools(source.clone()), watch_holds(&source));
    let mut nodes = stream::pending().boxed();
    let teller = tell::Teller::new(events, Arc::clone(&metrics));
    let mut operator = Operator::new(&config, source.clone(), metrics, health, teller);
    operator.led(&leadership.borrow_and_update());
    let (mut due, mut wake) = (true, Instant::now());
    loop {
        // Whoever stops to lead, stops in the middle of whatever it is at: each write stands for itself.
        wake = tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = changed(&mut leadership) => {
                operator.led(&leadership.borrow_and_update());
                due = true;
                continue;
            }
            wake = operator.turn(), if due => wake,
            // Nothing has changed since the last turn.
            () = ready(()), if !due => wake,
        };
        if let Some(keep) = operator.list_anew() {
            nodes = watch_nodes(source.clone(), keep);
        }
        due = true;
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = changed(&mut leadership) => operator.led(&leadership.borrow_and_update()),
            ended = operator.ended() => operator.take_in(ended),
            Some(event) = pools.next() => operator.hear_pools(event),
            Some(event) = holds.next() => operator.hear_holds(event),
            Some(event) = nodes.next() => due = hear(&mut operator, event, &mut nodes),
            () = sleep_until(wake) => {}
        }
    }
    // This drops the last sender of Events.
    drop(operator);
    end(lead, publishing).await;
    Ok(())
}

/// The metrics that the flags ask for.
fn metrics(config: &Config) -> Metrics {
    Metrics::new(config.max_unavailable, config.metrics_per_node)
}

/// Takes in what is there already of the watch, for one decision; `false` if none has to be made.
fn hear(
    operator: &mut Operator,
    first: NodesEvent,
    nodes: &mut BoxStream<'static, NodesEvent>,
) -> bool {
    let mut changed = operator.hear(first);
    while let Some(Some(event)) = nodes.next().now_or_never() {
        changed |= operator.hear(event);
    }
    changed
}

/// Publishes Events, as long as there is somebody to send them.
fn publish(
    config: &Config,
    source: &ClientSource,
    metrics: &Arc<Metrics>,
) -> (mpsc::Sender<tell::Waiting>, JoinHandle<()>) {
    let (events, queue) = mpsc::channel(tell::LIMIT);
    let (instance, counts) = (config.identity.clone(), Arc::clone(metrics));
    let publishing = tell::publish_all(source.clone(), instance, counts, queue);
    (events, tokio::spawn(publishing))
}

/// Gives the lease back, and waits for the remaining Events.
async fn end(lead: Lead, publishing: JoinHandle<()>) {
    lead.end().await;
    if timeout(END, publishing).await.is_err() {
        warn!("some Events were not published");
    }
    info!("stopped; grants in use stay valid, and agents continue with them");
}

/// Serves probes and metrics from now on.
async fn listen(config: &Config, metrics: &Arc<Metrics>) -> Result<Health> {
    let (health, probe) = health("the nodes have not been listed yet");
    let listener = http::listen(config.listen).await?;
    let address = listener.local_addr().context("the address of /metrics")?;
    let metrics = Arc::clone(metrics);
    tokio::spawn(http::serve(listener, move || metrics.text(), probe));
    info!(version = PROGRAM.version, %address, "started");
    Ok(health)
}

/// The next change, or never once the sender is gone.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending().await
    }
}

/// The campaign for the lease.
struct Lead {
    stop: oneshot::Sender<()>,
    campaign: JoinHandle<()>,
}

impl Lead {
    fn start(config: &Config, source: &ClientSource) -> (watch::Receiver<Leadership>, Self) {
        let (state, leadership) = watch::channel(Leadership::UNKNOWN);
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            // An error means that the sender is gone, which is an end as well.
            let _ = stopped.await;
        };
        let campaign = if without_lease() {
            warn!("leading without a lease, as CUO_TEST_NO_LEASE asks for");
            state.send_replace(Leadership::Leading);
            tokio::spawn(async move {
                stopped.await;
                drop(state);
            })
        } else {
            let me = format!("{}-{:08x}", config.identity, fastrand::u32(..));
            let place = Place {
                namespace: config.namespace.clone(),
                name: NAME,
            };
            tokio::spawn(campaign(source.clone(), place, me, state, stopped))
        };
        (leadership, Self { stop, campaign })
    }

    /// Gives the lease back.
    async fn end(self) {
        // An error means that the campaign has ended.
        let _ = self.stop.send(());
        if timeout(END, self.campaign).await.is_err() {
            warn!("the lease was not given back in time; it runs out by itself");
        }
    }
}

/// Whether a test runs two operators that both lead, which no lease would allow.
fn without_lease() -> bool {
    cfg!(debug_assertions) && std::env::var_os("CUO_TEST_NO_LEASE").is_some_and(|set| set == "1")
}
