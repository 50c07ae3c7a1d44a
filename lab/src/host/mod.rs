//! Hosts of level 3: a container each, in which systemd is process 1 and the buses, polkit, logind, the journal and rpm are the real
//! ones. rpm-ostreed is the double, activated by the bus; a kubelet that is hollow stands beside it.
//!
//! A host has a network of its own in which it reaches the API server, and nothing else; a test can cut it. Its disk is a folder over a
//! root file system that all hosts share, and outlives reboots and power cuts. All of it dies with the process that made it.

mod base;
mod drive;
mod files;
mod link;
mod packages;
mod power;
mod signing;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cluster::controlplane::{ControlPlane, NodeCredential};
use crate::cluster::kubelet::{Kubelet, NodeSpec};
use crate::machine::HostSpec;
use crate::machine::ostree::{NodeRoot, Remote, Sysroot};
use crate::wait::until;

pub use base::base;
pub use files::PACKAGES;
pub use packages::Packages;
pub use power::possible;

use drive::{Shared, State};

/// How long a boot takes at most on a busy machine.
const BOOT: Duration = Duration::from_secs(90);
/// How long a command on a host takes at most.
const COMMAND: Duration = Duration::from_secs(60);
/// How long a node's certificate is good for, where that does not matter.
pub const VALIDITY: Duration = Duration::from_secs(24 * 3600);

