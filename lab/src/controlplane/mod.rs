//! A real control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, as children of this process.
//!
//! Only the kubelets are not real ([`crate::kubelet`]). Everything listens on loopback or on a socket in the control plane's own
//! folder, which also has the logs, the audit log, and the admin's kubeconfig for a look with `kubectl`.

pub mod assets;
mod audit;
mod kubeconfig;
mod pki;
mod programs;
mod supervisor;

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

pub use audit::AuditEntry;

use crate::process::bound;
use crate::wait::until;
use assets::Binaries;
use kubeconfig::Proof;
use pki::Authority;
use supervisor::{Background, Program, State, Supervised};

/// Time for a program to become ready; seconds are usual, a busy machine needs more.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Time for a single answer of the API server.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Time for a command of `kubectl`.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
/// Ports for the API server: below the range that the kernel gives to outgoing connections, so that the port is still free when
/// the server is started again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many ports are tried; another one is needed when somebody takes it between the look and the start.
const PORT_TRIALS: usize = 5;
/// Validity of certificates that no test cares about.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// What may be chosen about a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Without a heartbeat of its kubelet for this long, a node is no longer ready.
    ///
    /// Hollow kubelets have a heartbeat every [`crate::kubelet::HEARTBEAT`]; well above that, a busy machine makes no node flap.
    pub node_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node_grace: Duration::from_secs(10),
        }
    }
}

/// How a node's kubeconfig holds the client certificate of its kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeCredential {
    /// Inside of the kubeconfig, as after a first `kubeadm join`.
    Embedded,
    /// In `pki/kubelet-client-current.pem` beside the kubeconfig: a symlink to a file with certificate and key, that
    /// [`ControlPlane::rotate_node_cert`] turns. The kubeconfig names it relative to itself, so the folder can be anywhere.
    Rotating,
}

/// A running control plane; all of it ends when this is dropped.
pub struct ControlPlane {
    folder: PathBuf,
    port: u16,
    kubectl: PathBuf,
    authority: Authority,
    admin: Client,
    _controllers: [Supervised; 2],
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
    /// Starts a control plane with everything it writes in the folder `dir`, and returns when it is usable: the API server is ready
    /// and the controllers made the default service account. The programs are built first if that is needed (see
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
        let server = server(port);
        let controllers = [
            programs::controller_manager(&binaries, &folder, &options),
            programs::scheduler(&binaries, &folder),
        ];
        for controller in &controllers {
            let user = format!("system:{}", controller.name);
            let identity = authority.client(&user, None, LONG)?;
            let text = kubeconfig::render(
                &server,
                &authority.pem(),
                &user,
                &Proof::Embedded(&identity),
            )?;
            kubeconfig::write(&programs::kubeconfig(&folder, controller.name), &text)?;
        }
        let controllers = controllers.map(|program| Supervised::start(&background, program));
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
            _controllers: controllers,
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

    /// Writes the kubeconfig of the kubelet of `node` to `path`, as kubeadm does: user `system:node:NODE`, group `system:nodes`,
    /// with a certificate that ends after `validity`. Whatever is there is replaced.
    ///
    /// # Errors
    /// When a file can't be written; it is named.
    pub fn node_kubeconfig(
        &self,
        node: &str,
        path: &Path,
        credential: NodeCredential,
        validity: Duration,
    ) -> Result<()> {
        let user = format!("system:node:{node}");
        let text = match credential {
            NodeCredential::Embedded => {
                let identity = self.node_identity(node, validity)?;
                kubeconfig::render(
                    &self.server(),
                    &self.ca_pem(),
                    &user,
                    &Proof::Embedded(&identity),
                )?
            }
            NodeCredential::Rotating => {
                self.rotate_node_cert(node, path, validity)?;
                let file = format!("{PKI}/{}", kubeconfig::CURRENT);
                kubeconfig::render(&self.server(), &self.ca_pem(), &user, &Proof::File(&file))?
            }
        };
        kubeconfig::write(path, &text)
    }

    /// Gives `node` a new certificate beside the kubeconfig `path`, which stays as it is ([`NodeCredential::Rotating`]). The old
    /// certificate is accepted until its own end.
    ///
    /// # Errors
    /// When a file can't be written; it is named.
    pub fn rotate_node_cert(&self, node: &str, path: &Path, validity: Duration) -> Result<()> {
        let folder = path
            .parent()
            .with_context(|| format!("{} has no folder", path.display()))?;
        kubeconfig::turn(&folder.join(PKI), &self.node_identity(node, validity)?)
    }

    fn node_identity(&self, node: &str, validity: Duration) -> Result<pki::Identity> {
        self.authority.client(
            &format!("system:node:{node}"),
            Some("system:nodes"),
            validity,
        )
    }

