//! A real control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, as children of this process.
//!
//! Only the kubelets are not real ([`crate::cluster::kubelet`]). Everything listens on loopback or on a socket in the control plane's own
//! folder, which also has the logs, the audit log, and the admin's kubeconfig for a look with `kubectl`.

pub mod assets;
mod audit;
mod credentials;
mod kubeconfig;
mod pki;
mod programs;
mod startup;
mod supervisor;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

pub use audit::AuditEntry;
pub use credentials::NodeCredential;

use crate::process::bound;
use pki::Authority;
use startup::{client, ready, running_until, start_apiserver, start_controllers};
use supervisor::{Background, State, Supervised};

/// Time for a single answer of the API server.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Time for a command of `kubectl`.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
/// Validity of certificates that no test cares about.
pub(crate) const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// What may be chosen about a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Without a heartbeat of its kubelet for this long, a node is no longer ready.
    ///
    /// Hollow kubelets have a heartbeat every [`crate::cluster::kubelet::HEARTBEAT`]; well above that, a busy machine makes no node flap.
    pub node_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node_grace: Duration::from_secs(10),
        }
    }
}

/// A running control plane; all of it ends when this is dropped.
pub struct ControlPlane {
    folder: PathBuf,
    port: u16,
    kubectl: PathBuf,
    authority: Authority,
    admin: Client,
    controllers: [Supervised; 2],
    apiserver: Supervised,
    _etcd: Supervised,
    // Behind the programs: it is dropped after them and waits until they are gone.
    background: Background,
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ControlPlane")
            .field("folder", &self.folder)
            .field("server", &self.server())
            .finish_non_exhaustive()
    }
}

impl ControlPlane {
    /// Starts a control plane with everything it writes in the folder `dir`, which is new or empty, and returns when it is usable:
    /// the API server is ready and the controllers made the default service account. The programs are built first if that is needed (see
    /// [`assets::ensure`]; its progress goes to stderr).
    ///
    /// # Errors
    /// When the programs can't be had, or when one of them doesn't become ready; the error has the last lines of its log.
    pub async fn start(dir: &Path, options: Options) -> Result<Self> {
        let binaries = assets::ensure(|line| eprintln!("{line}")).await?;
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let folder = dir
            .canonicalize()
            .with_context(|| format!("find {}", dir.display()))?;
        let used = folder.join(programs::ETCD_DATA);
        ensure!(
            !used.exists(),
            "{} is there: another control plane uses or used this folder",
            used.display()
        );
        let authority = Authority::new()?;
        programs::write_files(&folder, &authority)?;

        let background = Background::new()?;
        let etcd = Supervised::start(&background, programs::etcd(&binaries, &folder));
        let socket = folder.join(programs::ETCD_SOCKET);
        running_until(&etcd, "etcd", async || {
            Ok(UnixStream::connect(&socket).await.is_ok().then_some(()))
        })
        .await?;

        let (apiserver, port, admin) =
            start_apiserver(&background, &binaries, &folder, &authority).await?;
        let programs = [
            programs::controller_manager(&binaries, &folder, &options),
            programs::scheduler(&binaries, &folder),
        ];
        let controllers = start_controllers(&background, &folder, &authority, port, programs)?;
        let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "default");
        running_until(
            &controllers[0],
            "the controllers to make the default service account",
            async || Ok(accounts.get_opt("default").await?.map(|_| ())),
        )
        .await?;

