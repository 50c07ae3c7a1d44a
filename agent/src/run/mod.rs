//! The loop around [`cuo_core::agent::step`]: look, decide, save the state, act, look again.

mod acts;
mod agent;
mod announce;
mod around;
mod begin;
mod clock;
mod done;
mod host;
mod kubelet;
mod looks;
mod memory;
mod narrate;
mod pods;
mod reboots;
mod saving;
mod textfile;
mod turn;
mod view;
mod waits;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval};
use tracing::info;

use crate::feed::{self, News};
use crate::hostwatch;
use crate::journal::Event;
use crate::notify::Notify;
use crate::survey;

use agent::{Agent, Next};
use done::Done;
use waits::{changed, tick, until};

/// How often logind is asked whether an announced shutdown is still in progress.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// The sources of events between two turns.
struct Ears {
    hangup: Signal,
    results: mpsc::Receiver<Done>,
    news: mpsc::Receiver<News>,
    deployments: watch::Receiver<()>,
    files: watch::Receiver<()>,
    causes: watch::Receiver<()>,
    shutdown: watch::Receiver<bool>,
    alive: Option<Interval>,
}

impl Ears {
    fn new(agent: &Agent, root: &Path, hangup: Signal, results: mpsc::Receiver<Done>) -> Self {
        let (source, name) = (agent.source.clone(), agent.config.node_name.clone());
        Self {
            hangup,
            results,
            news: feed::start(source, name, root),
            deployments: agent.host.client().changes(),
            files: files(agent, root),
            causes: hostwatch::watch(around::causes(root)),
            shutdown: agent.logind.shutdown(SHUTDOWN),
            alive: Notify::alive_every().map(tokio::time::interval),
        }
    }

    /// Waits for an event and processes it, or until `wake`.
    async fn hear(&mut self, agent: &mut Agent, root: &Path, wake: Option<Instant>) {
        tokio::select! {
            biased;
            _ = self.hangup.recv() => {
                agent.hangup(root);
                self.files = files(agent, root);
            }
            () = tick(&mut self.alive) => Notify::alive(),
            Some(result) = self.results.recv() => agent.finished(result),
            Some(found) = self.news.recv() => agent.node.hear(found),
            found = agent.pods.next() => agent.pods.hear(found),
            () = changed(&mut self.deployments) => {
                agent.host.heard();
                agent.around.outdated();
            }
            () = changed(&mut self.files) => {
                agent.host.outdated();
                agent.around.outdated();
            }
            () = changed(&mut self.causes) => agent.host.cause_changed(),
            () = changed(&mut self.shutdown) => agent.shutting_down = *self.shutdown.borrow(),
            () = until(wake) => {}
        }
    }
}

/// Marked as changed with the files that say what else updates or reboots the host.
fn files(agent: &Agent, root: &Path) -> watch::Receiver<()> {
    let sentinel = agent.config.reboot.sentinel.as_ref();
    hostwatch::changes(root, &survey::files(root, sentinel))
}

/// Runs until SIGTERM, with `kubeconfig` in place of the configured one.
///
/// # Errors
/// Only if no report to the cluster would help: signals can't be received, the boot id can't be read, or the state's directory is gone,
/// which only the service manager can recreate.
pub async fn run(root: &Path, kubeconfig: Option<&Path>) -> Result<()> {
    // Handlers first: until they are set, these signals end the process.
    let hangup = signal(SignalKind::hangup()).context("receive SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("receive SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("receive SIGINT")?;
    let (done, results) = mpsc::channel(16);
    let mut agent = Agent::new(root, kubeconfig, done).await?;
    let mut ears = Ears::new(&agent, root, hangup, results);
    let agent_version = env!("CARGO_PKG_VERSION");
    info!(message_id = Event::Started.id(), cuo_boot = %agent.boot, cuo_agent_version = agent_version, "started, version {agent_version}");
    loop {
        // Signals first, so that a busy agent can be stopped: any turn can be cut off anywhere, as by a crash.
        let next = tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            next = agent.turn() => next?,
        };
        let wake = match next {
            Next::Again => Some(Instant::now()),
            Next::Wait(wake) => wake,
        };
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = ears.hear(&mut agent, root, wake) => {}
        }
    }
    info!("stopped; an update in progress continues when the agent is started again");
    Notify::stopping();
    Ok(())
}
