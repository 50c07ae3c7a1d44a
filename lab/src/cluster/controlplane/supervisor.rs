//! Programs that are kept running, on a thread that lives as long as the control plane.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::process::{bound, spawn_logged};

/// Pause before a program that ended is started again.
const RESTART_AFTER: Duration = Duration::from_millis(250);
/// Lets Go's garbage grow to four times what is in use before it is collected, in place of once: a quarter less processor time for some
/// 100 MiB more, of which there are plenty (measured with the API server's start).
const COLLECT: (&str, &str) = ("GOGC", "400");
/// Time for killed programs to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// A thread with a runtime of its own.
///
/// A program is bound to the thread that started it, and a client's connections to the runtime they were made on. Both must
/// outlive a single test's runtime when several tests share a control plane, and must go on when a test blocks its thread.
pub(super) struct Background {
    runtime: Handle,
    /// Never used to send: the thread ends when this and the copies of all supervisors are gone.
    alive: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<Option<()>>>,
}

impl Background {
    pub(super) fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start a runtime")?;
        let handle = runtime.handle().clone();
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        let thread = std::thread::Builder::new()
            .name("control-plane".into())
            .spawn(move || runtime.block_on(async { all_gone.recv().await }))
            .context("start the thread of the control plane")?;
        Ok(Self {
            runtime: handle,
            alive: Some(alive),
            thread: Some(thread),
        })
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Background {
    /// Returns when all programs are gone, so that nobody writes to their folder any more. To be dropped after them.
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // It would be an error that it panicked, and the panic has been printed.
            let _ = thread.join();
        }
    }
}

/// What a program is started with.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<String>,
    /// Where it runs.
    pub(super) folder: PathBuf,
    /// Where its output goes.
    pub(super) log: PathBuf,
}

/// What a supervised program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was stopped, or isn't started yet.
    Stopped,
    /// It runs, with this pid.
    Running(i32),
    /// It ended by itself, and is started again after a moment.
    Ended,
}

/// A program that is started again whenever it ends, until it is dropped.
pub(super) struct Supervised {
    pub(super) program: Program,
    wanted: watch::Sender<bool>,
    state: watch::Receiver<State>,
}

impl Supervised {
    pub(super) fn start(background: &Background, program: Program) -> Self {
        let (wanted, wish) = watch::channel(true);
        let (report, state) = watch::channel(State::Stopped);
        let (alive, supervised) = (
            background.alive.clone(),
            supervise(program.clone(), wish, report),
        );
        background.runtime().spawn(async move {
            supervised.await;
            drop(alive);
        });
        Self {
            program,
            wanted,
            state,
        }
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Returns when the program ends by itself.
    pub(super) async fn ended(&self) {
        // The error says that its supervisor has ended, and the program with it.
        let _ = self
            .state
            .clone()
            .wait_for(|&state| state == State::Ended)
            .await;
    }

    /// Kills the program and returns when it is gone, or lets it start.
    pub(super) async fn want(&self, running: bool) -> Result<()> {
        self.wanted.send_replace(running);
        let mut state = self.state.clone();
        let name = self.program.name;
        timeout(
            GONE_WITHIN,
            state.wait_for(|state| matches!(state, State::Running(_)) == running),
        )
        .await
        .with_context(|| {
            format!(
                "{name} did not {} within {GONE_WITHIN:?}",
                if running { "start" } else { "stop" }
            )
        })?
        .with_context(|| format!("the supervisor of {name} has ended"))?;
        Ok(())
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.wanted.send_replace(false);
    }
}

/// Runs `program` whenever `wanted`, until nobody can want it any more.
async fn supervise(
    program: Program,
    mut wanted: watch::Receiver<bool>,
    state: watch::Sender<State>,
) {
    while wanted.wait_for(|&wanted| wanted).await.is_ok() {
        let mut command = bound(&program.path);
        command
            .args(&program.arguments)
            .current_dir(&program.folder)
            .env(COLLECT.0, COLLECT.1);
        match spawn_logged(&mut command, &program.log) {
            Ok(mut child) => {
                let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
                state.send_replace(pid.map_or(State::Ended, State::Running));
                let ended = tokio::select! {
                    ended = child.wait() => ended,
                    () = unwanted(&mut wanted) => {
                        if let Err(error) = child.kill().await {
                            tracing::error!(program = program.name, %error, "can't be killed");
                        }
                        state.send_replace(State::Stopped);
                        continue;
                    }
                };
                tracing::warn!(program = program.name, log = %program.log.display(), ?ended, "ended by itself");
                state.send_replace(State::Ended);
            }
            Err(error) => {
                tracing::error!(
                    program = program.name,
                    error = format!("{error:#}"),
                    "can't be started"
                );
                state.send_replace(State::Ended);
            }
        }
        tokio::select! {
            () = sleep(RESTART_AFTER) => (),
            () = unwanted(&mut wanted) => { state.send_replace(State::Stopped); }
        }
    }
}

/// Returns when nobody wants the program to run, or can want it any more.
async fn unwanted(wanted: &mut watch::Receiver<bool>) {
    // The error says that nobody is left.
    let _ = wanted.wait_for(|&wanted| !wanted).await;
}
