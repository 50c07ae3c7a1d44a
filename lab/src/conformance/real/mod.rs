//! A real daemon as a subject of the contract: that of a tree, in namespaces of its own, on a private system bus.
//!
//! The tree lends its programs. What they work on is a host that is made for this: a sysroot with one small deployment, which is the root of
//! the daemon's mount namespace, with the tree's `/usr` over its own. So the tree itself is never written, and needs no deployment.

mod files;
mod fixture;
mod registry;
mod server;
mod space;

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::process::Child;
use zbus::connection;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;

pub use fixture::Fixture;
pub use registry::PROGRAM as REGISTRY;
pub use space::Tree;

use super::subject::Server;
use super::words::Names;
use crate::machine::OriginKind;
use crate::machine::logind::{Inhibitors, Lock};
use crate::machine::ostree::{NAME, NodeRoot};
use crate::process::{spawn_logged, tail};
use crate::wait::until;

/// Starting a bus takes milliseconds, on a busy machine seconds.
const BOOT: Duration = Duration::from_secs(30);

/// A host whose daemon is real.
#[derive(Debug)]
pub struct Real {
    /// What all cases share.
    fixture: Fixture,
    origin: OriginKind,
    /// Folders that are mounted into the daemon's root: `run`, `etc`, `lab`.
    bound: PathBuf,
    bus: Child,
    _folder: TempDir,
}

impl Real {
    /// A new host on branch or tag of what the fixture serves, which starts over for it.
    pub(super) async fn start(mut fixture: Fixture, origin: OriginKind) -> Result<Self> {
        fixture.start_over(origin).await?;
        let folder = tempfile::Builder::new().prefix("real").tempdir();
        let folder = folder.context("a folder for the host")?;
        let (root, bound) = fixture.copy(origin, folder.path()).await?;
        let mut command = fixture.tree().enter(&root, &bound);
        command.args([
            "/usr/bin/dbus-daemon",
            "--config-file=/lab/bus.conf",
            "--nofork",
            "--nopidfile",
        ]);
        let log = fixture.log();
        let bus = spawn_logged(&mut command, &log)?;
        let socket = bound.join("run/dbus/system_bus_socket");
        let what = format!("the private bus (log {})", log.display());
        until(what, BOOT, async || {
            Ok(Some(UnixStream::connect(&socket).await?))
        })
        .await?;
        Ok(Self {
            fixture,
            origin,
            bound,
            bus,
            _folder: folder,
        })
    }

    /// The error with what bus and daemon said last.
    pub(super) fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        let said = tail(&self.fixture.log());
        anyhow::anyhow!("{error:#}; bus and daemon said last: {said}")
    }

    /// Ends everything that runs on the host, and gives back what the next one needs.
    pub(super) async fn end(mut self) -> Result<Fixture> {
        self.kill_daemon().await?;
        // What else it started ends with it.
        self.bus.kill().await.context("end the private bus")?;
        Ok(self.fixture)
    }

    pub(super) fn bus_address(&self) -> String {
        let socket = self.bound.join("run/dbus/system_bus_socket");
        format!("unix:path={}", socket.display())
    }

    pub(super) fn reachable(&self, address: &str) -> String {
        let here = format!("unix:path={}/run/", self.bound.display());
        address.replace("unix:path=/run/", &here)
    }

    pub(super) async fn publish(&self, version: &str) -> Result<()> {
        self.fixture.publish(self.origin, version).await
    }

    pub(super) async fn serve(&mut self, server: Server) -> Result<()> {
        self.fixture.serve(self.origin, server).await
    }

    pub(super) async fn kill_daemon(&self) -> Result<()> {
        until("the end of rpm-ostreed", BOOT, async || {
            let Some(pid) = self.daemon().await? else {
                return Ok(Some(()));
            };
            kill_process(pid, Signal::KILL).context("kill rpm-ostreed")?;
            Ok(None)
        })
        .await
    }

    /// The daemon's process, which the bus started.
    async fn daemon(&self) -> Result<Option<Pid>> {
        let address = self.bus_address();
        let bus = connection::Builder::address(address.as_str()).build().await;
        let bus = DBusProxy::new(&bus.context("connect to the private bus")?).await?;
        let name = BusName::try_from(NAME)?;
        if !bus.name_has_owner(name.clone()).await? {
            return Ok(None);
        }
        let pid = bus.get_connection_unix_process_id(name).await?;
        Ok(Pid::from_raw(i32::try_from(pid)?))
    }

    pub(super) fn inhibit(&self, mode: Option<&str>) -> Result<()> {
        let locks = mode.map(|mode| Lock::on_shutdown("some-app", "holding the node", mode));
        let change = |all: &mut Inhibitors| all.locks = locks.into_iter().collect();
        NodeRoot::new(&self.bound).edit(change)
    }

    pub(super) fn note(&self) -> Result<Option<Vec<u8>>> {
        let path = self.bound.join("run/ostree/staged-deployment");
        match fs::read(&path) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    pub(super) fn commit(&self, version: &str) -> Result<String> {
        self.fixture.commit(version)
    }

    pub(super) fn digest(&self, version: &str) -> Result<String> {
        self.fixture.digest(version)
    }

    pub(super) fn image(&self) -> String {
        self.fixture.image()
    }

    pub(super) fn names(&self) -> Names {
        self.fixture.names()
    }
}
