//! What runs as the container of a hollow pod.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::{BoxFuture, FutureExt, pending};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::process::spawn_logged;

/// Time between two readiness probes.
const PROBE_EVERY: Duration = Duration::from_millis(200);

/// A container that a hook runs; the hook's side of it.
#[derive(Debug)]
pub struct Container {
    /// The pod as it was when the container was started.
    pub pod: Pod,
    ready: watch::Sender<bool>,
    stop: watch::Receiver<bool>,
}

impl Container {
    /// Says whether the pod is ready; at first it isn't.
    pub fn set_ready(&self, ready: bool) {
        self.ready
            .send_if_modified(|before| std::mem::replace(before, ready) != ready);
    }

    /// Returns when the container shall end because its pod was deleted. A real one gets SIGTERM at that moment.
    pub async fn stopped(&mut self) {
        // The error says that nobody can stop it any more, and then nobody waits for the answer.
        let _ = self.stop.wait_for(|&stop| stop).await;
    }

    /// Runs `command` as the container, with its output in the file `log`: the pod is ready while `probe` says so, and SIGTERM is
    /// sent when the pod is deleted. The command should be one of [`crate::process::bound`].
    ///
    /// # Errors
    /// When it can't be started, or ends with anything but success without having been asked to.
    pub async fn run<Probed>(
        mut self,
        command: &mut Command,
        log: &Path,
        probe: impl Fn() -> Probed,
    ) -> Result<()>
    where
        Probed: Future<Output = bool>,
    {
        let mut child = spawn_logged(command, log)?;
        loop {
            tokio::select! {
                ended = child.wait() => {
                    let status = ended.context("wait for a container")?;
                    ensure!(status.success(), "{:?} ended with {status}; log: {}", command.as_std(), log.display());
                    return Ok(());
                }
                () = self.stopped() => break,
                () = sleep(PROBE_EVERY) => self.set_ready(probe().await),
            }
        }
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            kill_process(pid, Signal::TERM).context("ask a container to end")?;
        }
        child.wait().await.context("wait for a container")?;
        Ok(())
    }
}

/// What to run for which pods.
#[derive(Clone)]
pub(super) struct Hook {
    matches: Arc<dyn Fn(&Pod) -> bool + Send + Sync>,
    run: Arc<dyn Fn(Container) -> BoxFuture<'static, Result<()>> + Send + Sync>,
}

impl Hook {
    pub(super) fn new<Running>(
        matches: impl Fn(&Pod) -> bool + Send + Sync + 'static,
        run: impl Fn(Container) -> Running + Send + Sync + 'static,
    ) -> Self
    where
        Running: Future<Output = Result<()>> + Send + 'static,
    {
        Self {
            matches: Arc::new(matches),
            run: Arc::new(move |container| run(container).boxed()),
        }
    }

    pub(super) fn matches(&self, pod: &Pod) -> bool {
        (self.matches)(pod)
    }

    /// Starts the container of `pod`.
    pub(super) fn start(&self, pod: &Pod) -> Run {
        let (ready, is_ready) = watch::channel(false);
        let (stop, stopping) = watch::channel(false);
        let mut task = JoinSet::new();
        task.spawn((self.run)(Container {
            pod: pod.clone(),
            ready,
            stop: stopping,
        }));
        Run {
            ready: is_ready,
            stop,
            task,
        }
    }
}

/// A container that a hook runs; the kubelet's side of it. It ends at once when this is dropped.
pub(super) struct Run {
    ready: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    task: JoinSet<Result<()>>,
}

impl Run {
    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns `None` when its readiness changed, and how it ended when it has ended.
    pub(super) async fn changed(&mut self) -> Option<Result<()>> {
        let Self { ready, task, .. } = self;
        tokio::select! {
            ended = task.join_next() => Some(match ended {
                Some(ended) => ended.context("a container's hook failed").flatten(),
                None => Ok(()),
            }),
            () = async { if ready.changed().await.is_err() { pending().await } } => None,
        }
    }
}