    /// A token of a service account, valid for an hour.
    ///
    /// # Errors
    /// When there is no such service account, or the API server doesn't answer.
    pub async fn token(&self, namespace: &str, service_account: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin(), namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let parameters = PostParams::default();
        let answer = answered(
            format!("a token for the service account {namespace}/{service_account}"),
            accounts.create_token_request(service_account, &parameters, &request),
        )
        .await?;
        answer
            .status
            .and_then(|status| status.token)
            .context("a TokenRequest was answered without a token")
    }

    /// Writes a kubeconfig with a token of a service account ([`Self::token`]) to `path`.
    ///
    /// # Errors
    /// As [`Self::token`], or when the file can't be written.
    pub async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        service_account: &str,
        path: &Path,
    ) -> Result<()> {
        let token = self.token(namespace, service_account).await?;
        let text = kubeconfig::render(
            &self.server(),
            &self.ca_pem(),
            service_account,
            &Proof::Token(&token),
        )?;
        kubeconfig::write(path, &text)
    }

    /// Kills the API server; clients find the port closed. etcd, controllers and scheduler go on.
    ///
    /// # Errors
    /// When it is not gone after two seconds.
    pub async fn stop_api(&self) -> Result<()> {
        self.apiserver.want(false).await
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
        .await
    }

    /// Freezes the API server: connections stay and nothing answers, as when a network swallows packets.
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
    /// heartbeat. An entry is written after its answer was sent, so wait for one with [`until`].
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

/// The folder beside a kubeconfig that has the rotating certificate.
const PKI: &str = "pki";

fn server(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn admin_kubeconfig(folder: &Path) -> PathBuf {
    folder.join("admin.kubeconfig")
}

/// Starts the API server on a free port and waits until it is ready.
async fn start_apiserver(
    background: &Background,
    binaries: &Binaries,
    folder: &Path,
    authority: &Authority,
) -> Result<(Supervised, u16, Client)> {
    let identity = authority.client("kubernetes-admin", Some("system:masters"), LONG)?;
    let mut trials = 0;
    loop {
        trials += 1;
        let port = free_port()?;
        let text = kubeconfig::render(
            &server(port),
            &authority.pem(),
            "kubernetes-admin",
            &Proof::Embedded(&identity),
        )?;
        kubeconfig::write(&admin_kubeconfig(folder), &text)?;
        let admin = client(background.runtime(), &admin_kubeconfig(folder)).await?;
        let apiserver = Supervised::start(background, programs::apiserver(binaries, folder, port));
        match running_until(&apiserver, "the API server to be ready", async || {
            ready(&admin).await
        })
        .await
        {
            Ok(()) => return Ok((apiserver, port, admin)),
            Err(error)
                if trials < PORT_TRIALS
                    && format!("{error:#}").contains("address already in use") =>
            {
                tracing::info!(port, "the port was taken meanwhile, trying another");
            }
            Err(error) => return Err(error),
        }
    }
}

/// A loopback port that nobody has right now.
fn free_port() -> Result<u16> {
    (0..100)
        .map(|_| fastrand::u16(PORTS))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .with_context(|| format!("no free loopback port found in {PORTS:?}"))
}

/// A client whose connections live on `runtime`.
async fn client(runtime: &Handle, kubeconfig: &Path) -> Result<Client> {
    let described = || format!("kubeconfig {}", kubeconfig.display());
    let read = Kubeconfig::read_from(kubeconfig).with_context(described)?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(described)?;
    config.default_retry = false;
    let _inside = runtime.enter();
    Client::try_from(config).with_context(described)
}

/// Whether the API server says that it is ready.
async fn ready(admin: &Client) -> Result<Option<()>> {
    let request = http::Request::get("/readyz")
        .body(Vec::new())
        .context("make a request")?;
    let text = answered("the API server's readiness", admin.request_text(request)).await?;
    Ok((text == "ok").then_some(()))
}

/// Waits for `probe` as long as `program` runs.
async fn running_until(
    program: &Supervised,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<Option<()>>,
) -> Result<()> {
    let Program { name, log, .. } = &program.program;
    let waited = until(what, READY_WITHIN, async || {
        if program.state() == State::Ended {
            return Ok(Some(false));
        }
        Ok(probe().await?.map(|()| true))
    })
    .await;
    match waited {
        Ok(true) => Ok(()),
        Ok(false) => bail!(
            "{name} ended while waiting for {what}; its last words, from {}:\n{}",
            log.display(),
            tail(log)
        ),
        Err(error) => Err(error.context(format!(
            "{name} runs, but; its last words, from {}:\n{}",
            log.display(),
            tail(log)
        ))),
    }
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

/// The last lines of a log, for an error.
fn tail(log: &Path) -> String {
    const LINES: usize = 12;
    match fs::read(log) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("(can't be read: {error})"),
    }
}
