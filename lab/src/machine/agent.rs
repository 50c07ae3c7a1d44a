//! The agent of a host, and what it tells its service manager.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::iter;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::UnixDatagram;
use tokio::process::Child;
use tokio::task::JoinHandle;

use super::Machine;
use crate::process::{bound, spawn_logged};
use crate::wait::until;

const NOTIFY: &str = "lab/notify.sock";
const LOG: &str = "lab/agent.log";

/// One assignment of `sd_notify`, for example `STATUS=idle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Left of `=`.
    pub key: String,
    /// Right of `=`.
    pub value: String,
}

#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    notifications: Arc<Mutex<Vec<Notification>>>,
    reader: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Agent {
    fn notifications(&self) -> MutexGuard<'_, Vec<Notification>> {
        self.notifications
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    /// Where the agent looks for programs.
    fn programs(&self) -> Result<OsString> {
        let machine = env::var_os("PATH").unwrap_or_default();
        let all = iter::once(self.root.join("usr/bin")).chain(env::split_paths(&machine));
        env::join_paths(all).context("the host's programs")
    }

    /// Starts the agent: `--root`, the host's bus, a notify socket, programs in the host's `usr/bin` before those of the machine, then
    /// `env`. Both outputs go to the end of `lab/agent.log`.
    ///
    /// # Errors
    /// When one already runs, or this one can't be started.
    pub fn spawn_agent(&mut self, program: &Path, env: &[(&str, &str)]) -> Result<()> {
        ensure!(
            !self.agent_running(),
            "an agent runs on {} already",
            self.name
        );
        let socket = self.root.join(NOTIFY);
        self.root.remove(NOTIFY)?;
        let datagrams =
            UnixDatagram::bind(&socket).with_context(|| format!("bind {}", socket.display()))?;
        let mut command = bound(program);
        command
            .arg("--root")
            .arg(self.root.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.root.bus_address())
            .env("NOTIFY_SOCKET", &socket)
            .env("PATH", self.programs()?)
            .envs(env.iter().copied());
        let child = spawn_logged(&mut command, &self.root.join(LOG))?;
        let notifications = Arc::new(Mutex::new(Vec::new()));
        let reader = tokio::spawn(collect(datagrams, notifications.clone()));
        self.agent = Some(Agent {
            child,
            notifications,
            reader,
        });
        Ok(())
    }

    /// Kills the agent with SIGKILL, if it runs, and waits for its end.
    ///
    /// # Errors
    /// When it can't be killed.
    pub async fn kill_agent(&mut self) -> Result<()> {
        if let Some(mut agent) = self.agent.take() {
            agent
                .child
                .kill()
                .await
                .with_context(|| format!("kill the agent of {}", self.name))?;
        }
        Ok(())
    }

    /// Whether the agent was started and has not ended.
    pub fn agent_running(&mut self) -> bool {
        let agent = self.agent.as_mut();
        agent.is_some_and(|agent| matches!(agent.child.try_wait(), Ok(None)))
    }

    /// Process id of the running agent, for signals.
    pub fn agent_pid(&self) -> Option<u32> {
        self.agent.as_ref().and_then(|agent| agent.child.id())
    }

    /// What the agent told its service manager since it was started, in order.
    pub fn notifications(&self) -> Vec<Notification> {
        let agent = self.agent.as_ref();
        agent.map_or_else(Vec::new, |agent| agent.notifications().clone())
    }

    /// The last `STATUS=`.
    pub fn agent_status(&self) -> Option<String> {
        let status = self
            .notifications()
            .into_iter()
            .rfind(|one| one.key == "STATUS");
        status.map(|one| one.value)
    }

    /// Waits for `READY=1` of the agent.
    ///
    /// # Errors
    /// When it ends, or does not come within `deadline`; the error has the end of its log.
    pub async fn wait_agent_ready(&mut self, deadline: Duration) -> Result<()> {
        let what = format!("READY of the agent of {}", self.name);
        let ready = |one: &Notification| one.key == "READY" && one.value == "1";
        let waited = until(what, deadline, async || {
            Ok(self.notifications().iter().any(ready).then_some(()))
        });
        waited
            .await
            .with_context(|| format!("its log ends with:\n{}", self.agent_log_end(20)))
    }

    /// The last lines of the agent's log.
    pub fn agent_log_end(&self, lines: usize) -> String {
        let text = fs::read(self.root.join(LOG)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..)
            .unwrap_or_default()
            .join("\n")
    }
}

/// Collects until the task is aborted.
async fn collect(datagrams: UnixDatagram, into: Arc<Mutex<Vec<Notification>>>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length) = datagrams.recv(&mut buffer).await {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        let parsed = text.lines().filter_map(|line| line.split_once('='));
        let parsed = parsed.map(|(key, value)| Notification {
            key: key.to_owned(),
            value: value.to_owned(),
        });
        into.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(parsed);
    }
}
