//! A node and the pods on it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cuo_cluster::ClientSource;
use cuo_cluster::evict::{Evicted, ask, remove};
use cuo_cluster::pods::watch_pods;
use cuo_cluster::watch::Change;
use cuo_core::drain::{How, RawPod};
use cuo_lab::cluster::controlplane::ControlPlane;
use cuo_lab::wait::until;
use futures::StreamExt;

use crate::{SOON, apply};

async fn pods_of(source: &ClientSource, node: &str) -> Result<Vec<RawPod>> {
    let mut pods = match watch_pods(source.clone(), node).next().await {
        Some(Change::Reset(pods)) => pods,
        other => anyhow::bail!("{other:?}"),
    };
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pods)
}

async fn evict(source: &ClientSource, pod: &RawPod) -> Result<Evicted> {
    Ok(remove(source, pod, How::Evict, None).await?)
}

pub async fn evictions(plane: &ControlPlane, dir: &Path, n1: &ClientSource) -> Result<()> {
    let pod = |name: &str, node: &str, app: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default, labels: {{app: {app}}}}}\n\
             spec: {{nodeName: {node}, containers: [{{name: c, image: none}}]}}\n---\n"
        )
    };
    let budget = |name: &str, app: &str| {
        format!(
            "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}, namespace: default}}\n\
             spec: {{minAvailable: 1, selector: {{matchLabels: {{app: {app}}}}}}}\n---\n"
        )
    };
    let manifest = [
        pod("free", "n1", "free"),
        pod("guarded", "n1", "guarded"),
        pod("twice", "n1", "twice"),
        pod("elsewhere", "n2", "free"),
        budget("guard", "guarded"),
        budget("once", "twice"),
        budget("again", "twice"),
    ];
    apply(plane, dir, &manifest.concat()).await?;
    for name in ["free", "guarded", "twice"] {
        // There is no kubelet: a budget counts only pods that are ready.
        let running =
            r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
        plane
            .kubectl(&["patch", "pod", name, "--subresource=status", "-p", running])
            .await?;
    }
    let pods = pods_of(n1, "n1").await?;
    let names: Vec<_> = pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["free", "guarded", "twice"]);
    let named = |name: &str| {
        pods.iter()
            .find(|pod| pod.name == name)
            .cloned()
            .context("the pod is listed")
    };

    let guarded = named("guarded")?;
    let expected = "The disruption budget guard needs 1 healthy pods and has 1 currently";
    until(
        "the budget to be counted and to refuse",
        SOON,
        async || match evict(n1, &guarded).await? {
            Evicted::Refused { message, .. } => Ok(message.ends_with(expected).then_some(())),
            other => anyhow::bail!("{other:?}"),
        },
    )
    .await?;
    // The same answer to the question, and where it is yes nothing has happened.
    let refused = ask(n1, &guarded, None).await?;
    ensure!(matches!(refused, Evicted::Refused { .. }), "{refused:?}");
    assert_eq!(ask(n1, &named("free")?, None).await?, Evicted::Accepted);
    ensure!(pods_of(n1, "n1").await?.iter().all(|pod| !pod.terminating));

    let twice = evict(n1, &named("twice")?).await;
    let Ok(Evicted::Refused { message, .. }) = &twice else {
        anyhow::bail!("two budgets: {twice:?}");
    };
    ensure!(
        message.contains("more than one PodDisruptionBudget"),
        "{message}"
    );

    let other = RawPod {
        uid: "another".into(),
        ..named("free")?
    };
    assert_eq!(evict(n1, &other).await?, Evicted::Gone);
    assert_eq!(evict(n1, &named("free")?).await?, Evicted::Accepted);
    until("the evicted pod to be on its way", SOON, async || {
        let pods = pods_of(n1, "n1").await?;
        Ok(pods
            .iter()
            .all(|pod| pod.name != "free" || pod.terminating)
            .then_some(()))
    })
    .await?;
    let kill = remove(n1, &other, How::Kill, Some(0)).await?;
    assert_eq!(kill, Evicted::Gone, "another one of the same name");
    let kill = remove(n1, &guarded, How::Kill, Some(0)).await?;
    assert_eq!(kill, Evicted::Accepted, "whatever its budget says");
    let absent = RawPod {
        name: "absent".into(),
        ..other
    };
    let found = evict(n1, &absent).await;
    ensure!(
        matches!(found, Ok(Evicted::Gone | Evicted::Refused { .. })),
        "{found:?}"
    );
    let elsewhere = RawPod {
        name: "elsewhere".into(),
        ..absent
    };
    let refused = evict(n1, &elsewhere).await;
    ensure!(
        matches!(refused, Ok(Evicted::Refused { .. })),
        "{refused:?}"
    );
    Ok(())
}
