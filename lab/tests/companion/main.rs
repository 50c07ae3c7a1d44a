//! The companion on a real API server, with nothing but the rights of `deploy/companion.yaml`.
//!
//! One control plane serves all steps, one after the other. The companion runs in this process, and is dropped where it is to die.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic, in its helpers too"
)]

mod gates;
mod hooks;
mod news;
mod outside;
mod policy;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use cuo_companion::cli::Cli;
use cuo_companion::run::run;
use cuo_lab::cluster::controlplane::{ControlPlane, Options};
use cuo_lab::wait::until;
use serde_json::Value;
use tokio::task::JoinHandle;

use outside::Outside;

/// Its namespace, and its account.
const NAME: &str = "cuo-companion";
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_companion_does_what_it_is_configured_for_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path()).await.unwrap();
    let step = |name: &str| eprintln!("{name}");

    step("its policy keeps it from everything but its own gates");
    policy::limits(&bench).await.unwrap();
    let companion = bench.companion().await.unwrap();
    step("a gate follows alerts");
    gates::alerts(&bench).await.unwrap();
    step("a gate follows resources, once it may be read");
    gates::resources(&bench).await.unwrap();
    step("a roll-out is told of");
    news::rollout(&bench).await.unwrap();
    step("hooks run, hang, fail and are called off");
    hooks::run(&bench).await.unwrap();
    step("a companion that is gone closes its gates, and misses no news");
    companion.abort();
    gates::ends(&bench).await.unwrap();
    let before = news::meanwhile(&bench).await.unwrap();
    let companion = bench.companion().await.unwrap();
    news::afterwards(&bench, before).await.unwrap();
    companion.abort();
}

/// A cluster with CUO's definitions and the companion's rights, and what is outside of it.
struct Bench {
    dir: PathBuf,
    plane: ControlPlane,
    outside: Outside,
}

impl Bench {
    async fn start(dir: &Path) -> Result<Self> {
        let plane = ControlPlane::start(&dir.join("plane"), Options::default()).await?;
        let bench = Self {
            dir: dir.to_owned(),
            plane,
            outside: Outside::start().await?,
        };
        for manifest in ["operator.yaml", "companion.yaml"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../deploy")
                .join(manifest);
            let path = path.to_str().context("the path is text")?;
            bench.kubectl(&["apply", "-f", path]).await?;
        }
        // Nothing that the API server knows better or warns of either.
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/companion.yaml");
        let path = path.to_str().context("the path is text")?;
        let strict = [
            "apply",
            "--dry-run=server",
            "--warnings-as-errors",
            "--validate=strict",
            "-f",
            path,
        ];
        bench.kubectl(&strict).await?;
        Ok(bench)
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.plane.kubectl(arguments).await
    }

    /// Applies `manifest` as admin.
    async fn apply(&self, manifest: &str) -> Result<()> {
        let file = self.dir.join("manifest.yaml");
        std::fs::write(&file, manifest)?;
        let file = file.to_str().context("the path is text")?;
        self.kubectl(&["apply", "-f", file]).await.map(drop)
    }

    /// The object as it is; `None` if there is none.
    async fn get(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let get = [
            "get",
            kind,
            name,
            "-n",
            NAME,
            "--ignore-not-found",
            "-o",
            "json",
        ];
        let found = self.kubectl(&get).await?;
        match found.is_empty() {
            true => Ok(None),
            false => Ok(Some(serde_json::from_str(&found)?)),
        }
    }

    /// The kubeconfig of the companion's account.
    async fn kubeconfig(&self) -> Result<PathBuf> {
        let path = self.dir.join("companion.kubeconfig");
        self.plane
            .service_account_kubeconfig(NAME, NAME, &path)
            .await?;
        Ok(path)
    }

    /// Starts the companion, and waits until it leads.
    async fn companion(&self) -> Result<JoinHandle<()>> {
        let config = self.dir.join("config.yaml");
        std::fs::write(&config, self.outside.configuration())?;
        let kubeconfig = self.kubeconfig().await?;
        let flags = [
            NAME.into(),
            format!("--config={}", config.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            "--listen=127.0.0.1:0".to_owned(),
        ];
        let cli = Cli::parse_from(flags);
        let running = tokio::spawn(async move {
            if let Err(error) = run(&cli).await {
                eprintln!("the companion ended: {error:#}");
            }
        });
        Ok(running)
    }
}

/// Waits until `found` finds something.
async fn soon<T>(what: &str, found: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    until(what, SOON, found).await
}
