//! A registry on loopback: the program that Debian has as `docker-registry`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::process::{bound, spawn_logged};
use crate::wait::until;

/// The program, of Debian's package of the same name.
pub const PROGRAM: &str = "docker-registry";
const BOOT: Duration = Duration::from_secs(30);

/// A registry. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Registry {
    address: SocketAddr,
    config: PathBuf,
    log: PathBuf,
    serving: Option<Child>,
}

impl Registry {
    /// One that keeps what it has in `folder`.
    pub(super) async fn start(folder: &Path, log: &Path) -> Result<Self> {
        // It can't be asked for a port of its own choice. Nobody else takes this one in the meantime, or it does not start.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
        let address = free.local_addr().context("a free port")?;
        drop(free);
        let config = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            folder.join("data").display()
        );
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let mut registry = Self {
            address,
            config,
            log: log.to_owned(),
            serving: None,
        };
        registry.up().await?;
        Ok(registry)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes it answer.
    pub(super) async fn up(&mut self) -> Result<()> {
        if self.serving.is_some() {
            return Ok(());
        }
        let mut command = bound(PROGRAM);
        command.arg("serve").arg(&self.config);
        self.serving = Some(spawn_logged(&mut command, &self.log)?);
        let what = format!("{PROGRAM} (log {})", self.log.display());
        until(what, BOOT, async || {
            Ok(Some(TcpStream::connect(self.address).await?))
        })
        .await
        .map(drop)
    }

    /// Makes nobody listen there.
    pub(super) async fn down(&mut self) -> Result<()> {
        if let Some(mut serving) = self.serving.take() {
            serving.kill().await.context("end the registry")?;
        }
        Ok(())
    }
}
