//! The hosts' half of the lab. One host: a root directory, a private system bus with the doubles, an agent, reboots.
//!
//! It knows nothing of clusters.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use cuo_lab::machine::{HostSpec, Machine, Reboot, binary};
//! let mut machine = Machine::create("/tmp/lab".as_ref(), "n1", HostSpec::container("40.20240101.3.0"))?;
//! machine.boot().await?;
//! machine.spawn_agent(&binary("cuo-agent")?, &[])?;
//! machine.publish("40.20240201.3.0")?;
//! machine.wait_reboot_request(std::time::Duration::from_secs(60)).await?;
//! machine.reboot(Reboot::Clean).await?;
//! # Ok(())
//! # }
//! ```

mod admin;
mod agent;
mod boot;
pub mod logind;
pub mod ostree;
mod spec;
pub mod systemd;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cuo_core::ids::BootId;
use tokio::process::Child;

use crate::wait::until;

pub use agent::Notification;
pub use boot::Reboot;
pub use spec::{FCOS_BRANCH, FCOS_IMAGE, HostSpec, OriginKind};

use agent::Agent;
use logind::{Inhibitors, REQUEST, RebootRequest};
use ostree::{CallRecord, Fault, Faults, NodeRoot, Release, Remote, Sysroot};
use systemd::Units;

/// One host. Dropping it ends everything that runs on it.
#[derive(Debug)]
pub struct Machine {
    name: String,
    root: NodeRoot,
    bus: Option<Child>,
    agent: Option<Agent>,
}

impl Machine {
    /// Lays out the host `name` below the directory `parent`; nothing is started.
    ///
    /// # Errors
    /// When a file can't be written, or the path is too long or odd for a socket address.
    pub fn create(parent: &Path, name: &str, spec: HostSpec) -> Result<Self> {
        let root = NodeRoot::new(parent.join(name));
        check_path(&root)?;
        for directory in [
            "etc/cuo-agent/config.d",
            "lab/services",
            "ostree/deploy",
            "ostree/repo",
            "proc/sys/kernel/random",
            "run",
            "usr/lib/cuo-agent/config.d",
            "var/lib/cuo-agent",
            "var/lib/kubelet",
        ] {
            let path = root.join(directory);
            fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        }
        root.save(&spec.sysroot())?;
        root.save(&spec.remote())?;
        for (path, text) in HostSpec::files() {
            root.write(path, text)?;
        }
        root.save(&Faults::none())?;
        root.save(&Inhibitors::default())?;
        root.save(&Units::new(spec.finalizer))?;
        let machine = Self {
            name: name.to_owned(),
            root,
            bus: None,
            agent: None,
        };
        machine.write_services()?;
        machine.fresh_boot()?;
        Ok(machine)
    }

    /// Name of the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its files.
    pub fn root(&self) -> &NodeRoot {
        &self.root
    }

    /// The deployments as they are on disk.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn sysroot(&self) -> Result<Sysroot> {
        self.root.load()
    }

    /// Version that runs.
    ///
    /// # Errors
    /// When the file can't be read or nothing is booted.
    pub fn booted_version(&self) -> Result<String> {
        let sysroot = self.sysroot()?;
        let booted = sysroot.booted().context("nothing is booted")?;
        Ok(booted.release.version.clone())
    }

    /// Release id of what runs: image digest or base commit.
    ///
    /// # Errors
    /// When the file can't be read or nothing is booted.
    pub fn booted_identity(&self) -> Result<String> {
        let sysroot = self.sysroot()?;
        Ok(sysroot.booted().context("nothing is booted")?.identity())
    }

    /// The boot id.
    ///
    /// # Errors
    /// When the file can't be read or is not a boot id.
    pub fn boot_id(&self) -> Result<BootId> {
        let path = self.root.join(boot::BOOT_ID);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        text.trim()
            .parse()
            .with_context(|| format!("parse {}", path.display()))
    }

    /// Offers a version to this host as the newest. Returns the release, the same on every host.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn publish(&self, version: &str) -> Result<Release> {
        self.root
            .edit(|remote: &mut Remote| remote.publish(version))?;
        Ok(Release::new(version))
    }

    /// Offers a version to this host, so that it can be fetched by commit, version or digest; no branch and no tag moves. Returns the
    /// release, the same on every host.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn offer(&self, version: &str) -> Result<Release> {
        self.root
            .edit(|remote: &mut Remote| remote.offer(version))?;
        Ok(Release::new(version))
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn inject(&self, fault: Fault) -> Result<()> {
        self.root
            .edit(|faults: &mut Faults| faults.rules.push(fault))
    }

    /// Method calls that reached the rpm-ostree double since the host was created, in order.
    ///
    /// # Errors
    /// When the file has a broken line.
    pub fn calls(&self) -> Result<Vec<CallRecord>> {
        let path = self.root.join("lab/calls.jsonl");
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(Vec::new());
        };
        let lines = text.lines();
        lines
            .map(|line| {
                serde_json::from_str(line).with_context(|| format!("parse {}", path.display()))
            })
            .collect()
    }

    /// The reboot that logind let through, if there was one since the last boot.
    ///
    /// # Errors
    /// When the file is there but broken.
    pub fn reboot_request(&self) -> Result<Option<RebootRequest>> {
        let path = self.root.join(REQUEST);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let parsed = serde_json::from_str(&text);
                parsed
                    .with_context(|| format!("parse {}", path.display()))
                    .map(Some)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// Waits until logind let a reboot through.
    ///
    /// # Errors
    /// When none came within `deadline`.
    pub async fn wait_reboot_request(&self, deadline: Duration) -> Result<RebootRequest> {
        let what = format!("a reboot request on {}", self.name);
        until(what, deadline, async || self.reboot_request()).await
    }
}

/// Sockets have addresses of at most 107 bytes, which some characters would break.
fn check_path(root: &NodeRoot) -> Result<()> {
    const LONGEST: &str = "/run/rpm-ostree-transaction.sock";
    let text = root
        .path()
        .to_str()
        .context("the host's root is not UTF-8")?;
    ensure!(
        text.len() + LONGEST.len() <= 107,
        "{text}: too long for a socket below it, use a shorter directory"
    );
    ensure!(root.path().is_absolute(), "{text}: must be absolute");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    ensure!(
        text.chars().all(plain),
        "{text}: only letters, digits and /._- are possible"
    );
    Ok(())
}

/// A program of this workspace, built in the same profile as the running one.
///
/// # Errors
/// When it was not built; the error says how to.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("path of the running program")?;
    let places = own.ancestors().skip(1).take(2);
    for place in places {
        let path = place.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "{name} is not beside {}: run `cargo build --workspace` first",
        own.display()
    )
}
