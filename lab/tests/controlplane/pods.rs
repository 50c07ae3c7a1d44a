//! Pods on hollow kubelets.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cuo_lab::cluster::controlplane::{ControlPlane, NodeCredential};
use cuo_lab::cluster::kubelet::{Kubelet, TERMINATE_AFTER};
use cuo_lab::process::bound;
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::{SOON, apply, is_ready, pod_ready, pods, restarts, run};

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: none}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec:
  minAvailable: 3
  selector: {matchLabels: {app: web}}
"#;

pub async fn deployment(plane: &ControlPlane, dir: &Path) -> Result<()> {
    apply(plane, dir, DEPLOYMENT).await?;
    let selected = ListParams::default().labels("app=web");
    let running = until("three ready pods", SOON, async || {
        let list = pods(plane).list(&selected).await?.items;
        Ok((list.len() == 3 && list.iter().all(is_ready)).then_some(list))
    })
    .await?;
    until("the budget to count them", SOON, async || {
        let seen = plane
            .kubectl(&[
                "get",
                "pdb",
                "web",
                "-o",
                "jsonpath={.status.currentHealthy} {.status.disruptionsAllowed}",
            ])
            .await?;
        ensure!(seen == "3 0", "{seen}");
        Ok(Some(()))
    })
    .await?;

    let pod = running.first().context("no pod")?;
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.clone())
        .context("not bound")?;
    let path = dir.join("evictor/kubeconfig");
    plane.node_kubeconfig(
        &node,
        &path,
        NodeCredential::Embedded,
        Duration::from_secs(60),
    )?;
    let own: Api<Pod> = Api::namespaced(plane.client(&path).await?, "default");
    match own.evict(&pod.name_any(), &EvictParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 429 => (),
        other => bail!("an eviction beyond the budget: {other:?}"),
    }
    plane
        .kubectl(&["delete", "deployment/web", "pdb/web"])
        .await
        .map(drop)
}

/// A pod that takes long to end, and what else is said of it.
fn pod(name: &str, after: &str, grace: u32, extra: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default, annotations: {{{TERMINATE_AFTER}: {after}}}{extra}}}
spec:
  terminationGracePeriodSeconds: {grace}
  containers: [{{name: main, image: none}}]
---
"
    )
}

/// Deletes the pod `name`, and returns the time until it is gone.
async fn time_to_end(plane: &ControlPlane, name: &str) -> Result<Duration> {
    pod_ready(plane, name).await?;
    let begin = Instant::now();
    pods(plane).delete(name, &DeleteParams::default()).await?;
    until(format!("the pod {name} to be gone"), SOON, async || {
        Ok(pods(plane).get_opt(name).await?.is_none().then_some(()))
    })
    .await?;
    Ok(begin.elapsed())
}

pub async fn termination(plane: &ControlPlane, dir: &Path) -> Result<()> {
    let manifest = [
        pod("slow", "2s", 300, ""),
        pod("graceless", "1h", 1, ""),
        pod("held", "0s", 30, ", finalizers: [lab.cuo/held]"),
    ];
    apply(plane, dir, &manifest.concat()).await?;
    let slow = time_to_end(plane, "slow").await?;
    ensure!(
        slow >= Duration::from_secs(2),
        "it ended after {slow:?} already"
    );
    let graceless = time_to_end(plane, "graceless").await?;
    ensure!(
        graceless >= Duration::from_secs(1),
        "it ended after {graceless:?} already"
    );

    pod_ready(plane, "held").await?;
    pods(plane).delete("held", &DeleteParams::default()).await?;
    until("the containers of the held pod to end", SOON, async || {
        let pod = pods(plane).get("held").await?;
        let phase = pod.status.and_then(|status| status.phase);
        ensure!(phase.as_deref() == Some("Succeeded"), "{phase:?}");
        Ok((pod.metadata.deletion_grace_period_seconds == Some(0)).then_some(()))
    })
    .await?;
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    pods(plane)
        .patch("held", &PatchParams::default(), &release)
        .await?;
    until("the held pod to be gone", SOON, async || {
        Ok(pods(plane).get_opt("held").await?.is_none().then_some(()))
    })
    .await
}

const SCRIPT: &str = r#"
trap 'echo asked; touch "$0.ended"; exit 0' TERM
echo started
while :; do sleep 0.1; test -e "$0.fail" && rm "$0.fail" && exit 3; done
"#;

pub async fn process(plane: &ControlPlane, n2: &Kubelet, dir: &Path) -> Result<()> {
    let script = dir.join("script");
    let healthy = dir.join("healthy");
    std::fs::write(&script, SCRIPT)?;
    let files = (script.clone(), healthy.clone(), dir.join("script.log"));
    n2.on_pod(
        |pod| pod.name_any().starts_with("operator"),
        move |container| {
            let (script, healthy, log) = files.clone();
            async move {
                let mut command = bound("sh");
                command.arg(script);
                container
                    .run(&mut command, &log, async || healthy.exists())
                    .await
            }
        },
    );
    run(plane, "operator", "n2").await?;
    let status = async |what: &str, ready: bool, again: i32| {
        until(what, SOON, async || {
            let pod = pods(plane).get("operator").await?;
            let seen = (is_ready(&pod), restarts(&pod));
            ensure!(seen == (ready, Some(again)), "{seen:?}");
            Ok(Some(()))
        })
        .await
    };
    status("a pod that runs and isn't ready", false, 0).await?;
    std::fs::write(&healthy, "")?;
    status("a ready pod", true, 0).await?;
    std::fs::write(dir.join("script.fail"), "")?;
    status("a pod that was started again", true, 1).await?;

    pods(plane)
        .delete("operator", &DeleteParams::default())
        .await?;
    until("the pod to be gone", SOON, async || {
        Ok(pods(plane)
            .get_opt("operator")
            .await?
            .is_none()
            .then_some(()))
    })
    .await?;
    let log = std::fs::read_to_string(dir.join("script.log"))?;
    ensure!(
        log == "started\nstarted\nasked\n" && dir.join("script.ended").exists(),
        "{log:?}"
    );
    Ok(())
}