/// One host. Dropping it is the end of it.
#[derive(Debug)]
pub struct Host {
    shared: Arc<Shared>,
    root: NodeRoot,
    /// Whether it shall be on.
    power: Option<watch::Sender<bool>>,
    state: watch::Receiver<State>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// A host that is off, with its own disk in `parent/name`.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn create(
        parent: &Path,
        name: &str,
        spec: &HostSpec,
        base: &Path,
        packages: &Packages,
    ) -> Result<Self> {
        let folder = parent.join(name);
        let root = files::lay_out(&folder, spec)?;
        let binds = files::binds(&folder, packages.folder())?;
        let shared = Arc::new(Shared::new(name, base, &folder, binds));
        let (power, wish) = watch::channel(false);
        let (report, state) = watch::channel(State::default());
        let thread = drive::start(Arc::clone(&shared), wish, report)?;
        Ok(Self {
            shared,
            root,
            power: Some(power),
            state,
            thread: Some(thread),
        })
    }

    /// Cuts the wire to everything else: whatever is sent gets no answer, the host's link seems to be up, and the Node has no heartbeat.
    ///
    /// # Errors
    /// When the host is just being turned on.
    pub async fn cut_link(&self) -> Result<()> {
        self.shared.set_cut(true).await
    }

    /// Mends what [`Host::cut_link`] cut.
    ///
    /// # Errors
    /// As [`Host::cut_link`], or when the API server does not answer.
    pub async fn mend_link(&self) -> Result<()> {
        self.shared.set_cut(false).await
    }

    /// How often the host has connected to the API server.
    pub fn connections(&self) -> u32 {
        self.shared.link.connections()
    }

    /// Name of the host, and of its Node.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What the tests share with it: the files of the double, the agent's gates, the kubelet's folder.
    pub fn root(&self) -> &NodeRoot {
        &self.root
    }

    /// A file of the disk that the host writes alone; for reading, and for writing while the host is off.
    pub fn disk(&self, path: &str) -> PathBuf {
        self.root.join("disk").join(path)
    }

    /// Turns it on, and waits until systemd says that it is up.
    ///
    /// # Errors
    /// When that takes too long; the error has the end of the console.
    pub async fn turn_on(&self) -> Result<()> {
        let boots = self.boots();
        self.wish(true)?;
        self.booted(boots + 1).await
    }

    /// A power cut: everything on it ends at this moment, and it stays off.
    ///
    /// # Errors
    /// When its processes don't end.
    pub async fn cut_power(&self) -> Result<()> {
        self.wish(false)?;
        self.seen("to be off", |state| !state.on).await.map(drop)
    }

    fn wish(&self, on: bool) -> Result<()> {
        let power = self.power.as_ref().context("the host is gone")?;
        power.send_replace(on);
        Ok(())
    }

    /// How often it has begun to boot.
    pub fn boots(&self) -> u32 {
        self.state.borrow().boots
    }

    /// Waits until it is up in its boot number `boots`, counted from 1, or a later one.
    ///
    /// # Errors
    /// When that takes too long; the error has the end of the console.
    pub async fn booted(&self, boots: u32) -> Result<()> {
        let up = |state: &State| state.up && state.boots >= boots;
        self.seen(&format!("to be up in boot {boots}"), up)
            .await
            .map(drop)
    }

    async fn seen(&self, what: &str, fits: impl Fn(&State) -> bool) -> Result<State> {
        let mut state = self.state.clone();
        let seen = timeout(
            BOOT,
            state.wait_for(|state| fits(state) || state.trouble.is_some()),
        )
        .await;
        let problem = match seen {
            Ok(Ok(state)) if state.trouble.is_none() => return Ok(state.clone()),
            Ok(Ok(state)) => format!("{:?}", state.trouble),
            Ok(Err(_)) => "what drives it has ended".to_owned(),
            Err(_) => format!("not within {BOOT:?}"),
        };
        bail!(
            "waiting for {} {what}: {problem}; its console ends with:\n{}",
            self.name(),
            self.console(20)
        )
    }

    /// The end of what it wrote on its console.
    pub fn console(&self, lines: usize) -> String {
        let text = fs::read(self.root.join("console.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<_> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// Runs a command on the host, as root, and returns what it printed.
    ///
    /// # Errors
    /// When the host is not up, the command fails (with what it said) or takes longer than a minute.
    pub async fn run(&self, words: &[&str]) -> Result<String> {
        timeout(COMMAND, self.shared.run(words))
            .await
            .with_context(|| format!("{words:?} on {}: not within {COMMAND:?}", self.name()))?
    }

    /// Runs a line of shell on the host, as root.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub async fn shell(&self, line: &str) -> Result<String> {
        self.run(&["sh", "-euc", line]).await
    }

    /// A property of a unit.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub async fn property(&self, unit: &str, name: &str) -> Result<String> {
        let text = self
            .run(&["systemctl", "show", "--property", name, "--value", unit])
            .await?;
        Ok(text.trim().to_owned())
    }

    /// Process id of a unit's main process, as this machine sees it.
    ///
    /// # Errors
    /// When it has none.
    pub fn process(&self, unit: &str) -> Result<i32> {
        let group = self.shared.group().context("the host is off")?;
        let list = group
            .join("host/payload/system.slice")
            .join(unit)
            .join("cgroup.procs");
        let text = fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
        let first = text
            .lines()
            .next()
            .with_context(|| format!("{unit} has no process"))?;
        Ok(first.parse()?)
    }

    /// The kernel's boot id, as programs on the host see it.
    ///
    /// # Errors
    /// When the host is not up.
    pub fn boot_id(&self) -> Result<String> {
        self.shared.boot_id()
    }

    /// Everything that a unit has said, in all boots.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub async fn journal(&self, unit: &str) -> Result<String> {
        self.run(&[
            "journalctl",
            "--quiet",
            "--no-pager",
            "--output",
            "cat",
            "--unit",
            unit,
        ])
        .await
    }

    /// Gives the host's kubelet its credentials, and registers its Node. From then on the kubelet comes and goes with the host.
    ///
    /// # Errors
    /// When the host is not up, or the API server does not answer.
    pub async fn join(&self, plane: &ControlPlane) -> Result<()> {
        let (path, server) = (self.kubeconfig(), plane.server());
        plane.node_kubeconfig(self.name(), &path, NodeCredential::Rotating, VALIDITY)?;
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        fs::write(&path, text.replace(&server, link::SERVER))
            .with_context(|| format!("write {}", path.display()))?;
        let address = server.strip_prefix("https://").unwrap_or(&server);
        self.shared
            .link
            .leads_to(address.parse().context("the API server's address")?);
        let node = NodeSpec {
            name: self.name().to_owned(),
            labels: Default::default(),
            boot: self.shared.boot()?,
        };
        self.shared.attach(Kubelet::start(plane, node).await?);
        Ok(())
    }

    /// Gives the kubelet a new certificate that is good for `validity`. The one before is so until its own end.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn renew_certificate(&self, plane: &ControlPlane, validity: Duration) -> Result<()> {
        plane.rotate_node_cert(self.name(), &self.kubeconfig(), validity)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubelet/kubeconfig")
    }

    /// Installs the agent's package from its repository, and with it what stands for Fedora.
    ///
    /// # Errors
    /// What dnf says.
    pub async fn install(&self) -> Result<()> {
        let said = self.shell("rpm-ostree install cuo-agent 2>&1").await?;
        ensure!(
            !said.contains("arning") && !said.contains("ailed"),
            "dnf says: {said}"
        );
        Ok(())
    }

    /// Offers `version` to this host as the newest.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn publish(&self, version: &str) -> Result<()> {
        self.root
            .edit(|remote: &mut Remote| remote.publish(version))
    }

    /// Offers `version` to this host, so that it can be fetched by commit, version or digest; no branch and no tag moves.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn offer(&self, version: &str) -> Result<()> {
        self.root.edit(|remote: &mut Remote| remote.offer(version))
    }

    /// The deployments.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn sysroot(&self) -> Result<Sysroot> {
        self.root.load()
    }

    /// The end of what matters on the host, for errors.
    pub async fn picture(&self) -> String {
        let say = "systemctl --failed --no-legend; systemctl status --no-pager --lines=0 cuo-agent cuo-agent-credentials; \
                   journalctl --quiet --no-pager --output=short-monotonic --lines=60";
        let said = until("a picture", Duration::from_secs(10), async || {
            self.run(&["sh", "-c", &format!("({say}) 2>&1; true")])
                .await
                .map(Some)
        });
        let said = said.await.unwrap_or_else(|error| format!("{error:#}"));
        format!(
            "\n--- {}: {:?}\n{}\n{said}",
            self.name(),
            *self.state.borrow(),
            self.console(10)
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.power = None;
        if let Some(thread) = self.thread.take() {
            // That it panicked has been printed.
            let _ = thread.join();
        }
    }
}

/// A lock that a panic does not poison for others.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
