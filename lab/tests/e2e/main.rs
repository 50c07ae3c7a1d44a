//! The main job end to end: real control plane, real agents and operators, hosts that really reboot as far as they can tell.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by a panic, in its helpers too"
)]

mod admin;
mod boots;
mod deletion;
mod input;
mod look;
mod operators;
mod quiet;
mod rivals;
mod rollout;
mod skew;

use std::time::Duration;

use cuo_lab::bench::{Bench, SiteSpec};
use cuo_lab::machine::HostSpec;
use tempfile::TempDir;

/// Versions that hosts run and get, oldest first.
const V1: &str = "42.20260101.3.0";
const V2: &str = "42.20260201.3.0";
const V3: &str = "42.20260301.3.0";
/// Long enough for a rollout over a few nodes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A cluster of workers `n1`, `n2`, … on plain ostree, all on [`V1`], with nothing running yet.
async fn cluster(count: usize) -> (TempDir, Bench) {
    let sites =
        (1..=count).map(|number| SiteSpec::worker(&format!("n{number}"), HostSpec::ostree(V1)));
    start(sites.collect()).await
}

async fn start(sites: Vec<SiteSpec>) -> (TempDir, Bench) {
    // Short, because the paths of sockets may not be long.
    let folder = tempfile::Builder::new()
        .prefix("cuo")
        .tempdir_in("/tmp")
        .unwrap();
    let bench = Bench::start(folder.path(), sites).await.unwrap();
    (folder, bench)
}
