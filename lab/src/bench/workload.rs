//! Pods that have work to do while nodes are updated, and what the cluster says about them and about the nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::task::JoinHandle;

use super::Bench;
use crate::wait::until;

/// What runs: two applications that may lose one pod at a time, and an agent of somebody else's on each node.
const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}
      containers: [{name: web, image: none}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec:
  minAvailable: 3
  selector: {matchLabels: {app: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: db}}}
      containers: [{name: db, image: none}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db, namespace: default}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app: db}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: logs, namespace: default}
spec:
  selector: {matchLabels: {app: logs}}
  template:
    metadata: {labels: {app: logs}}
    spec:
      containers: [{name: logs, image: none}]
"#;
/// How often the cluster is asked.
const LOOK: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);

/// A disruption budget, as its controller last counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Pods that are healthy.
    pub healthy: i32,
    /// How many have to be.
    pub desired: i32,
    /// The fewest that were healthy so far.
    pub lowest: i32,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    budgets: BTreeMap<String, Budget>,
    events: BTreeMap<String, String>,
}

/// Applications on the cluster, watched until this is dropped.
#[derive(Debug)]
pub struct Workloads {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Workloads {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Workloads {
    /// Starts the applications and returns when all of their pods are ready.
    ///
    /// # Errors
    /// When they do not become so.
    pub async fn start(bench: &Bench) -> Result<Self> {
        bench.apply("workloads.yaml", WORKLOADS).await?;
        let client = bench.plane.admin();
        until("the applications to be ready", PATIENCE, async || {
            let seen = look(&client, &Seen::default()).await?;
            let ready = |(name, healthy)| {
                let found = seen.budgets.get(name);
                found.is_some_and(|budget: &Budget| budget.healthy == healthy)
            };
            ensure!([("web", 4), ("db", 2)].into_iter().all(ready), "{seen:?}");
            Ok(Some(()))
        })
        .await?;
        let seen = Arc::new(Mutex::new(look(&client, &Seen::default()).await?));
        let into = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let before = locked(&into).clone();
                // An API server that does not answer has nothing new to tell.
                let now = look(&client, &before).await.unwrap_or(before);
                *locked(&into) = now;
            }
        });
        Ok(Self { seen, task })
    }

    /// The disruption budgets by their names.
    pub fn budgets(&self) -> BTreeMap<String, Budget> {
        locked(&self.seen).budgets.clone()
    }

    /// What the operator last reported about each node.
    pub fn events(&self) -> BTreeMap<String, String> {
        locked(&self.seen).events.clone()
    }
}

fn locked(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn look(client: &Client, before: &Seen) -> Result<Seen> {
    let mut seen = Seen::default();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), "default");
    for found in budgets.list(&ListParams::default()).await? {
        let name = found.name_any();
        let counted = found
            .status
            .and_then(|status| status.current_healthy.zip(status.desired_healthy));
        let Some((healthy, desired)) = counted else {
            continue;
        };
        let lowest = before.budgets.get(&name).map(|budget| budget.lowest);
        let budget = Budget {
            healthy,
            desired,
            lowest: lowest.map_or(healthy, |lowest| lowest.min(healthy)),
        };
        seen.budgets.insert(name, budget);
    }
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    let own = ListParams::default().fields("reportingController=cuo.coreos.com/cuo-operator");
    let mut found: Vec<_> = events.list(&own).await?.items;
    let time = |event: &Event| {
        let series = event
            .series
            .as_ref()
            .map(|series| series.last_observed_time.0);
        series.or(event.event_time.as_ref().map(|time| time.0))
    };
    found.sort_by_key(time);
    for event in found {
        let about = event.regarding.and_then(|object| object.name);
        if let (Some(node), Some(note)) = (about, event.note) {
            seen.events.insert(node, note);
        }
    }
    Ok(seen)
}
