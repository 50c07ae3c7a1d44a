//! The main job end to end: real control plane, real agents and operators, hosts that really reboot as far as they can tell.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by a panic, in its helpers too"
)]

mod admin;
mod boots;
mod checks;
mod control;
mod cuoctl;
mod declared;
mod deletion;
mod doctor;
mod drain;
mod evict;
mod faults;
mod graph;
mod hosts;
mod identity;
mod input;
mod journal;
mod kills;
mod kubelet;
mod look;
mod operators;
mod outages;
mod plain;
mod pools;
mod quiet;
mod reboots;
mod refused;
mod releases;
mod rivals;
mod rollback;
mod rollout;
mod skew;
mod small;

use std::time::Duration;

use cuo_lab::bench::{Bench, SiteSpec};
use cuo_lab::machine::HostSpec;
use tempfile::TempDir;

/// Versions that hosts run and get, oldest first.
const V1: &str = "42.20260101.3.0";
const V2: &str = "42.20260201.3.0";
const V3: &str = "42.20260301.3.0";
const V4: &str = "42.20260401.3.0";
const V5: &str = "42.20260501.3.0";
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

/// A Deployment with one pod per node, of which `available` have to be there; returns when all of them are.
async fn web(bench: &Bench, replicas: usize, available: usize) {
    let manifest = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers: [{{name: web, image: none}}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {{topologyKey: kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: web}}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web, namespace: default}}
spec: {{minAvailable: {available}, selector: {{matchLabels: {{app: web}}}}}}
"
    );
    bench.apply("web.yaml", &manifest).await.unwrap();
    web_ready(bench, replicas).await;
}

/// Waits until all pods of [`web`] are there.
async fn web_ready(bench: &Bench, replicas: usize) {
    let ready = async || {
        let query = "jsonpath={.status.readyReplicas}";
        let seen = bench
            .plane
            .kubectl(&["get", "deployment", "web", "-o", query])
            .await?;
        Ok((seen == replicas.to_string()).then_some(()))
    };
    cuo_lab::wait::until("pods on all nodes", PATIENCE, ready)
        .await
        .unwrap();
}