        Ok(Self {
            folder,
            port,
            kubectl: binaries.kubectl,
            authority,
            admin,
            controllers,
            apiserver,
            _etcd: etcd,
            background,
        })
    }

    /// A client with all rights (group `system:masters`), usable from every runtime. It never retries by itself.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// The kubeconfig of [`Self::admin`].
    #[must_use]
    pub fn admin_kubeconfig(&self) -> PathBuf {
        admin_kubeconfig(&self.folder)
    }

    /// The URL of the API server.
    #[must_use]
    pub fn server(&self) -> String {
        server(self.port)
    }

    /// The certificate of the cluster's CA, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// A client from a kubeconfig, for example one of [`Self::node_kubeconfig`], usable from every runtime. It never retries by
    /// itself, because a refused eviction looks like a reason to retry.
    ///
    /// # Errors
    /// When the kubeconfig or a file that it names can't be used.
    pub async fn client(&self, kubeconfig: &Path) -> Result<Client> {
        client(self.runtime(), kubeconfig).await
    }

    /// Kills the API server; clients find the port closed. Its only clients of the control plane, controllers and scheduler, are
    /// stopped with it.
    ///
    /// Left alone, they would be deaf for up to a minute after an outage of half a minute, because their watches wait ever longer
    /// before they connect again, and they would call nodes unready for the heartbeats that they could not see (both seen with
    /// Kubernetes 1.37). That is nothing to wait for in each test; [`Self::pause_api`] shows it.
    ///
    /// # Errors
    /// When it is not gone after two seconds.
    pub async fn stop_api(&self) -> Result<()> {
        self.apiserver.want(false).await?;
        self.want_controllers(false).await
    }

    /// Starts the API server again, on the same port with the same data, and returns when it is ready.
    ///
    /// # Errors
    /// When it doesn't become ready; the error has the last lines of its log.
    pub async fn start_api(&self) -> Result<()> {
        self.apiserver.want(true).await?;
        running_until(&self.apiserver, "the API server to be ready", async || {
            ready(&self.admin).await
        })
        .await?;
        self.want_controllers(true).await
    }

    async fn want_controllers(&self, running: bool) -> Result<()> {
        for controller in &self.controllers {
            controller.want(running).await?;
        }
        Ok(())
    }

    /// Freezes the API server: connections stay and nothing answers, as when a network swallows packets. When that lasts longer than
    /// [`Options::node_grace`], nodes may be called unready for a moment after it, as in any cluster.
    ///
    /// # Errors
    /// When it isn't running.
    pub fn pause_api(&self) -> Result<()> {
        self.signal_api(Signal::STOP)
    }

    /// Lets a frozen API server go on.
    ///
    /// # Errors
    /// When it isn't running.
    pub fn resume_api(&self) -> Result<()> {
        self.signal_api(Signal::CONT)
    }

    fn signal_api(&self, signal: Signal) -> Result<()> {
        let State::Running(pid) = self.apiserver.state() else {
            bail!(
                "the API server is not running: {:?}",
                self.apiserver.state()
            );
        };
        let pid = Pid::from_raw(pid).context("the API server has no pid")?;
        kill_process(pid, signal).with_context(|| format!("send {signal:?} to the API server"))
    }

    /// All writes to the API so far, in the order in which they were answered. Leases of kubelets are left out: they are a
    /// heartbeat. An entry is written after its answer was sent, so wait for one with [`crate::wait::until`].
    ///
    /// # Errors
    /// When the audit log can't be read or has an unknown shape.
    pub fn audit(&self) -> Result<Vec<AuditEntry>> {
        Ok(self.audit_since(0)?.0)
    }

    /// As [`Self::audit`], for the entries behind `offset`, which is 0 or the second value of an earlier call.
    ///
    /// # Errors
    /// When the audit log can't be read or has an unknown shape.
    pub fn audit_since(&self, offset: u64) -> Result<(Vec<AuditEntry>, u64)> {
        let (mut calls, offset) = self.calls_since(offset)?;
        calls.retain(AuditEntry::is_write);
        Ok((calls, offset))
    }

    /// As [`Self::audit_since`], with the reads of nodes, agents and operators.
    ///
    /// # Errors
    /// When the audit log can't be read or has an unknown shape.
    pub fn calls_since(&self, offset: u64) -> Result<(Vec<AuditEntry>, u64)> {
        audit::read(&self.folder.join(programs::AUDIT_LOG), offset)
    }

    /// Runs `kubectl` as admin and returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it printed on stderr, or when it takes longer than a minute.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = bound(&self.kubectl);
        command
            .args(arguments)
            .env("KUBECONFIG", self.admin_kubeconfig())
            .env("HOME", &self.folder);
        let described = || format!("kubectl {}", arguments.join(" "));
        let output = timeout(COMMAND_WITHIN, command.output())
            .await
            .with_context(|| format!("{} took longer than {COMMAND_WITHIN:?}", described()))?
            .with_context(described)?;
        ensure!(
            output.status.success(),
            "{}: {}",
            described(),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        String::from_utf8(output.stdout)
            .with_context(|| format!("{} printed something that is no text", described()))
    }

    /// The folder that has everything of this control plane.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the lab's own tasks for this cluster run: it lives as long as the control plane.
    pub(crate) fn runtime(&self) -> &Handle {
        self.background.runtime()
    }
}

fn server(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn admin_kubeconfig(folder: &Path) -> PathBuf {
    folder.join("admin.kubeconfig")
}

/// One call of the API, with a deadline and a name.
pub(crate) async fn answered<T>(
    what: impl AsRef<str>,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T> {
    match timeout(ANSWER_WITHIN, call).await {
        Ok(answer) => answer.with_context(|| what.as_ref().to_owned()),
        Err(_) => bail!(
            "{}: no answer from the API server within {ANSWER_WITHIN:?}",
            what.as_ref()
        ),
    }
}

/// The HTTP status of the API server's refusal, if `error` is one.
pub(crate) fn refusal(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref() {
        Some(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}
