//! Runs what the configuration switches on, while this process holds the lease.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cuo_cluster::{ClientSource, Program};
use cuo_coordination::lease::{Leadership, Place, campaign};
use cuo_probes::health::{Health, health};
use cuo_probes::http;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::cli::Cli;
use crate::config::Config;
use crate::gates::{Gates, Lost};
use crate::hooks::Hooks;
use crate::metrics::Metrics;
use crate::notify::{self, Notifier};
use crate::web::{self, Web};

const PROGRAM: Program = Program {
    name: "cuo-companion",
    version: env!("CARGO_PKG_VERSION"),
};
/// Name of the Lease in the companion's namespace.
pub const LEASE: &str = "cuo-companion";
/// How long to wait at the end for the lease to be given back.
const END: Duration = Duration::from_secs(6);
/// How often the loop says that it turns.
const TURN: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Only if waiting would not help: the configuration or TLS can't be used, signals can't be received, or the address can't be listened on.
pub async fn run(cli: &Cli) -> Result<()> {
    let mut signals = Signals::new()?;
    let config = Config::load(&cli.config)?;
    let web = Web::new(&web::authorities(config.ca_file.as_deref())?)?;
    let metrics = Arc::new(Metrics::new());
    let health = listen(cli, &metrics).await?;
    let source = ClientSource::start(cli.credentials(), PROGRAM).await;
    let (mut leadership, lead) = Lead::start(cli, &source);
    let state = leadership.clone();
    let (lost, gates_lost) = watch::channel(Lost::None);
    let works = Works {
        gates: Gates {
            source: source.clone(),
            web: web.clone(),
            metrics: Arc::clone(&metrics),
            lost,
        },
        hooks: Hooks {
            source: source.clone(),
            metrics: Arc::clone(&metrics),
        },
        notifier: Notifier::new(cli, &config, source.clone(), web, Arc::clone(&metrics))?,
        metrics,
    };
    let mut turn = interval(TURN);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let working = works.run_while_leading(&config, &mut leadership);
    tokio::pin!(working);
    loop {
        tokio::select! {
            biased;
            () = signals.any() => break,
            _ = turn.tick() => {
                let problem = source.status().problem.map(|problem| problem.to_string());
                health.turned(missing(problem, &state.borrow(), &gates_lost.borrow()));
            }
            () = &mut working => break,
        }
    }
    lead.end().await;
    info!("stopped; open gates close by themselves when their time is over");
    Ok(())
}

/// What keeps this process from its work, if anything does.
fn missing(credentials: Option<String>, state: &Leadership, gates: &Lost) -> Option<String> {
    let credentials = credentials.map(|problem| format!("there are no credentials: {problem}"));
    credentials
        .or_else(|| refused(state))
        .or_else(|| match state {
            // Who does not lead watches nothing.
            Leadership::Leading => gates.clone(),
            Leadership::Waiting { .. } => None,
        })
}

/// Why the lease can't be read or taken, if it can't.
fn refused(state: &Leadership) -> Option<String> {
    match state {
        Leadership::Waiting {
            error: Some(error), ..
        } => Some(format!("the lease {LEASE} can't be read or taken: {error}")),
        Leadership::Waiting { error: None, .. } | Leadership::Leading => None,
    }
}

/// Logs each new error of the lease once, until the campaign ends.
async fn tell(mut leadership: watch::Receiver<Leadership>) {
    let mut told: Option<String> = None;
    loop {
        let error = refused(&leadership.borrow_and_update());
        if let Some(error) = error.as_ref().filter(|error| told.as_ref() != Some(error)) {
            warn!("{error}; trying again");
        }
        told = error;
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

/// Everything that is done.
struct Works {
    gates: Gates,
    hooks: Hooks,
    notifier: Notifier,
    metrics: Arc<Metrics>,
}

impl Works {
    /// Does it while this process leads; ends only with the campaign.
    async fn run_while_leading(
        &self,
        config: &Config,
        leadership: &mut watch::Receiver<Leadership>,
    ) {
        loop {
            self.metrics.leads(false);
            let leads = leadership.wait_for(|state| *state == Leadership::Leading);
            if leads.await.is_err() {
                return;
            }
            self.metrics.leads(true);
            // Whoever stops to lead, stops in the middle of whatever it is at: each write stands for itself.
            tokio::select! {
                _ = leadership.wait_for(|state| *state != Leadership::Leading) => {}
                () = async { tokio::join!(self.gates.keep(config), notify::run(&self.notifier), self.hooks.run(config)); } => {}
            }
        }
    }
}

/// Serves probes and metrics from now on.
async fn listen(cli: &Cli, metrics: &Arc<Metrics>) -> Result<Health> {
    let (health, probe) = health("the loop has not begun yet");
    let listener = http::listen(cli.listen).await?;
    let address = listener.local_addr().context("the address of /metrics")?;
    let metrics = Arc::clone(metrics);
    tokio::spawn(http::serve(listener, move || metrics.text(), probe));
    info!(version = PROGRAM.version, %address, "started");
    Ok(health)
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("receive SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("receive SIGINT")?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The campaign for the lease.
struct Lead {
    stop: oneshot::Sender<()>,
    campaign: JoinHandle<()>,
}

impl Lead {
    fn start(cli: &Cli, source: &ClientSource) -> (watch::Receiver<Leadership>, Self) {
        let (state, leadership) = watch::channel(Leadership::UNKNOWN);
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            // An error means that the sender is gone, which is an end as well.
            let _ = stopped.await;
        };
        let me = format!("{}-{:08x}", cli.identity, fastrand::u32(..));
        let place = Place {
            namespace: cli.namespace.clone(),
            name: LEASE,
        };
        tokio::spawn(tell(leadership.clone()));
        let campaign = tokio::spawn(campaign(source.clone(), place, me, state, stopped));
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

#[cfg(test)]
mod tests;
