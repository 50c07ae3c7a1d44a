//! An operator process, beside the cluster.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::timeout;

use super::site::Gate;
use crate::cluster::controlplane::ControlPlane;
use crate::machine::binary;
use crate::process::{bound, spawn_logged};

/// How long an operator may take to end: longer than it takes to give up waiting for an API server that is away.
const END: Duration = Duration::from_secs(30);
/// How many lines of a log are shown.
const SHOWN: usize = 40;

/// What an operator is started with.
#[derive(Debug, Clone, Default)]
pub struct OperatorSpec {
    /// Tells it from others of the same bench; `operator` when empty.
    pub name: String,
    /// The program; this build's when empty.
    pub program: Option<PathBuf>,
    /// More flags.
    pub flags: Vec<String>,
    /// It plans without being the leader (a hook of debug builds).
    pub without_lease: bool,
}

/// A running operator. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    process: Child,
    gate: Gate,
    log: PathBuf,
    address: String,
}

impl Operator {
    pub(super) async fn start(
        plane: &ControlPlane,
        folder: &Path,
        spec: OperatorSpec,
    ) -> Result<Self> {
        let name = if spec.name.is_empty() {
            "operator"
        } else {
            &spec.name
        };
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        plane
            .service_account_kubeconfig("cuo-system", "cuo-operator", &kubeconfig)
            .await?;
        let gate = Gate::new(folder.join("gates").join(name))?;
        // Free at this moment; if somebody else takes it, the operator says so in its log.
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .context("a free port")?
            .to_string();
        let mut command = bound(match spec.program {
            Some(program) => program,
            None => binary("cuo-operator")?,
        });
        command
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args([
                "--namespace",
                "cuo-system",
                "--listen",
                &address,
                "--log-format",
                "text",
            ])
            .args(&spec.flags)
            .env("POD_NAME", name)
            .env("CUO_TEST_GATE", gate.folder())
            .env("RUST_BACKTRACE", "1");
        if spec.without_lease {
            command.env("CUO_TEST_NO_LEASE", "1");
        }
        let log = folder.join(format!("{name}.log"));
        let process = spawn_logged(&mut command, &log)?;
        Ok(Self {
            process,
            gate,
            log,
            address,
        })
    }

    /// Where it can be held.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Where it serves metrics and probes.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The file of its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Ends it with SIGTERM, as the kubelet ends a deleted pod.
    ///
    /// # Errors
    /// When it has ended already, or ends as if something was wrong.
    pub async fn terminate(&mut self) -> Result<()> {
        let pid = self.process.id().context("the operator has ended")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no pid")?;
        kill_process(pid, Signal::TERM).context("terminate the operator")?;
        let ended = timeout(END, self.process.wait()).await;
        let ended = ended.with_context(|| format!("the operator runs {END:?} after SIGTERM"))??;
        ensure!(ended.success(), "the operator ended with {ended}");
        Ok(())
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await.context("kill the operator")
    }
}

/// The ends of the logs of all operators that were started in `folder`, by the files' names.
pub(super) fn logs(folder: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|ext| ext == "log"));
    let end = |file: fs::DirEntry| {
        let text = fs::read(file.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let from = lines.len().saturating_sub(SHOWN);
        let end = lines.get(from..).unwrap_or_default().join("\n");
        (file.file_name().to_string_lossy().into_owned(), end)
    };
    logs.map(end).collect()
}
