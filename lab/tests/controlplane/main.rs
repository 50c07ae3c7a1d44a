//! The bench's control plane and hollow kubelets are what they claim to be.
//!
//! One control plane serves all steps, one after the other: each leaves behind only objects that no other step looks at.

mod credentials;
mod nodes;
mod pods;
mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::{ControlPlane, Options};
use cuo_lab::cluster::kubelet::{Boot, Kubelet, NodeSpec};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;

/// Much longer than anything here takes on a machine with nothing else to do.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_cluster_behaves_like_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("plane");
    let plane = ControlPlane::start(&folder, Options::default())
        .await
        .unwrap();
    let step = |name: &str| eprintln!("{name}");

    step("two nodes become ready");
    let n1 = kubelet(
        &plane,
        "n1",
        &[("node-role.kubernetes.io/control-plane", "")],
    )
    .await
    .unwrap();
    let n2 = kubelet(&plane, "n2", &[]).await.unwrap();
    nodes::ready(&plane).await.unwrap();
    step("a node's credential is good for that node only");
    credentials::node(&plane, dir.path()).await.unwrap();
    step("a node's certificate turns and ends");
    credentials::rotation(&plane, dir.path()).await.unwrap();
    step("a service account is known by its token");
    credentials::service_account(&plane, dir.path())
        .await
        .unwrap();
    step("a deployment gets ready pods, and its budget refuses evictions");
    pods::deployment(&plane, dir.path()).await.unwrap();
    step("deleted pods end in their time");
    pods::termination(&plane, dir.path()).await.unwrap();
    step("a process runs as a pod");
    pods::process(&plane, &n2, dir.path()).await.unwrap();
    step("a host goes down and comes up");
    nodes::reboot(&plane, &n1).await.unwrap();
    step("a kubelet takes over from another");
    let _n1 = nodes::succession(&plane, n1).await.unwrap();
    step("missing heartbeats are noticed");
    nodes::silence(&plane, &n2).await.unwrap();
    step("a Node that was deleted is registered again");
    nodes::deletion(&plane, &n2).await.unwrap();
    step("writes are in the audit log");
    server::audit(&plane).await.unwrap();
    step("all survive a restart of the API server");
    server::restart(&plane, dir.path()).await.unwrap();
    step("a frozen API server doesn't answer");
    server::frozen(&plane).await.unwrap();
    step("nothing is left");
    server::end(plane).await.unwrap();
}

async fn kubelet(plane: &ControlPlane, name: &str, labels: &[(&str, &str)]) -> Result<Kubelet> {
    let labels: BTreeMap<_, _> = labels
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let node = NodeSpec {
        name: name.to_owned(),
        labels,
        boot: boot(&format!("{name}-first")),
    };
    Kubelet::start(plane, node).await
}

fn boot(id: &str) -> Boot {
    Boot {
        id: id.to_owned(),
        os_image: format!("Fedora CoreOS of {id}"),
    }
}

async fn apply(plane: &ControlPlane, dir: &Path, manifest: &str) -> Result<()> {
    let file = dir.join("manifest.yaml");
    std::fs::write(&file, manifest)?;
    let file = file.to_str().context("the path is text")?;
    plane
        .kubectl(&["apply", "--server-side", "-f", file])
        .await
        .map(drop)
}

/// The status and the reason of a Node's condition `Ready`, and whether it has taints that keep pods away.
async fn readiness(plane: &ControlPlane, name: &str) -> Result<(String, String, bool)> {
    let node = Api::<Node>::all(plane.admin()).get(name).await?;
    let tainted = node
        .spec
        .is_some_and(|spec| spec.taints.is_some_and(|taints| !taints.is_empty()));
    let conditions = node
        .status
        .and_then(|status| status.conditions)
        .unwrap_or_default();
    let ready = conditions
        .into_iter()
        .find(|condition| condition.type_ == "Ready")
        .context("no condition Ready")?;
    Ok((ready.status, ready.reason.unwrap_or_default(), tainted))
}

/// Waits until `name` is Ready and takes pods.
async fn node_ready(plane: &ControlPlane, name: &str) -> Result<()> {
    until(format!("the node {name} to be ready"), SOON, async || {
        let seen = readiness(plane, name).await?;
        ensure!(
            seen == ("True".into(), "KubeletReady".into(), false),
            "{seen:?}"
        );
        Ok(Some(()))
    })
    .await
}

fn pods(plane: &ControlPlane) -> Api<Pod> {
    Api::namespaced(plane.admin(), "default")
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|condition| condition.type_ == "Ready")
        .any(|condition| condition.status == "True")
}

/// Waits until the pod `name` is Running and Ready, and returns it.
async fn pod_ready(plane: &ControlPlane, name: &str) -> Result<Pod> {
    until(format!("the pod {name} to be ready"), SOON, async || {
        let pod = pods(plane).get(name).await?;
        Ok(is_ready(&pod).then_some(pod))
    })
    .await
}

/// How often the pod's container was started again.
fn restarts(pod: &Pod) -> Option<i32> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    Some(statuses.first()?.restart_count)
}

/// Makes a pod bound to `node`.
async fn run(plane: &ControlPlane, name: &str, node: &str) -> Result<()> {
    let overrides = format!(r#"{{"spec":{{"nodeName":"{node}"}}}}"#);
    plane
        .kubectl(&["run", name, "--image=none", "--overrides", &overrides])
        .await
        .map(drop)
}
