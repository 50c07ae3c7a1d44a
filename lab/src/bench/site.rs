//! One node: a host, its kubelet, its agent, and whoever presses its power button.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use cuo_cluster::node::Keep;
use cuo_core::ids::ReleaseId;
use cuo_core::node::NodeView;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync;

use super::SiteSpec;
use crate::cluster::controlplane::{ControlPlane, NodeCredential};
use crate::cluster::kubelet::{Boot, Down, Kubelet, NodeSpec};
use crate::machine::{Machine, Reboot, binary};
use crate::record::Memory;
use crate::wait::until;

/// Configuration that lets an agent do in seconds what takes hours and minutes in earnest.
const HASTE: &str = r#"
[check]
period = "4s"
jitter = "1s"
[retry]
first = "2s"
cap = "4s"
[drain]
evict_every = "1s"
[reboot]
shutdown = "15s"
[health]
settle = "1s"
deadline = "2m"
"#;
/// How long a certificate of a node is good for.
const VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// How long a host is down when it reboots.
const DOWNTIME: Duration = Duration::from_millis(500);
/// Time for an agent to become ready.
const READY: Duration = Duration::from_secs(60);
/// How often the power button is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// One node. What reboots its host runs beside it, until it is dropped.
#[derive(Debug)]
pub struct Site {
    name: String,
    /// The host. Locked for short times only; meanwhile nobody presses its power button.
    pub machine: sync::Mutex<Machine>,
    /// Held by whoever reboots the host, until it is up again.
    power: sync::Mutex<()>,
    /// The hollow kubelet.
    pub kubelet: Kubelet,
    gate: Gate,
    plan: Mutex<Plan>,
    violations: Mutex<Vec<String>>,
    plane: Arc<ControlPlane>,
    memory: Memory,
}

/// What the next reboot does.
#[derive(Debug, Clone)]
struct Plan {
    kind: Reboot,
    /// Start the agent after it.
    agent: bool,
    /// Start the kubelet after it.
    kubelet: bool,
    /// Somebody may reboot the host although the Node can't be read.
    unseen: bool,
    /// The agent's program; this build's when empty.
    program: Option<PathBuf>,
    reboots: u32,
    /// How often the agent was started.
    starts: u64,
    /// Another build's agent was started.
    strangers: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    /// Lays out and boots the host, and registers its Node.
    pub(super) async fn start(
        plane: &Arc<ControlPlane>,
        folder: &Path,
        spec: SiteSpec,
        memory: Memory,
    ) -> Result<Arc<Self>> {
        let mut machine = Machine::create(&folder.join("nodes"), &spec.name, spec.host)?;
        let root = machine.root().join("");
        fs::write(root.join("etc/cuo-agent/config.d/50-haste.toml"), HASTE)
            .context("write configuration")?;
        let kubeconfig = root.join("var/lib/kubelet/kubeconfig");
        plane.node_kubeconfig(&spec.name, &kubeconfig, NodeCredential::Rotating, VALIDITY)?;
        machine.boot().await?;
        let mut labels = BTreeMap::new();
        if spec.control_plane {
            labels.insert(cuo_core::keys::CONTROL_PLANE[0].to_owned(), String::new());
        }
        let boot = boot_of(&machine)?;
        let kubelet = Kubelet::start(
            plane,
            NodeSpec {
                name: spec.name.clone(),
                labels,
                boot,
            },
        )
        .await?;
        let site = Arc::new(Self {
            gate: Gate::new(folder.join("gates").join(&spec.name))?,
            name: spec.name,
            machine: sync::Mutex::new(machine),
            power: sync::Mutex::default(),
            kubelet,
            plan: Mutex::new(Plan {
                kind: Reboot::Clean,
                agent: true,
                kubelet: true,
                unseen: false,
                program: None,
                reboots: 0,
                starts: 0,
                strangers: false,
            }),
            violations: Mutex::default(),
            plane: Arc::clone(plane),
            memory,
        });
        watch_power_button(&site)?;
        Ok(site)
    }

