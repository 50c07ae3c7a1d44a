//! The lab's double as a subject of the contract.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::subject::Server;
use super::words::Names;
use super::{V1, VERSIONS};
use crate::machine::logind::{Inhibitors, Lock};
use crate::machine::ostree::{Faults, Release, Remote, Trouble};
use crate::machine::{HostSpec, Machine, OriginKind};

/// Longer than anybody waits.
const STUCK: u64 = 600_000;

/// A branch and a tag that exist nowhere.
const ABSENT: [&str; 2] = ["nonesuch", "127.0.0.1:8972/fcos:gone"];

/// A host of the lab.
#[derive(Debug)]
pub struct Double {
    machine: Machine,
    _folder: TempDir,
}

impl Double {
    pub(super) async fn start(origin: OriginKind) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the double")?;
        let spec = match origin {
            OriginKind::Ostree => HostSpec::ostree(V1),
            OriginKind::Container => HostSpec::container(V1),
        };
        let mut machine = Machine::create(folder.path(), "double", spec)?;
        machine.boot().await?;
        let root = machine.root();
        root.edit(|remote: &mut Remote| {
            ABSENT.into_iter().for_each(|name| remote.retire(name));
        })?;
        // Whoever runs the contract is in no unit.
        root.edit(|faults: &mut Faults| faults.caller_unit = None)?;
        Ok(Self {
            machine,
            _folder: folder,
        })
    }

    pub(super) fn bus_address(&self) -> String {
        self.machine.root().bus_address()
    }

    pub(super) fn publish(&self, version: &str) -> Result<()> {
        for one in VERSIONS {
            self.machine.offer(one)?;
        }
        self.machine.publish(version).map(drop)
    }

    pub(super) fn serve(&self, server: Server) -> Result<()> {
        let trouble = match server {
            Server::Up | Server::Stuck => None,
            Server::Down => Some(Trouble::Down),
            Server::Status(status) => Some(Trouble::Status(status)),
            Server::WithoutBranch => Some(Trouble::NoSuchBranch),
        };
        let root = self.machine.root();
        root.edit(|remote: &mut Remote| remote.trouble = trouble)?;
        if server == Server::Stuck {
            root.edit(|faults: &mut Faults| faults.pace.pull = STUCK)?;
        }
        Ok(())
    }

    pub(super) async fn kill_daemon(&self) -> Result<()> {
        self.machine.kill_rpm_ostreed().await
    }

    pub(super) fn inhibit(&self, mode: Option<&str>) -> Result<()> {
        let locks = mode.map(|mode| Lock::on_shutdown("some-app", "holding the node", mode));
        let change = |all: &mut Inhibitors| all.locks = locks.into_iter().collect();
        self.machine.root().edit(change)
    }

    pub(super) fn note(&self) -> Result<Option<Vec<u8>>> {
        let path = self.machine.root().join("run/ostree/staged-deployment");
        match fs::read(&path) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    pub(super) fn commit(&self, version: &str) -> String {
        Release::new(version).commit()
    }

    pub(super) fn digest(&self, version: &str) -> String {
        Release::new(version).digest()
    }

    pub(super) fn image(&self) -> String {
        "ostree-unverified-registry:127.0.0.1:8972/fcos".to_owned()
    }

    pub(super) fn names(&self) -> Names {
        let root = self.machine.root().path().display();
        vec![
            (format!("{root}/run/"), "/run/".to_owned()),
            (
                "http://127.0.0.1:8971/remote".to_owned(),
                "<remote>".to_owned(),
            ),
            ("127.0.0.1:8972".to_owned(), "<registry>".to_owned()),
        ]
    }
}
