//! Nodes and their kubelets.

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::ControlPlane;
use cuo_lab::cluster::kubelet::{Down, Kubelet};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};

use crate::{SOON, boot, is_ready, kubelet, node_ready, pod_ready, pods, readiness, restarts, run};

pub async fn ready(plane: &ControlPlane) -> Result<()> {
    node_ready(plane, "n1").await?;
    node_ready(plane, "n2").await?;
    let node = Api::<Node>::all(plane.admin()).get("n1").await?;
    let labels: Vec<&str> = node.labels().keys().map(String::as_str).collect();
    let expected = [
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node-role.kubernetes.io/control-plane",
    ];
    ensure!(
        labels
            .iter()
            .filter(|label| !label.starts_with("beta."))
            .eq(&expected),
        "{labels:?}"
    );
    seen_boot(plane, "n1", "n1-first").await
}

/// The boot and the operating system that the Node shows.
async fn seen_boot(plane: &ControlPlane, name: &str, id: &str) -> Result<()> {
    let node = Api::<Node>::all(plane.admin()).get(name).await?;
    let info = node
        .status
        .and_then(|status| status.node_info)
        .context("no nodeInfo")?;
    let boot = boot(id);
    ensure!(
        (&info.boot_id, &info.os_image) == (&boot.id, &boot.os_image),
        "{info:?}"
    );
    Ok(())
}

pub async fn reboot(plane: &ControlPlane, n1: &Kubelet) -> Result<()> {
    run(plane, "stayer", "n1").await?;
    let before = pod_ready(plane, "stayer").await?;

    n1.down(Down::Announced).await?;
    let (status, reason, _) = readiness(plane, "n1").await?;
    ensure!(
        (status.as_str(), reason.as_str()) == ("False", "KubeletNotReady"),
        "{status} {reason}"
    );
    n1.up(boot("n1-second")).await?;
    node_ready(plane, "n1").await?;
    seen_boot(plane, "n1", "n1-second").await?;
    let after = started_again(plane, "stayer").await?;
    ensure!(before.uid() == after.uid(), "another pod");
    plane.kubectl(&["delete", "pod", "stayer"]).await.map(drop)
}

pub async fn silence(plane: &ControlPlane, n2: &Kubelet) -> Result<()> {
    run(plane, "quiet", "n2").await?;
    pod_ready(plane, "quiet").await?;
    n2.down(Down::Silent).await?;
    let (status, ..) = readiness(plane, "n2").await?;
    ensure!(status == "True", "it was noticed at once: {status}");
    until("the node to be unknown", SOON, async || {
        let (status, reason, tainted) = readiness(plane, "n2").await?;
        ensure!(
            (status.as_str(), reason.as_str(), tainted) == ("Unknown", "NodeStatusUnknown", true),
            "{status} {reason} {tainted}"
        );
        Ok(Some(()))
    })
    .await?;
    until("the pod to be unready with its node", SOON, async || {
        let pod = pods(plane).get("quiet").await?;
        Ok((!is_ready(&pod)).then_some(()))
    })
    .await?;

    n2.up(boot("n2-second")).await?;
    node_ready(plane, "n2").await?;
    pod_ready(plane, "quiet").await?;
    plane.kubectl(&["delete", "pod", "quiet"]).await.map(drop)
}

pub async fn deletion(plane: &ControlPlane, n2: &Kubelet) -> Result<()> {
    let nodes: Api<Node> = Api::all(plane.admin());
    let before = nodes.get("n2").await?.uid();
    nodes.delete("n2", &DeleteParams::default()).await?;
    ensure!(nodes.get_opt("n2").await?.is_none(), "it is still there");
    n2.register().await?;
    node_ready(plane, "n2").await?;
    let after = nodes.get("n2").await?.uid();
    ensure!(
        before.is_some() && after.is_some() && before != after,
        "{before:?} {after:?}"
    );
    Ok(())
}

/// A kubelet that is started where another was before it takes over its pods.
pub async fn succession(plane: &ControlPlane, n1: Kubelet) -> Result<Kubelet> {
    run(plane, "heir", "n1").await?;
    pod_ready(plane, "heir").await?;
    drop(n1);
    let successor = kubelet(plane, "n1", &[]).await?;
    started_again(plane, "heir").await?;
    plane.kubectl(&["delete", "pod", "heir"]).await?;
    Ok(successor)
}

async fn started_again(plane: &ControlPlane, name: &str) -> Result<Pod> {
    until("the pod to be started again", SOON, async || {
        let pod = pods(plane).get(name).await?;
        ensure!(restarts(&pod) == Some(1), "{:?}", pod.status);
        Ok(is_ready(&pod).then_some(pod))
    })
    .await
}