    /// The Node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the agent can be held.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn start_agent(&self) -> Result<()> {
        let mut machine = self.machine.lock().await;
        self.start_agent_on(&mut machine)
    }

    /// Starts the agent, for those who have locked the host already.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_agent_on(&self, machine: &mut Machine) -> Result<()> {
        let program = {
            let mut plan = locked(&self.plan);
            plan.starts += 1;
            plan.strangers |= plan.program.is_some();
            plan.program.clone()
        };
        let program = match program {
            Some(program) => program,
            None => binary("cuo-agent")?,
        };
        let gate = self.gate.folder.display().to_string();
        let env = [("CUO_TEST_GATE", gate.as_str()), ("RUST_BACKTRACE", "1")];
        machine.spawn_agent(&program, &env)
    }

    /// How often the agent was started, by a reboot too.
    pub fn starts(&self) -> u64 {
        locked(&self.plan).starts
    }

    /// Whether an agent of another build has run.
    pub fn had_strangers(&self) -> bool {
        locked(&self.plan).strangers
    }

    /// Agents that are started from now on are this program, or this build's.
    pub fn agents_are(&self, program: Option<&Path>) {
        locked(&self.plan).program = program.map(Path::to_owned);
    }

    /// Has the agent read its configuration and look for updates now, once it is ready.
    ///
    /// # Errors
    /// When no agent runs or it does not become ready.
    pub async fn hang_up(&self) -> Result<()> {
        let mut machine = self.machine.lock().await;
        machine.wait_agent_ready(READY).await?;
        let pid = machine.agent_pid().context("no agent runs")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no pid")?;
        kill_process(pid, Signal::HUP).context("send SIGHUP")
    }

    /// Writes a file of the agent's configuration, or removes it; the agent reads it when it is started or told to.
    ///
    /// # Errors
    /// When that fails.
    pub async fn configure(&self, name: &str, text: Option<&str>) -> Result<()> {
        let machine = self.machine.lock().await;
        let path = machine.root().join("etc/cuo-agent/config.d").join(name);
        match text {
            Some(text) => fs::write(&path, text),
            None => fs::remove_file(&path),
        }
        .with_context(|| format!("change {}", path.display()))
    }

    /// Kills the agent with SIGKILL.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill_agent(&self) -> Result<()> {
        self.machine.lock().await.kill_agent().await
    }

    /// Publishes `version` to this host.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn publish(&self, version: &str) -> Result<()> {
        self.machine.lock().await.publish(version).map(drop)
    }

    /// Offers `version` to this host, so that it can be fetched by commit, version or digest; no branch and no tag moves.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn offer(&self, version: &str) -> Result<()> {
        self.machine.lock().await.offer(version).map(drop)
    }

    /// The last lines of the agent's log.
    pub async fn agent_log(&self, lines: usize) -> String {
        self.machine.lock().await.agent_log_end(lines)
    }

    /// What the next reboot that somebody asks for is like; after it they are clean again.
    pub fn next_reboot(&self, kind: Reboot) {
        locked(&self.plan).kind = kind;
    }

    /// Whether the agent is started after a reboot.
    pub fn agent_after_boot(&self, agent: bool) {
        locked(&self.plan).agent = agent;
    }

    /// Whether the kubelet is started after a reboot.
    pub fn kubelet_after_boot(&self, kubelet: bool) {
        locked(&self.plan).kubelet = kubelet;
    }

    /// Starts the kubelet with the boot that the host is in now.
    ///
    /// # Errors
    /// When the API server does not take it for two minutes.
    pub async fn start_kubelet(&self) -> Result<()> {
        let boot = boot_of(&*self.machine.lock().await)?;
        let what = format!("the kubelet of {}", self.name);
        until(what, Duration::from_secs(120), async || {
            self.kubelet.up(boot.clone()).await.map(Some)
        })
        .await
    }

    /// Whether CUO may reboot the host while its Node can't be read: because what lets it do so was confirmed before.
    pub fn may_reboot_unseen(&self, unseen: bool) {
        locked(&self.plan).unseen = unseen;
    }

    /// How often the host has rebooted.
    pub fn reboots(&self) -> u32 {
        locked(&self.plan).reboots
    }

    /// What this node did against the rules.
    pub fn violations(&self) -> Vec<String> {
        locked(&self.violations).clone()
    }

    /// Reboots the host now, whatever it does, as `kind` says.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn reboot(&self, kind: Reboot) -> Result<()> {
        let _power = self.power.lock().await;
        self.cycle(kind).await
    }

    async fn cycle(&self, kind: Reboot) -> Result<()> {
        let mut machine = self.machine.lock().await;
        let plan = {
            let mut plan = locked(&self.plan);
            plan.reboots += 1;
            plan.kind = Reboot::Clean;
            plan.clone()
        };
        // A host that goes down can't tell when the API server is down too.
        let _ = self.kubelet.down(Down::Announced).await;
        machine.reboot(kind).await?;
        tokio::time::sleep(DOWNTIME).await;
        if plan.agent {
            self.start_agent_on(&mut machine)?;
        }
        drop(machine);
        if plan.kubelet {
            self.start_kubelet().await?;
        }
        Ok(())
    }

    /// The Node as the API server has it now.
    async fn live(&self) -> Result<Option<NodeView>> {
        let credentials = cuo_cluster::Credentials::File {
            path: self.plane.admin_kubeconfig(),
            root: "/".into(),
        };
        let program = cuo_cluster::Program {
            name: "cuo-lab",
            version: env!("CARGO_PKG_VERSION"),
        };
        let source = cuo_cluster::ClientSource::start(credentials, program).await;
        let raw = cuo_cluster::node::get_node(&source, &self.name, &Keep::default()).await?;
        Ok(raw.map(|raw| NodeView::parse(&raw)).transpose()?)
    }

    /// What the host may boot into: a reboot through rpm-ostree or logind that CUO asked for has a grant on the Node, accepted there (I1).
    /// Where the Node can't be read, nothing may reboot that was not confirmed before, and the Node as it last was has to say the same.
    async fn granted(&self) -> Option<ReleaseId> {
        let unseen = locked(&self.plan).unseen;
        let node = match self.live().await {
            Ok(Some(node)) => Some(node),
            Ok(None) | Err(_) if unseen => self.memory.last(&self.name),
            Ok(None) => None,
            Err(error) => {
                self.complain(&format!("reboots, and its Node can't be read: {error:#}"));
                return None;
            }
        };
        let grant = node.as_ref().and_then(|node| node.operator.grant.value());
        let progress = node.as_ref().and_then(|node| node.agent.progress.value());
        let (granted, accepted) = (grant.map(|one| one.id), progress.map(|one| one.id));
        if granted.is_none() || granted != accepted {
            let what = format!("reboots with grant {granted:?}, accepted {accepted:?}");
            self.complain(&what);
            return None;
        }
        grant.map(|grant| grant.identity)
    }

    fn complain(&self, what: &str) {
        locked(&self.violations).push(format!("{} {what}", self.name));
    }

    /// Reboots the host as it was asked to; a clean boot is one of what was granted.
    async fn reboot_as_asked(&self) -> Result<()> {
        let granted = self.granted().await;
        let kind = locked(&self.plan).kind;
        self.cycle(kind).await?;
        let Some(granted) = granted.filter(|_| kind == Reboot::Clean) else {
            return Ok(());
        };
        let booted = self.machine.lock().await.booted_identity()?;
        if booted != granted.to_string() {
            self.complain(&format!("was granted {granted} and booted {booted}"));
        }
        Ok(())
    }
}

/// Starts a thread that reboots the host whenever it was asked to, as long as the node is in use. A thread of its own, because what it
/// starts dies with the thread that started it.
fn watch_power_button(site: &Arc<Site>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    let weak = Arc::downgrade(site);
    let thread = std::thread::Builder::new().name(format!("power of {}", site.name));
    thread
        .spawn(move || runtime.block_on(drive(weak)))
        .context("start a thread")
        .map(drop)
}

async fn drive(site: Weak<Site>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(site) = site.upgrade() else { return };
        let _power = site.power.lock().await;
        let request = site.machine.lock().await.reboot_request();
        match request {
            Ok(None) => {}
            Ok(Some(_)) => {
                if let Err(error) = site.reboot_as_asked().await {
                    return site.complain(&format!("does not reboot: {error:#}"));
                }
            }
            Err(error) => return site.complain(&format!("{error:#}")),
        }
    }
}

fn boot_of(machine: &Machine) -> Result<Boot> {
    Ok(Boot {
        id: machine.boot_id()?.to_string(),
        os_image: format!("Fedora CoreOS {}", machine.booted_version()?),
    })
}

/// Steps at which a program is held (see `cuo_telemetry::gate`).
#[derive(Debug, Clone)]
pub struct Gate {
    folder: PathBuf,
}

impl Gate {
    /// Gates in `folder`, which is made if it isn't there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Where the program looks for its gates: the value of `CUO_TEST_GATE`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Holds the program when it next comes to `step`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn shut(&self, step: &str) -> Result<()> {
        self.clear(&format!("{step}.hit"))?;
        fs::write(self.folder.join(step), "").with_context(|| format!("shut {step}"))
    }

    /// Lets the program go on.
    ///
    /// # Errors
    /// When the file can't be removed.
    pub fn open(&self, step: &str) -> Result<()> {
        self.clear(step)
    }

    fn clear(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {name}"))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the program is held at `step`.
    ///
    /// # Errors
    /// When it does not come there in time.
    pub async fn hit(&self, step: &str, deadline: Duration) -> Result<()> {
        let path = self.folder.join(format!("{step}.hit"));
        until(
            format!("{step} in {}", self.folder.display()),
            deadline,
            async || Ok(path.exists().then_some(())),
        )
        .await
    }
}
